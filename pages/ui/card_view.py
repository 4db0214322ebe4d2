"""The why-card as any page draws it; ``pages.ui.card_dialog`` opens it over a page.

draw_card(cards, cards.card(query_row, doc_row), key="map", desk=desk)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import plotly.graph_objects as go
import streamlit as st

from core.audit.card import CROSS
from core.audit.suspects import SEMI_HARD_MARGIN
from pages.ui.card_texts import draw_decisive, draw_texts
from pages.ui.looks import ROLE, base_figure, draw
from pages.ui.recipe_tables import RULES
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.audit.card import Cards, WhyCard
    from pages.ui.card_dialog import Desk

HARDNESS_COLOURS = {"easy": "gray", "semi-hard": "orange", "hard": "red"}
HARDNESS_HELP = (
    f"easy: more than {SEMI_HARD_MARGIN:g} below the query's lowest positive; semi-hard: closer than that; hard: at "
    "or above the positive. By the last model listed below."
)
WEIGHT_HELP = (
    "How strongly the loss pushed it away: the mean of d loss / d score over its uses. For InfoNCE that is p / t, its softmax "
    "probability divided by the temperature: near 0 teaches nothing. Below 0 a teacher had it drawn closer."
)


def draw_card(cards: Cards, card: WhyCard, *, key: str, desk: Desk | None = None) -> None:
    """The whole card: fate, texts side by side, verdicts, sources, reasons, history, other trials. ``key``: unique on the page.

    ``desk``: None leaves out what needs the visit: judging, reasons and other trials.
    """
    _fate(card)
    decisive = draw_texts(cards, card)
    if desk is not None:
        from pages.ui.card_judge import draw_judging

        draw_judging(desk.session, cards.corpus, card, key)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _sources(card, key)
    with right:
        if decisive:
            by_model, by_words = st.tabs(["Decisive words", "Shared words (BM25)"])
            with by_model:
                draw_decisive(decisive, key)
        with by_words if decisive else st.container():
            _terms(card, key)
    reasons_place = st.container()
    if card.history:
        _history(card, key)
    if desk is not None:
        from pages.ui.card_around import draw_around
        from pages.ui.card_reasons import draw_evidence

        draw_around(desk, card, key)
        # Last: the first evidence of a corpus takes seconds, and the rest of the card need not wait for it.
        with reasons_place:
            draw_evidence(desk, card, key)


def _fate(card: WhyCard) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if card.is_known_positive:
            st.badge("known positive", color="green", icon=":material/circle:")
        else:
            st.badge(card.hardness, color=HARDNESS_COLOURS[card.hardness], help=HARDNESS_HELP)  # type: ignore[arg-type]
        for title, is_doubtful in card.reasons.items():
            if is_doubtful:
                st.badge(title, color="violet", icon=":material/help:", help="A reason to doubt that it is a negative.")
        if card.truth_grade is not None and not card.is_known_positive:
            relevant = card.truth_grade >= 1
            st.badge(
                f"truth: relevant (grade {card.truth_grade})" if relevant else "truth: not known as relevant",
                color="violet" if relevant else "gray",
                icon=":material/diamond:" if relevant else None,
                help="The fuller judgements of this corpus, used for auditing only. Training never sees them.",
            )
        if card.times_used:
            st.badge(f"used {card.times_used} x, mean weight {card.weight:.3g}", color="orange", help=WEIGHT_HELP)
    sentence = card.fate
    for rule, title in RULES.items():
        sentence = sentence.replace(f"refused by {rule}.", f"refused: {title}.")
    st.markdown(f"**{plain(sentence)}**")


def _sources(card: WhyCard, key: str) -> None:
    names = {CROSS: "cross-encoder, p"}
    columns = {
        "source": [names.get(view.name, view.name) for view in card.sources],
        "rank": [view.rank for view in card.sources],
        "score": [view.score for view in card.sources],
        "s+ rank": [view.positive_rank for view in card.sources],
        "s+": [view.positive_score for view in card.sources],
        "margin": [view.margin for view in card.sources],
    }
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        placeholder="",
        key=f"{key}.sources",
        column_config={
            "rank": st.column_config.NumberColumn(
                width=60, help="Over the whole corpus, 1 = first. Empty: no word in common, or a source that only reads pairs."
            ),
            "score": st.column_config.NumberColumn(
                format="%.3f", width=70, help="On the source's own scale; larger = closer. The cross-encoder's is a probability."
            ),
            "s+ rank": st.column_config.NumberColumn(width=70, help="Of the query's lowest-scored positive, by the same source."),
            "s+": st.column_config.NumberColumn(format="%.3f", width=70, help="The score of the query's lowest-scored positive."),
            "margin": st.column_config.NumberColumn(format="%+.3f", width=70, help="s+ - s-. Negative: it scores above the positive."),
        },
    )


def _terms(card: WhyCard, key: str) -> None:
    if not card.terms:
        st.caption("The query shares no word with the candidate or with its best positive.")
        return
    most = max(max(mine, theirs) for _, mine, theirs in card.terms) or 1.0
    bar = {"format": "%.2f", "min_value": 0.0, "max_value": most}
    st.dataframe(
        {
            "shared word": [term for term, _, _ in card.terms],
            "candidate": [max(0.0, mine) for _, mine, _ in card.terms],
            "best positive": [max(0.0, theirs) for _, _, theirs in card.terms],
        },
        hide_index=True,
        width="stretch",
        height=35 * (min(5, len(card.terms)) + 1) + 3,
        key=f"{key}.terms",
        column_config={
            "candidate": st.column_config.ProgressColumn(help="What the word adds to the candidate's BM25 score.", **bar),
            "best positive": st.column_config.ProgressColumn(help="What it adds to that of the best-scored positive.", **bar),
        },
    )


def _history(card: WhyCard, key: str) -> None:
    moments = card.history
    refused = [", ".join(RULES.get(r, r) for r, passes in m.verdicts.items() if not passes) for m in moments]
    columns = {
        "step": [m.step for m in moments],
        "lane": [f"{m.lane + 1}: {m.source}" for m in moments],
        "rank": [m.rank for m in moments],
        "s-": [m.score for m in moments],
        "s+": [m.positive_score for m in moments],
        "margin": [m.margin for m in moments],
        "decided": ["kept" if m.rule == "kept" else f"refused: {RULES.get(m.rule, m.rule)}" for m in moments],
        "used": [m.times_used for m in moments],
        "weight": [None if math.isnan(m.weight) else m.weight for m in moments],
        "rules against it": [text or "none" for text in refused],
    }
    number = st.column_config.NumberColumn
    has_chart = len({m.step for m in moments}) > 1
    table, chart = st.columns([3, 2], gap="medium") if has_chart else (st.container(), None)
    with table:
        st.markdown("**Each time that it was looked at**")
        st.dataframe(
            columns,
            hide_index=True,
            width="stretch",
            height=35 * (min(7, len(moments)) + 1) + 3,
            key=f"{key}.history",
            placeholder="",
            column_config={
                "step": number(width=45, help="Training step of the mining."),
                "lane": st.column_config.TextColumn(width=65, help="Lane of the recipe and its source."),
                "rank": number(width=45, help="In the source's own list, before any rule."),
                "s-": number(format="%.3f", width=55, help="Its score by the model of that moment."),
                "s+": number(format="%.3f", width=55, help="The query's lowest positive, by the same model."),
                "margin": number(format="%+.3f", width=60),
                "decided": st.column_config.TextColumn(width=90, help="The first rule that refused it, or kept."),
                "rules against it": st.column_config.TextColumn(width=110, help="Every rule that would refuse it, also behind the first."),
                "used": number(width=45, help="Times that it was in the loss until the next mining."),
                "weight": number(format="%.3g", width=60, help=WEIGHT_HELP),
            },
        )
    if chart is not None:
        with chart:
            draw(_score_figure(card), key=f"{key}.scores")
            st.caption("A large cross: trained against until the next mining.")


def _score_figure(card: WhyCard) -> go.Figure:
    """s- and s+ over the minings; each use is a filled mark."""
    steps = [m.step for m in card.history]
    figure = base_figure("", "training step", "score", height=250)
    lines = (
        ("positive (s+)", "positive", [m.positive_score for m in card.history]),
        ("candidate (s-)", "negative", [m.score for m in card.history]),
    )
    for name, role, values in lines:
        sizes = [11 if m.times_used else 7 for m in card.history] if role == "negative" else 8
        figure.add_trace(
            go.Scatter(
                x=steps,
                y=values,
                name=name,
                mode="lines+markers",
                line={"color": ROLE[role].colour, "width": 2},
                marker={"symbol": ROLE[role].symbol, "size": sizes, "color": ROLE[role].colour},
                hovertemplate="step %{x}: %{y:.3f}",
            )
        )
    return figure
