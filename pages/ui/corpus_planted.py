"""Planted truth: hide some of the labels, and count how often each strategy falls for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.corpora import know
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session


def planted(session: Session, corpus: Corpus) -> None:
    """What hiding does, how much of it is possible here, and the button that opens the corpus with hidden positives."""
    from core.corpus.load import load_corpus
    from core.corpus.planted import PREFIX, n_hideable, planted_spec

    st.markdown(
        "How many of the negatives that a strategy mines are answers that nobody labelled? On most corpora nobody can say. "
        "Hide some of the labels from training and keep them as truth: then every page counts the false negatives."
    )
    spec = session.spec_of(session.link.corpus or "")
    if spec.startswith(PREFIX):
        st.info("Positives of this corpus are hidden already; the remarks from loading say how many.", icon=":material/visibility_off:")
        return
    most, possible = n_hideable(corpus)
    if not most:
        st.info(
            "No training query has two positives, so none can be hidden: each query must keep one. "
            "Take a corpus with several labels a query.",
            icon=":material/info:",
        )
        return
    share = session.link.bind(
        st.slider,
        "hide",
        "Share of the positives to hide",
        default=0.3,
        ge=0.05,
        le=1.0,
        step=0.05,
        width=480,
        help="Of the training positives of queries that have several.",
    )
    seed = session.link.bind(
        st.number_input, "hide_seed", "Seed", default=0, ge=0, le=2**31 - 1, width=160, help="Which of them are hidden."
    )
    n_hidden = min(most, max(1, round(share * possible)))
    st.caption(
        f"{n_hidden:,} of the {possible:,} training positives of queries with several will be hidden"
        + (f"; more than {most:,} cannot be, because each query keeps one." if n_hidden == most else ".")
        + (" This corpus has a truth of its own; the hidden ones are added to it." if corpus.truth is not None else "")
    )
    if st.button("Open the corpus with hidden positives", type="primary", icon=":material/visibility_off:"):
        wanted = planted_spec(spec, share, seed)
        with st.spinner(plain("Hiding ...")):
            found = load_corpus(wanted, cache=session.workspace.corpora)
        session.link.set(view=None, hide=None, hide_seed=None)
        know(session, found, wanted)
