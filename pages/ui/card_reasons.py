"""The reasons to doubt a candidate on its card: each with its value, its threshold and what it means."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.text import plain

if TYPE_CHECKING:
    from core.audit.card import WhyCard
    from core.audit.evidence import Evidence
    from core.audit.reason import Reason
    from pages.ui.card_dialog import Desk


@dataclass(frozen=True)
class Said:
    """One reason's word on one pair: its doubt (NaN = cannot be said, and then why)."""

    reason: Reason
    doubt: float
    is_flagged: bool
    missing: str


def said_of(evidence: Evidence, reasons: Sequence[Reason], query_row: int, doc_row: int) -> list[Said]:
    """What each reason says of the pair, those that doubt it first."""
    pair = np.array([query_row], np.int64), np.array([doc_row], np.int64)
    found = []
    for reason in reasons:
        missing = reason.missing(evidence)
        doubt = np.array([np.nan], np.float32) if missing else reason.doubt(*pair, evidence)
        found.append(Said(reason, float(doubt[0]), bool(reason.flag(doubt)[0]), missing))
    return sorted(found, key=lambda said: (not said.is_flagged, math.isnan(said.doubt)))


def draw_evidence(desk: Desk, card: WhyCard, key: str) -> None:
    """The reasons' part of the card; a known positive has none."""
    if desk.evidence is None or card.is_known_positive:
        return
    from core.audit.reasons import default_reasons

    chosen = {reason.key: reason for reason in desk.reasons}
    reasons = [chosen.get(reason.key, reason) for reason in default_reasons()]
    with st.spinner("Asking every reason ..."):
        said = said_of(desk.evidence(), reasons, card.query_row, card.doc_row)
    draw_reasons(said, key)


def draw_reasons(said: Sequence[Said], key: str) -> None:
    """Every reason as a row: flag, value, threshold, idea; those that cannot be said here below, with why."""
    known = [one for one in said if not one.missing]
    n = sum(one.is_flagged for one in known)
    with st.expander(f"Reasons to doubt it: {n} of {len(known)}", icon=":material/help:", expanded=True):
        st.dataframe(
            {
                " ": ["◆" if one.is_flagged else "" for one in known],
                "reason": [one.reason.title for one in known],
                "value": [None if math.isnan(one.doubt) else one.doubt for one in known],
                "from": [one.reason.threshold for one in known],
                "what it means": [one.reason.idea() for one in known],
            },
            hide_index=True,
            width="stretch",
            height=35 * (min(7, len(known)) + 1) + 3,
            key=f"{key}.reasons",
            placeholder="",
            column_config={
                " ": st.column_config.TextColumn(width=30, help="◆ the value reaches the threshold: a reason to doubt."),
                "reason": st.column_config.TextColumn(width=190),
                "value": st.column_config.NumberColumn(format="%.3f", width=60, help="Larger = more doubt. Empty: cannot be said."),
                "from": st.column_config.NumberColumn(format="%.3g", width=55, help="The threshold from which it counts as a doubt."),
            },
        )
        for one in said:
            if one.missing:
                st.caption(f"{plain(one.reason.title)}: {plain(one.missing)}.")
