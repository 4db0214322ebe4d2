"""Small things that several pages show alike: tiles, states, times."""

from __future__ import annotations

import time
from collections.abc import Mapping

import streamlit as st

from pages.ui.text import plain

STATES = {
    "queued": ("gray", ":material/hourglass_empty:"),
    "running": ("blue", ":material/play_circle:"),
    "stopping": ("orange", ":material/pending:"),
    "stopped": ("orange", ":material/stop_circle:"),
    "interrupted": ("orange", ":material/power_off:"),
    "failed": ("red", ":material/error:"),
    "finished": ("green", ":material/check_circle:"),
}


def tiles(values: Mapping[str, str | int | float], *, helps: Mapping[str, str] | None = None) -> None:
    """Figures side by side, wrapping where the page is narrow; whole numbers with thousands marks."""
    with st.container(horizontal=True, gap="small"):
        for label, value in values.items():
            text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else value
            st.metric(label, text, help=(helps or {}).get(label), border=True, width=158)


def state_badge(state: str, *, help: str | None = None) -> None:
    """The state of a trial, with a colour and an icon; ``help`` is Markdown."""
    colour, icon = STATES.get(state, ("gray", ":material/help:"))
    st.badge(plain(state), color=colour, icon=icon, help=help)  # type: ignore[arg-type]


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2.5 h``, ``4 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds / 3600:.2g} h"
    return f"{seconds / 86_400:.0f} days"


def ago(t: float | None) -> str:
    """How long before now ``t`` (seconds since the epoch) was."""
    return "" if t is None else f"{duration(max(0.0, time.time() - t))} ago"
