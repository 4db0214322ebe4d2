"""Which trial the map shows: the link's, or a list to choose from; and what to do while it has no snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.errors import TrialError
from pages.ui.bits import ago, state_badge
from pages.ui.frame import empty
from pages.ui.live import live
from pages.ui.map_data import Trial
from pages.ui.problems import show_user_error
from pages.ui.text import plain, shorten
from pages.ui.travel import page_button, page_link
from pages.ui.trials import MEASURE, corpus_link

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

ACTIVE = ("queued", "running", "stopping")
LISTED = 30


def chosen_trial(session: Session) -> TrialRow | None:
    """The link's trial; without one (or with one that is gone) the list to choose from is drawn."""
    if session.link.trial is not None:
        try:
            return session.store.get(session.link.trial)
        except TrialError as error:
            show_user_error(error)
    _list(session)
    return None


def _list(session: Session) -> None:
    fingerprint = session.corpus().fingerprint if session.link.corpus else None
    rows = [row for row in session.store.list(fingerprint=fingerprint) if row.state != "queued"]
    st.title("Map", anchor=False)
    st.markdown(":gray[Where a trial puts queries, their positives and their negatives, from snapshot to snapshot.]")
    if not rows:
        of = " of this corpus" if fingerprint else ""
        empty(f"There is no trial{of} to draw yet.", "Train one", "train", icon=":material/science:")
        return
    st.markdown("**Choose a trial**")
    with st.container(border=True, gap="xsmall"):
        for row in rows[:LISTED]:
            name, state, corpus, quality, age = st.columns([4.2, 1.6, 2.1, 1.4, 1.4], vertical_alignment="center")
            with name:
                page_link(
                    "map",
                    f"**{plain(shorten(row.name, 48))}**",
                    trial=row.id,
                    corpus=corpus_link(row),
                    refresh=None,
                )
            with state:
                state_badge(row.state)
            corpus.caption(plain(shorten(row.corpus_name or row.corpus, 32)))
            value = (row.headline or {}).get(MEASURE)
            quality.caption(f"{MEASURE} **{value:.3f}**" if isinstance(value, (int, float)) else "")
            age.caption(ago(row.created))


def opened(session: Session, row: TrialRow) -> Trial | None:
    """The trial with its corpus; None, with what to do drawn, where there is nothing to map."""
    from core.train.results import TrialResults

    link = corpus_link(row)
    with st.spinner("Loading the corpus ..."):
        corpus = session.corpus(link)
    if session.link.corpus != link:
        session.link.set(corpus=link)
    results = TrialResults(row.folder)
    steps = results.snapshots()
    if steps and row.corpus_fingerprint not in ("", corpus.fingerprint):
        raise TrialError(
            f"The corpus {corpus.name} has changed since {row.name} was trained on it, so its vectors no longer fit. "
            "Train it again."
        )
    if steps and len(results.snapshot(steps[0]).documents) == corpus.n_documents:
        trial = Trial(row.id, corpus, results, tuple(steps))
        if len(trial.order):
            return trial
    st.title(plain(row.name), anchor=False)
    if row.state in ACTIVE:
        with st.container(border=True):
            state_badge(row.state)
            st.markdown("No snapshot has been written yet. The map appears here with the first one.")
            page_link("train", "Watch it on the Train page")
        _wait(session, row, 0)
    else:
        with st.container(border=True):
            state_badge(row.state, help=plain(shorten(row.message, 300)) or None)
            st.markdown("This trial ended before it wrote a snapshot, so there is nothing to draw.")
            page_button("See what happened", "train", key="map.to-train")
    return None


def watch_snapshots(session: Session, row: TrialRow, n_snapshots: int) -> None:
    """While the trial trains: say so, and draw the page again when it has written another snapshot."""
    if row.state in ACTIVE:
        planned = row.config.get("snapshots")
        st.caption(f":material/play_circle: Still training: {n_snapshots} of up to {planned} snapshots so far.")
        _wait(session, row, n_snapshots)


def _wait(session: Session, row: TrialRow, n_snapshots: int) -> None:
    from core.train.results import TrialResults

    def is_waiting() -> bool:
        return session.store.get(row.id).state in ACTIVE

    @live(2.0, while_=is_waiting)
    def look() -> None:
        if len(TrialResults(row.folder).snapshots()) > n_snapshots:
            st.rerun()

    look()


def trial_switch(session: Session, row: TrialRow) -> None:
    """Another trial of the same corpus, seen with the same query."""
    rows = [row, *(r for r in session.store.list(fingerprint=row.corpus_fingerprint) if r.id != row.id)]
    rows = [r for r in rows if r.state != "queued"]
    names = {r.id: shorten(r.name, 60) for r in rows}
    key = "map.trial"
    if st.session_state.get(key) != row.id:
        st.session_state[key] = row.id

    def change() -> None:
        session.link.set(trial=st.session_state[key], refresh=None, step=None, doc=None)

    st.selectbox("Trial", list(names), key=key, format_func=names.get, on_change=change)
