"""A trial's negatives over all queries: what was refused, how hard and how doubtful they were, and which pulled most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.audit.trial_figures import Pairs, false_negatives_by_rank, funnels, matching_pairs, shares_by_step
from core.audit.trial_table import HARDNESS, TrialTable, rules_of_lanes, titles_of_lanes
from pages.ui import charts
from pages.ui.export import export_menu
from pages.ui.frame import Session
from pages.ui.looks import draw
from pages.ui.negatives_charts import false_negative_figure, funnel_left, shares_figure
from pages.ui.negatives_choose import choose_refresh
from pages.ui.negatives_data import counted
from pages.ui.negatives_lists import documents_list, pairs_list, queries_list
from pages.ui.negatives_written import written_of_trial
from pages.ui.recipe_tables import RULES
from pages.ui.text import plain, shorten
from pages.ui.travel import page_button

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.links import Link

LISTS = {"pairs": "Pairs by pull", "documents": "Most used documents", "queries": "Queries with most suspects"}
ALL = "all"


def by_trial(link: Link, corpus: Corpus, cards: Cards, row: TrialRow) -> None:
    """The whole view; a trial that mined nothing is told what to do."""
    if cards.whole is None or cards.results is None:
        written = " and the texts written for each query" if cards.written is not None else ""
        st.info(
            f"{plain(shorten(row.name, 60))} mines nothing: its negatives are the other positives of each batch{written}, and which "
            "positives met is not written down. Look at single queries in the other view, or train a recipe that mines.",
            icon=":material/shuffle:",
        )
        written_of_trial(cards)
        with st.container(horizontal=True):
            page_button("Choose a recipe that mines", "recipe", key="to-recipe", icon=":material/tune:", recipe="ance")
            export_menu(Session(link), row, key="negatives")
        return
    choice, note, out = st.columns([2, 4, 1], gap="medium", vertical_alignment="bottom")
    with out.container(horizontal_alignment="right"):
        export_menu(Session(link), row, cards, key="negatives")
    with choice:
        number = choose_refresh(link, cards)
    table, pairs = counted(cards, row, number)
    n_used = int((pairs.times_used > 0).sum())
    note.caption(
        f"{len(table):,} candidates looked at, {len(pairs):,} different pairs of query and document, "
        f"{n_used:,} of them trained against ({int(pairs.times_used.sum()):,} uses)."
    )
    written_of_trial(cards)
    rules, titles = rules_of_lanes(cards.results), titles_of_lanes(cards.results)
    left, right = st.columns(2, gap="medium")
    with left:
        lanes = funnels(table, rules)
        for lane, steps in lanes:
            title = f"Lane {lane + 1}: {titles[lane]}" if len(lanes) > 1 else "What was left"
            draw(charts.funnel(funnel_left(steps), title=title), key=f"funnel.{lane}")
    with right:
        of = link.bind(
            st.segmented_control,
            "of",
            "Shares of",
            options=["used", "kept"],
            format_func={"used": "what was trained against", "kept": "what every rule kept"}.get,
            label_visibility="collapsed",
        )
        rows = table.take(table.is_used if of == "used" else table.is_kept)
        if len(rows):
            draw(shares_figure(*shares_by_step(rows), of=of), key="shares")
        else:
            st.info("Nothing was trained against in this mining yet.", icon=":material/hourglass_empty:")
    st.subheader("Which pairs", anchor=False)
    chosen = _filtered(link, table, pairs)
    if not len(chosen):
        st.info("No pair is left with these filters. Take one away.", icon=":material/filter_alt_off:")
        return
    _margins(table, chosen, cards, corpus)
    what = link.bind(
        st.segmented_control, "list", "List", options=list(LISTS), format_func=LISTS.get, resets=("page",), label_visibility="collapsed"
    )
    {"pairs": pairs_list, "documents": documents_list, "queries": queries_list}[what](link, corpus, table, chosen)


def _filtered(link: Link, table: TrialTable, pairs: Pairs) -> Pairs:
    """The pairs that the filters of the link leave."""
    resets = ("page", "popular")
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        used = link.bind(st.toggle, "used", "only trained against", default=True, resets=resets)
        suspects = link.bind(
            st.toggle, "suspects", "only suspects", default=False, resets=resets, help="With a reason to doubt that they are negatives."
        )
        kind = link.bind(st.segmented_control, "hard", "Hardness", options=[ALL, *HARDNESS], resets=resets)
        rules = [name for name in table.rules if name in set(table.rules[i] for i in set(table.rule.tolist()))]
        rule = link.bind(
            st.selectbox,
            "rule",
            "Last decision",
            options=[ALL, *rules],
            format_func=lambda name: name if name in (ALL, "kept") else f"refused: {RULES.get(name, name)}",
            resets=resets,
            width=240,
        )
    mask = matching_pairs(
        table,
        pairs,
        hardness=None if kind == ALL else kind,
        rule=None if rule == ALL else rule,
        only_suspects=suspects,
        only_used=used,
    )
    return pairs.take(mask)


def _margins(table: TrialTable, chosen: Pairs, cards: Cards, corpus: Corpus) -> None:
    margin = table.margin[chosen.last]
    doubtful = table.is_suspect[chosen.last]
    similarity = cards.results.config.recipe_value.signal.similarity if cards.results else ""
    figure = charts.histogram(
        {"negative": margin[~doubtful], "suspect": margin[doubtful]},
        f"margin s+ - s- ({similarity})",
        title="Margins at the latest mining",
        lines={"above s+ | below s+": 0.0},
    )
    bands = false_negatives_by_rank(table, chosen)
    cells = st.columns(2 if bands else 1, gap="medium")
    with cells[0]:
        draw(figure, key="margins")
    if bands:
        with cells[1]:
            draw(false_negative_figure(bands), key="false-negatives")
