"""The live part of the Train page: charts of the chosen trials, and one row for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.export import export_asked
from pages.ui.links import MAX_TRIALS
from pages.ui.live import live
from pages.ui.text import shorten
from pages.ui.train_charts import INSIDE_LABELS, inside_chart, measure_chart, measures
from pages.ui.train_rows import details, trial_row, undo_deleted
from pages.ui.train_seen import seen
from pages.ui.train_submit import WAITING, first_shown
from pages.ui.travel import page_button

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

EVERY_SECONDS = 1.0


def corpus_trials(session: Session, corpus: Corpus) -> list[TrialRow]:
    """The trials of the corpus, this visitor's first, each newest first."""
    rows = session.store.list(fingerprint=corpus.fingerprint)
    return sorted(rows, key=lambda row: row.owner != session.owner)


def watch(session: Session, corpus: Corpus) -> None:
    """Choose which trials are drawn, then draw them, again and again while one of them runs."""
    link = session.link
    undo_deleted(session)
    export_asked(session)
    known = {row.id: row for row in corpus_trials(session, corpus)}
    if not known:
        st.info(
            "No trial of this corpus yet. Choose recipes above and press Train; the curves grow here.",
            icon=":material/monitoring:",
        )
        return
    _keep_known(session, known)
    default = first_shown(known.values())
    choice = st.container()
    measure_cell, x_cell, inside_cell, _ = st.columns([1.5, 1.5, 2, 2], gap="small", vertical_alignment="bottom")
    with choice:
        ids = link.bind(
            st.multiselect,
            "trials",
            "Trials shown",
            options=list(known),
            default=default,
            format_func=lambda i: _label(known[i]),
            max_selections=MAX_TRIALS,
        )
    with measure_cell:
        measure = link.bind(
            st.selectbox,
            "measure",
            "Measure",
            options=measures(),
            help="On the held-out queries, against the whole corpus. nDCG uses the grade itself as gain.",
        )
    with x_cell:
        x = link.bind(
            st.segmented_control,
            "over",
            "Over",
            options=["steps", "seconds"],
            help="Seconds of work: training, mining and measuring; the time in the queue does not count.",
        )
    with inside_cell:
        has_truth = corpus.truth is not None
        inside = link.bind(
            st.selectbox,
            "inside",
            "Inside the training",
            options=[name for name in INSIDE_LABELS if has_truth or name != "false"],
            format_func=INSIDE_LABELS.get,
            help="What the training itself reports. At each mining: of the candidates that no rule refused. In the loss: "
            "of the negatives trained on since the last measurement. The last batch of an epoch is smaller, so its loss is lower.",
        )

    def is_anything_going() -> bool:
        return any(session.store.list(states=WAITING, fingerprint=corpus.fingerprint))

    @live(EVERY_SECONDS, while_=is_anything_going)
    def moving() -> None:
        _moving(session, ids, measure, x, inside)

    moving()


def _moving(session: Session, ids: list[str], measure: str, x: str, inside: str) -> None:
    now = {row.id: row for row in session.store.list() if row.id in ids}
    trials = [seen(now[i]) for i in ids if i in now]
    wide, narrow = st.columns([3, 2], gap="medium")
    with wide:
        measure_chart(trials, measure, x)
    with narrow:
        inside_chart(trials, inside, x)
    waiting = list(session.store.queue()) if any(t.row.state == "queued" for t in trials) else []
    for place, trial in enumerate(trials):
        trial_row(session, trial, place, waiting)
    finished = [t.row.id for t in trials if t.row.state == "finished"]
    with st.container(horizontal=True, horizontal_alignment="right"):
        page_button(
            f"Compare {len(finished)} finished trials" if len(finished) > 1 else "Compare",
            "compare",
            key="compare",
            icon=":material/compare_arrows:",
            disabled=len(finished) < 2,
            help=None if len(finished) > 1 else "Two finished trials are needed.",
            trials=finished,
        )
    if trials:
        with st.expander("Log and minings", icon=":material/receipt_long:"):
            for tab, trial in zip(st.tabs([shorten(t.row.name, 32) for t in trials]), trials, strict=True):
                with tab:
                    details(trial)


def _keep_known(session: Session, known: dict[str, TrialRow]) -> None:
    """A trial of another corpus or one that is gone leaves the link; the link's single trial joins."""
    link = session.link
    kept = [i for i in link.trials if i in known]
    if link.trial in known and link.trial not in kept and kept:
        kept = [*kept, link.trial][-MAX_TRIALS:]
    elif link.trial in known and not kept and link.trial not in first_shown(known.values()):
        kept = [link.trial]
    if kept != link.trials:
        link.set(trials=kept or None)


def _label(row: TrialRow) -> str:
    value = row.headline.get("RR@10") if row.state == "finished" else None
    end = "" if value is None else f" · RR@10 {value:.3f}"
    return shorten(row.name, 48) + end
