"""What verdicts changed: a trial and the one that repeats it with verdicts, against the labels and against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from core.audit.compare import Comparison, compare_trials
from core.corpus.corpus import Corpus
from core.errors import TrialError
from core.evaluate.diff import Tally, compare_runs, query_differences
from core.evaluate.metrics import MEASURES
from core.evaluate.significance import Difference
from core.sampling.decisions import FILE, REFUSED, Decisions, read_decided
from core.train.results import TrialResults

LABELS, TRUTH = "labels", "truth"


@dataclass(frozen=True)
class Change:
    """The two trials judged one way; ``comparison``: the earlier trial first, then the one with verdicts, then baselines."""

    judged_by: str
    comparison: Comparison

    @cached_property
    def differences(self) -> dict[str, Difference]:
        """Measure -> retrained minus earlier, paired by query: mean, band, p."""
        return {measure: self.comparison.difference(measure, 1, 0) for measure in MEASURES}

    @property
    def tallies(self) -> list[Tally]:
        """Queries that the retrained trial wins and loses, a measure each."""
        earlier, retrained = self.comparison.systems[:2]
        return compare_runs(retrained.values, earlier.values)

    def changed(self, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """(places in comparison.query_rows, retrained - earlier) of every query that changed, the most changed first."""
        earlier, retrained = self.comparison.systems[:2]
        difference = np.nan_to_num(query_differences(retrained.values[measure], earlier.values[measure]))
        order = np.lexsort((np.arange(len(difference)), -np.abs(difference)))
        order = order[difference[order] != 0]
        return order, difference[order]


def changes(earlier: TrialResults, retrained: TrialResults, names: Mapping[str, str] | None = None) -> list[Change]:
    """Against the labels and, where the corpus has truth, against it; raises TrialError as compare_trials does."""
    pair = [earlier, retrained]
    found = [Change(LABELS, compare_trials(pair, names=names))]
    if all("truth_metrics" in (trial.result or {}) for trial in pair):
        found.append(Change(TRUTH, compare_trials(pair, against_truth=True, names=names, baselines={})))
    return found


def retrained_pairs(configs: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(earlier, retrained) of every trial among ``configs`` (id -> TrialConfig.to_dict()) that repeats another of them."""
    likes = {trial_id: str(config.get("like") or "") for trial_id, config in configs.items()}
    return [(like, trial_id) for trial_id, like in likes.items() if like in configs and like != trial_id]


def verdict_counts(retrained: TrialResults) -> dict[str, int]:
    """Verdict -> number of pairs in the trial's file of verdicts; {} where it has none."""
    path = retrained.folder / FILE
    return dict(Counter(read_decided(path).values())) if retrained.config.verdicts and path.is_file() else {}


def judged_queries(retrained: TrialResults, corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """(rows of training queries, number of their pairs that the verdicts name), the most first; int64 each."""
    path = retrained.folder / FILE
    if not retrained.config.verdicts or not path.is_file():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    decisions = Decisions.read(path, corpus)
    is_refused = np.array([kind in REFUSED for kind in decisions.kinds], bool)
    rows, counts = np.unique(decisions.query_rows[is_refused], return_counts=True)
    is_training = np.isin(rows, corpus.split_query_rows("train"))
    rows, counts = rows[is_training], counts[is_training]
    order = np.lexsort((rows, -counts))
    return rows[order], counts[order].astype(np.int64)


def answer(found: Sequence[Change]) -> dict[str, dict[str, dict[str, float]]]:
    """labels | truth -> measure -> the difference and both means, JSON-ready."""
    if not found:
        raise TrialError("Nothing to compare.")
    told: dict[str, dict[str, dict[str, float]]] = {}
    for change in found:
        earlier, retrained = change.comparison.systems[:2]
        told[change.judged_by] = {
            measure: {"earlier": earlier.mean(measure), "retrained": retrained.mean(measure), "mean": d.mean, "low": d.low,
                      "high": d.high, "p": d.p, "n_queries": d.n_queries}
            for measure, d in change.differences.items()
        }  # fmt: skip
    return told
