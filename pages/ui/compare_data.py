"""What the Compare page knows of the chosen trials: comparison, bands, tests and ranked lists, each made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.recipe_mining import shared_context

if TYPE_CHECKING:
    from core.audit.compare import Comparison, System
    from core.corpus.corpus import Corpus
    from core.evaluate.significance import Band, Difference
    from core.lab.tables import TrialRow


@dataclass(frozen=True)
class Chosen:
    """The trials that are compared, and how; ``key`` names the figures in the server's memory."""

    corpus: Corpus
    rows: tuple[TrialRow, ...]
    against_truth: bool
    is_grouped: bool

    @property
    def key(self) -> tuple:
        folders = tuple((str(row.folder), row.ended, row.name) for row in self.rows)
        return (self.corpus.fingerprint, folders, self.against_truth, self.is_grouped)

    @property
    def comparison(self) -> Comparison:
        """Raises TrialError where the trials cannot be compared."""
        return _comparison(self.key, self)

    def bands(self, measure: str) -> list[Band]:
        """Of every system, in order."""
        return _bands(self.key, measure, self)

    def against_first(self, measure: str) -> list[tuple[int, Difference, float]]:
        """See :meth:`core.audit.compare.Comparison.against_first`."""
        return _against_first(self.key, measure, self)

    def ranking(self, system: System) -> np.ndarray:
        """int64 (Q, 100) of a trial, of the first of several seeds, or of a baseline."""
        row = self.row_of(system)
        what = "trial" if system.members else "BM25" if system.name.startswith("BM25") else "untrained"
        return _ranking(self.corpus.fingerprint, str(row.folder), row.ended, what, self.comparison.query_rows, self.corpus)

    def row_of(self, system: System) -> TrialRow:
        """The trial behind a system: the first of several seeds, or the one that a baseline belongs to."""
        by_name = {row.folder.name: row for row in self.rows}
        return by_name[system.members[0]] if system.members else self._row_of_baseline(system)

    def _row_of_baseline(self, system: System) -> TrialRow:
        """The trial whose encoder an untrained baseline of its own belongs to; else the first."""
        return next((row for row in self.rows if system.name.endswith(f"({row.name})")), self.rows[0])


@st.cache_resource(max_entries=32, show_spinner=False)
def _comparison(key: tuple, _chosen: Chosen) -> Comparison:
    from core.audit.compare import compare_trials
    from core.audit.rankings import truth_baselines
    from core.train.results import TrialResults

    results = [TrialResults(row.folder) for row in _chosen.rows]
    names = {row.folder.name: row.name for row in _chosen.rows}
    baselines = None
    if _chosen.against_truth:
        corpus = _chosen.corpus
        query_rows = results[0].per_query()["query_row"].to_numpy().astype(np.int64)
        baselines = truth_baselines(results[0], corpus, shared_context(corpus).bm25, query_rows)
    found = compare_trials(results, against_truth=_chosen.against_truth, names=names, baselines=baselines)
    return found.by_recipe() if _chosen.is_grouped else found


@st.cache_resource(max_entries=64, show_spinner=False)
def _bands(key: tuple, measure: str, _chosen: Chosen) -> list[Band]:
    return [system.band(measure) for system in _chosen.comparison.systems]


@st.cache_resource(max_entries=64, show_spinner=False)
def _against_first(key: tuple, measure: str, _chosen: Chosen) -> list[tuple[int, Difference, float]]:
    return _chosen.comparison.against_first(measure)


@st.cache_resource(max_entries=24, show_spinner=False)
def _ranking(fingerprint: str, folder: str, ended: float | None, what: str, _query_rows: np.ndarray, _corpus: Corpus) -> np.ndarray:
    from core.audit import rankings
    from core.train.results import TrialResults

    if what == "BM25":
        return rankings.bm25_ranking(shared_context(_corpus).bm25, _corpus, _query_rows)
    results = TrialResults(Path(folder))
    return (rankings.trial_ranking if what == "trial" else rankings.untrained_ranking)(results, _query_rows)


def work_seconds(system: System) -> float:
    """Seconds of training and mining together; NaN where the trial did not note them."""
    parts: Sequence[float] = [system.seconds[part] for part in ("train", "mine") if part in system.seconds]
    return float(sum(parts)) if parts else float("nan")
