"""The Negatives page of a corpus that came with negatives: a mined set of somebody else's, looked at without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.corpus_imported import imported

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session

SETS = {"trial": ":material/science: A trial's", "imported": ":material/move_to_inbox: Imported"}


def show_imported(session: Session, corpus: Corpus, *, has_trials: bool) -> bool:
    """Whether the imported set was drawn: where it is chosen, or there is no trial to show instead."""
    if corpus.imported is None:
        return False
    chosen = "imported"
    if has_trials:
        default = "trial" if session.link.trial else "imported"
        chosen = session.link.bind(
            st.segmented_control, "set", "Negatives", options=list(SETS), default=default, format_func=SETS.get, resets=("doc", "query")
        )
    if chosen == "trial":
        return False
    st.title("Negatives", anchor=False)
    imported(session, corpus)
    return True
