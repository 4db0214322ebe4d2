"""Where a comparison opens when one trial repeats another with verdicts: what the verdicts changed, by labels and by truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.audit.compare import LEVEL, sentence
from core.audit.retrained import LABELS, TRUTH, Change, changes, judged_queries, retrained_pairs, verdict_counts
from core.evaluate.metrics import MEASURES
from core.train.results import TrialResults
from pages.ui import charts
from pages.ui.looks import draw
from pages.ui.retrain import KIND_TITLES, USE_TITLES
from pages.ui.text import plain, shorten
from pages.ui.travel import page_link

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.compare_data import Chosen
    from pages.ui.frame import Session
    from pages.ui.links import Link

LISTED = 200
HEIGHT = 300
TITLES = {LABELS: "Judged by the labels", TRUTH: "Judged by the truth"}
HELPS = {
    LABELS: "The test judgements, as in any benchmark. A document that no label names counts as wrong, also where it is right.",
    TRUTH: "The fuller judgements of this corpus: documents that no label names count too. Audit only; training sees neither.",
}


def retrained_view(session: Session, chosen: Chosen, measure: str) -> None:
    """Nothing unless one of the chosen trials repeats another of them with verdicts."""
    rows = {row.id: row for row in chosen.rows}
    pairs = retrained_pairs({row.id: row.config for row in chosen.rows})
    if not pairs:
        return
    st.subheader("What the verdicts changed", anchor=False)
    if len(pairs) > 1:
        options = {child: f"{shorten(rows[parent].name, 40)} → {shorten(rows[child].name, 50)}" for parent, child in pairs}
        child_id = session.link.bind(st.selectbox, "retrained", "Which of them", options=list(options), format_func=options.get)
        pairs = [pair for pair in pairs if pair[1] == child_id]
    earlier, retrained = (rows[trial_id] for trial_id in pairs[0])
    _what_was_done(earlier, retrained)
    found = _changes((str(earlier.folder), earlier.ended, str(retrained.folder), retrained.ended, earlier.name, retrained.name))
    for cell, change in zip(st.columns(2, gap="medium"), found, strict=False):
        with cell:
            _one_way(change, measure)
    _queries(session.link, chosen, found, measure, earlier, retrained)
    st.subheader("All chosen trials", anchor=False)


@st.cache_resource(max_entries=16, show_spinner=False)
def _changes(key: tuple) -> list[Change]:
    from pathlib import Path

    before, _, after, _, before_name, after_name = key
    trials = [TrialResults(Path(before)), TrialResults(Path(after))]
    names = {trials[0].folder.name: before_name, trials[1].folder.name: after_name}
    return changes(*trials, names=names)


@st.cache_data(max_entries=16, show_spinner=False)
def _counts(folder: str, ended: float | None) -> dict[str, int]:
    return verdict_counts(TrialResults(folder))


@st.cache_data(max_entries=16, show_spinner=False)
def _judged(folder: str, ended: float | None, _corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    return judged_queries(TrialResults(folder), _corpus)


def _what_was_done(earlier: TrialRow, retrained: TrialRow) -> None:
    counts = _counts(str(retrained.folder), retrained.ended)
    told = ", ".join(f"{counts[kind]:,} {title}" for kind, title in KIND_TITLES.items() if counts.get(kind))
    use = retrained.config.get("verdict_use", "drop")
    weight = f" to {retrained.config.get('verdict_weight'):g} of their weight" if use == "down-weight" else ""
    way = f"verdicts ({told}), used to **{USE_TITLES[use].lower()}{weight}**" if told else "no verdicts"
    st.markdown(
        f"**{plain(shorten(retrained.name, 70))}** repeats **{plain(shorten(earlier.name, 70))}** with {way}. "
        "Recipe, encoder, settings and seed are the same."
    )


def _one_way(change: Change, measure: str) -> None:
    earlier, retrained = change.comparison.systems[:2]
    difference = change.differences[measure]
    st.markdown(f"**{TITLES[change.judged_by]}**", help=HELPS[change.judged_by])
    bands = [earlier.band(measure), retrained.band(measure)]
    figure = charts.bars_with_bands(
        ["before", "with verdicts"],
        [b.mean for b in bands],
        [b.low for b in bands],
        [b.high for b in bands],
        f"{measure} (mean, 95 % band)",
        title=measure,
        n=bands[0].n_queries,
    )
    draw(figure, key=f"retrained.{change.judged_by}")
    icon = ":material/drag_handle:" if difference.p > LEVEL else f":material/trending_{'up' if difference.mean > 0 else 'down'}:"
    text = sentence("training with verdicts", "without them", difference, difference.p, measure)
    text = plain(text[0].upper() + text[1:])
    st.markdown(f"{icon} {text}" if difference.p <= LEVEL else f":gray[{icon} {text}]")
    tally = next(t for t in change.tallies if t.measure == measure)
    counted = f"{tally.n_wins:,} queries better, {tally.n_losses:,} worse, {tally.n_ties:,} the same."
    st.caption(f"By {measure}: {counted}")
    _figures(change)


def _figures(change: Change) -> None:
    earlier, retrained = change.comparison.systems[:2]
    differences = [change.differences[m] for m in MEASURES]
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        {
            "measure": list(MEASURES),
            "before": [earlier.mean(m) for m in MEASURES],
            "after": [retrained.mean(m) for m in MEASURES],
            "change": [d.mean for d in differences],
            "95 % band": [f"{d.low:+.3f} to {d.high:+.3f}".replace("0.", ".") for d in differences],
            "p": [f"{d.p:.3f}" if d.p >= 0.001 else "< .001" for d in differences],
        },
        hide_index=True,
        width="stretch",
        key=f"retrained.figures.{change.judged_by}",
        column_config={
            # As wide as two tables side by side can be in a window of 1024 pixels.
            "measure": text(width=80),
            "before": number(format="%.3f", width=52),
            "after": number(format="%.3f", width=52),
            "change": number(format="%+.3f", width=62, help="Mean over the queries of after - before."),
            "95 % band": text(width=112, help="Of the change: bootstrap over the queries, 10,000 times."),
            "p": text(width=54, help="Paired randomisation test, two-sided; one test a measure, not corrected."),
        },
    )


def _queries(link: Link, chosen: Chosen, found: list[Change], measure: str, earlier: TrialRow, retrained: TrialRow) -> None:
    left, right = st.columns([3, 2], gap="medium")
    change = found[-1] if chosen.against_truth else found[0]
    with left:
        _held_out(link, chosen.corpus, change, measure)
    with right:
        _training(chosen.corpus, earlier, retrained)


def _held_out(link: Link, corpus: Corpus, change: Change, measure: str) -> None:
    places, gains = change.changed(measure)
    places, gains = places[:LISTED], gains[:LISTED]
    st.markdown(f"**Held-out queries whose {measure} changed** :gray[({change.judged_by})]")
    if not len(places):
        st.info("No held-out query changed.", icon=":material/drag_handle:")
        return
    before, after = (system.values[measure][places] for system in change.comparison.systems[:2])
    query_rows = change.comparison.query_rows[places]
    ids = corpus.query_ids(query_rows)

    def pick() -> None:
        picked = st.session_state["retrained.changed"]["selection"]["rows"]
        if picked:
            link.set(query=ids[picked[0]])

    st.dataframe(
        {"query": corpus.query_texts(query_rows), "before": before, "after": after, "change": gains},
        hide_index=True,
        width="stretch",
        height=HEIGHT,
        on_select=pick,
        selection_mode="single-row",
        key="retrained.changed",
        column_config={
            "query": st.column_config.TextColumn(width=220),
            "before": st.column_config.NumberColumn(format="%.3f", width=60),
            "after": st.column_config.NumberColumn(format="%.3f", width=60),
            "change": st.column_config.NumberColumn(format="%+.3f", width=65),
        },
    )
    st.caption("The most changed first. Tick the box left of a row: its two ranked lists stand at the end of the page.")


def _training(corpus: Corpus, earlier: TrialRow, retrained: TrialRow) -> None:
    rows, counts = _judged(str(retrained.folder), retrained.ended, corpus)
    st.markdown("**Training queries with judged pairs**", help="False negatives and near-duplicates among the verdicts, by query.")
    if not len(rows):
        st.caption("The verdicts name no training query.")
        return
    n_queries = len(rows)
    rows, counts = rows[:LISTED], counts[:LISTED]
    event = st.dataframe(
        {"query": corpus.query_texts(rows), "judged": counts},
        hide_index=True,
        width="stretch",
        height=HEIGHT,
        on_select="rerun",
        selection_mode="single-row",
        key="retrained.judged",
        column_config={
            "query": st.column_config.TextColumn(width=220),
            "judged": st.column_config.NumberColumn(width=60, help="Its pairs judged false negatives or near-duplicates."),
        },
    )
    picked = event["selection"]["rows"]
    query_id = corpus.query_ids([rows[picked[0] if picked else 0]])[0]
    st.caption(f"{'The ticked' if picked else 'The first'} of {n_queries:,} queries: see its negatives")
    with st.container(horizontal=True, gap="small"):
        for label, row in (("before", earlier), ("with verdicts", retrained)):
            page_link("negatives", label, trial=row.id, query=query_id, refresh=None)
