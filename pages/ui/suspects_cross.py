"""The corpus's cross-encoder on the Suspects page: trained by a button, in seconds, and then one more reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.bits import duration
from pages.ui.evidence import train_cross, trained_cross
from pages.ui.problems import problems_shown
from pages.ui.text import plain

if TYPE_CHECKING:
    from pages.ui.suspects_data import Doubted


def cross_encoder(doubted: Doubted) -> None:
    """What the cross-encoder is worth, or the way to train it."""
    corpus, model = doubted.corpus, trained_cross(doubted.corpus)
    if model is not None:
        report = model.report
        if not model.is_trained:
            st.caption(f":material/join_inner: {plain(report.note or 'The cross-encoder had too few labels to learn from.')}")
            return
        st.caption(
            f":material/join_inner: Cross-encoder trained in {duration(report.seconds)}: AUC {report.auc:.3f} on held-out queries' "
            f"pairs, calibration error {report.calibration_error:.3f}.",
            help="AUC: how often it puts a labelled positive above a sampled negative of a query that it did not learn from. "
            "Calibration error: how far its probabilities are from the shares that come true, on average.",
        )
        return
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        is_pressed = st.button("Train the cross-encoder", key="suspects.cross", icon=":material/join_inner:", type="tertiary")
        st.caption(
            "It reads query and document together and becomes one more reason; a few seconds, from the training labels only.",
            width="content",
        )
    if is_pressed:
        with st.spinner(f"Training a cross-encoder on the labels of {plain(corpus.name)} ..."), problems_shown():
            train_cross(corpus)
        st.rerun()
