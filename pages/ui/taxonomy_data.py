"""What the map of techniques knows: which trials of this corpus can be compared, and their figures, each made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.sampling.presets import PRESETS
from pages.ui import services
from pages.ui.recipe_checks import obstacles

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.sweep_figures import Measured
    from core.lab.tables import TrialRow
    from core.lab.techniques import Setting
    from pages.ui.frame import Session

MEASURES = ("RR@10", "nDCG@10", "R@100")
WAITING = ("queued", "running", "stopping")


@dataclass(frozen=True)
class Known:
    """Trials of the corpus: ``settings`` with finished ones, the most presets first; ``n_waiting``: trials that train or wait."""

    settings: list[Setting]
    n_waiting: int
    stamp: tuple

    def measured(self, setting: Setting, corpus: Corpus) -> dict[str, Measured]:
        """preset -> its figures."""
        return _measured((corpus.fingerprint, setting.key, self.stamp), setting, corpus)


def known_trials(session: Session, corpus: Corpus) -> Known:
    """What the workspace has trained, or trains, on this corpus."""
    rows: list[TrialRow] = list(session.store.list(fingerprint=corpus.fingerprint))
    finished = [row for row in reversed(rows) if row.state == "finished" and (row.folder / "result.json").exists()]
    stamp = tuple((str(row.folder), row.ended) for row in finished)
    n_waiting = sum(row.state in WAITING for row in rows)
    return Known(_settings((corpus.fingerprint, stamp), finished), n_waiting, stamp)


@st.cache_resource(max_entries=8, show_spinner=False)
def _settings(key: tuple, _finished: list[TrialRow]) -> list[Setting]:
    from core.lab.techniques import settings_of

    return settings_of((row.config, row.folder) for row in _finished)


@st.cache_resource(max_entries=8, show_spinner=False)
def _measured(key: tuple, _setting: Setting, _corpus: Corpus) -> dict[str, Measured]:
    from core.lab.sweep_figures import measure_trials

    return measure_trials(_setting.folders, _corpus, cache=services.workspace().cache / "sweep")


def unfit(corpus: Corpus, encoder: dict) -> dict[str, str]:
    """preset -> why it cannot be trained on this corpus with this encoder; the others are absent."""
    found = {name: " ".join(obstacles(preset.recipe, encoder, corpus)) for name, preset in PRESETS.items()}
    return {name: why for name, why in found.items() if why}
