"""What the Train page knows of a trial at one moment, read bit by bit and shared by all visitors."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from core.lab.view import TrialView

# A view appends to what it has read; two visitors at once would append the same events twice.
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Seen:
    """One trial: its row, and plain copies of what its folder tells."""

    row: TrialRow
    curve: list[dict[str, Any]] = field(default_factory=list)
    baselines: dict[str, dict[str, float]] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    losses: list[tuple[float, float, float]] = field(default_factory=list)
    refreshes: list[dict[str, Any]] = field(default_factory=list)
    vitals: list[dict[str, Any]] = field(default_factory=list)
    staleness: list[dict[str, Any]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    failure: dict[str, Any] | None = None


@st.cache_resource(max_entries=512, show_spinner=False)
def _view(folder: str) -> TrialView:
    from core.lab.view import TrialView

    return TrialView(folder)


def seen(row: TrialRow) -> Seen:
    """The trial as its folder is now."""
    view = _view(str(Path(row.folder)))
    with _LOCK:
        done = [e for e in view.events("progress") if e.get("loss") is not None]
        return Seen(
            row,
            view.curve(),
            view.baselines(),
            view.progress(),
            [(e.get("step") or 0, e.get("seconds") or 0.0, e["loss"]) for e in done],
            view.events("refresh"),
            view.events("vital"),
            view.events("staleness"),
            view.log(),
            view.failure,
        )
