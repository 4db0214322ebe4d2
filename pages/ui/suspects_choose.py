"""Whose negatives are doubted: a trial's, an imported set's, or the untrained model's best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import streamlit as st

from pages.ui.frame import empty
from pages.ui.suspects_data import IMPORTED, TRIAL, UNTRAINED, Doubted
from pages.ui.text import plain, shorten
from pages.ui.trials import corpus_link

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

SOURCES = {TRIAL: "A trial's negatives", IMPORTED: "The imported set", UNTRAINED: "Untrained model's best"}
# A change of what is looked at starts the list again.
RESETS = ("page", "doc", "why", "query")


def choose_doubted(session: Session) -> Doubted:
    """The choice of the link, drawn in the heading's row; ends the page where the link's trial cannot be shown."""
    link = session.link
    if link.corpus is None and link.trial is not None:
        link.set(corpus=corpus_link(session.store.get(link.trial)))
    corpus = session.need_corpus()
    rows = {r.id: r for r in session.store.list(fingerprint=corpus.fingerprint) if r.state != "queued" and r.recipe.get("mined")}
    if link.trial is not None and link.trial not in rows:
        _elsewhere(session)
    offered = [TRIAL] * bool(rows) + [IMPORTED] * (corpus.imported is not None) + [UNTRAINED]
    first = TRIAL if link.trial in rows else IMPORTED if corpus.imported is not None else offered[0]
    heading, source_cell, trial_cell = st.columns([1.5, 2, 2.9], gap="medium", vertical_alignment="bottom")
    heading.title("Suspects", anchor=False)
    with source_cell:
        source = link.bind(
            st.selectbox,
            "source",
            "Doubted",
            options=offered,
            default=first,
            format_func=SOURCES.get,
            resets=RESETS,
            help="The untrained model's best: what mining with it would pick for each training query, before any training.",
        )
    row = None
    with trial_cell:
        if source == TRIAL:
            row = rows[_choose_trial(session, rows)]
        else:
            _say(corpus.name, source, bool(rows))
    return Doubted(session, corpus, source, row)


def _choose_trial(session: Session, rows: dict[str, TrialRow]) -> str:
    names = {i: shorten(row.name, 60) + ("" if row.state == "finished" else f" ({row.state})") for i, row in rows.items()}
    return session.link.bind(
        st.selectbox, "trial", "Trial", options=list(rows), default=next(iter(rows)), format_func=names.get, resets=RESETS
    )


def _say(name: str, source: str, has_trials: bool) -> None:
    told = {
        IMPORTED: f"The negatives that came with {shorten(name, 40)}, scored by the untrained encoder. Nothing needs to be trained.",
        UNTRAINED: "The 30 documents that the untrained encoder puts first for each training query, its positives left out.",
    }[source]
    more = "" if has_trials else " No trial of this corpus has mined yet."
    st.caption(plain(f"{told}{more}"))


def _elsewhere(session: Session) -> None:
    """The link's trial mines nothing, waits, was trained on another corpus, or is gone."""
    link = session.link
    wanted = next((row for row in session.store.list() if row.id == link.trial), None)
    if wanted is None:
        st.warning("The trial of this link is not in this workspace.", icon=":material/link_off:")
    elif corpus_link(wanted) != link.corpus:
        name = shorten(wanted.name, 60)
        _end(f"{name} was trained on another corpus.", "Go to its corpus", "suspects", corpus=corpus_link(wanted), trial=wanted.id)
    else:
        why = "waits for its turn" if wanted.state == "queued" else "mines nothing: its negatives are whatever shared a batch"
        st.info(f"{plain(shorten(wanted.name, 60))} {why}. Another set of negatives is shown.", icon=":material/info:")
    link.forget("trial")


def _end(sentence: str, label: str, page: str, **state: Any) -> NoReturn:
    st.title("Suspects", anchor=False)
    empty(sentence, label, page, icon=":material/gpp_maybe:", **{"query": None, **state})
    st.stop()
