"""Retraining a trial with what people decided: the button, what it will do, and the way to the comparison."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ParameterError
from core.sampling.decisions import DOWN_WEIGHT, DROP, FALSE_NEGATIVE, NEAR_DUPLICATE, PROMOTE, REFUSED, TRUE_NEGATIVE, UNSURE, USES
from pages.ui.bits import state_badge
from pages.ui.problems import problems_shown
from pages.ui.text import plain, shorten
from pages.ui.travel import go, page_link

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

USE_TITLES = {DROP: "Drop", DOWN_WEIGHT: "Down-weight", PROMOTE: "Promote"}
USE_CAPTIONS = {
    DROP: "Never a negative: refused when mined, masked in batches and queues.",
    DOWN_WEIGHT: "Still a negative, with a share of its weight in the loss.",
    PROMOTE: "Dropped, and false negatives become positives to train on; held-out labels stay as they are. On the lab sample only "
    "this made the model better against truth.",
}
KIND_TITLES = {
    FALSE_NEGATIVE: "false negatives", NEAR_DUPLICATE: "near-duplicates", TRUE_NEGATIVE: "true negatives", UNSURE: "unsure",
}  # fmt: skip


def retrain_button(session: Session, trial_row: TrialRow, *, key: str) -> None:
    """A button that queues the trial again with the decided verdicts and goes to Train; below it what was retrained before."""
    decided = session.verdicts.decided(trial_row.corpus_fingerprint)
    counts = Counter(decided.values())
    n_useful = sum(counts[kind] for kind in REFUSED)
    is_ready = n_useful > 0 and trial_row.state == "finished"
    with st.container(horizontal=True, gap="small", vertical_alignment="center", key=f"{key}.all"):
        why_not = "" if is_ready else "Judge some pairs first." if not n_useful else "Wait until the trial has finished."
        with (
            st.popover(
                "Retrain with verdicts",
                icon=":material/model_training:",
                type="primary" if is_ready else "secondary",
                disabled=not is_ready,
                help=why_not or "The same recipe, encoder, settings and seed, with what people decided.",
                key=f"{key}.open",
            ),
            problems_shown(),
        ):
            if is_ready:  # nothing is drawn into a popover that cannot be opened
                _form(session, trial_row, decided, counts, key)
        st.caption(_said(counts))
    for child in _children(session, trial_row):
        _child(trial_row, child)


def _said(counts: Counter[str]) -> str:
    told = [f"{counts[kind]:,} {title}" for kind, title in KIND_TITLES.items() if counts[kind]]
    return "Decided: " + ", ".join(told) + "." if told else "Nothing is decided yet."


def _form(session: Session, row: TrialRow, decided: dict[tuple[str, str], str], counts: Counter[str], key: str) -> None:
    st.markdown(f"**{plain(shorten(row.name, 50))}** again, the same but for the {sum(counts[kind] for kind in REFUSED):,} judged pairs")
    use = st.radio(
        "What becomes of them",
        list(USES),
        format_func=USE_TITLES.get,
        captions=[USE_CAPTIONS[use] for use in USES],
        key=f"{key}.use",
    )
    weight = None
    if use == DOWN_WEIGHT:
        weight = st.slider("Share of the weight that is kept", 0.01, 1.0, 0.1, 0.01, key=f"{key}.weight")
    if st.button("Train again", icon=":material/play_arrow:", type="primary", key=f"{key}.train"):
        child = _submit(session, row, decided, use, weight)
        go("train", trial=child.id, trials=[row.id, child.id], query=None, refresh=None)


def _submit(session: Session, row: TrialRow, decided: dict[tuple[str, str], str], use: str, weight: float | None) -> TrialRow:
    from core.lab.retrain import submit_retrain

    if not decided:
        raise ParameterError("Nothing is decided yet. Judge some pairs first.")
    child = submit_retrain(session.store, row.id, decided, use=use, weight=weight, owner=session.owner)
    session.scheduler.wake()
    return child


def _children(session: Session, row: TrialRow) -> list[TrialRow]:
    """The trials that repeat this one, the newest first, three at most."""
    rows = session.store.list(fingerprint=row.corpus_fingerprint)
    return [other for other in rows if (other.config or {}).get("like") == row.id][:3]


def _child(row: TrialRow, child: TrialRow) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        state_badge(child.state)
        st.markdown(plain(shorten(child.name, 60)), width="content")
        if child.state == "finished" and row.state == "finished":
            page_link("compare", "What changed", icon=":material/compare_arrows:", trials=[row.id, child.id], trial=None, query=None)
        else:
            page_link("train", "Watch", icon=":material/monitoring:", trials=[row.id, child.id], trial=child.id)
