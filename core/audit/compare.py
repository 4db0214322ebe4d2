"""Comparing finished trials on the same held-out queries: means with bands, paired tests, wins and losses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import TrialError
from core.evaluate.metrics import MEASURES
from core.evaluate.significance import Band, Difference, holm, mean_band, paired_randomisation
from core.train.results import TrialResults

# One stream for every band and test: the same trials give the same figures on each page view.
SEED = 20_201


@dataclass(frozen=True)
class System:
    """One line of the comparison: a trial, or the baselines "untrained" and "BM25". ``values``: measure -> float64 (Q,)."""

    name: str
    kind: str
    values: dict[str, np.ndarray]
    seconds: dict[str, float]

    def band(self, measure: str) -> Band:
        """Mean and 95 % bootstrap band over the queries."""
        return mean_band(self.values[measure], rng=np.random.default_rng(SEED))


@dataclass(frozen=True)
class Comparison:
    """Trials (first), then baselines, all on ``query_rows``; differences are against the first trial."""

    query_rows: np.ndarray
    systems: tuple[System, ...]

    @property
    def trials(self) -> tuple[System, ...]:
        return tuple(s for s in self.systems if s.kind == "trial")

    def difference(self, measure: str, a: int, b: int) -> Difference:
        """systems[a] - systems[b], paired by query."""
        return paired_randomisation(
            self.systems[a].values[measure], self.systems[b].values[measure], rng=np.random.default_rng(SEED)
        )

    def against_first(self, measure: str) -> list[tuple[int, Difference, float]]:
        """[(index, difference to the first trial, Holm-corrected p)] for every other system."""
        others = [i for i in range(len(self.systems)) if i != 0]
        found = [self.difference(measure, i, 0) for i in others]
        corrected = holm([d.p for d in found]) if found else []
        return [(i, d, float(p)) for i, d, p in zip(others, found, corrected, strict=True)]


def compare_trials(trials: list[TrialResults], *, against_truth: bool = False) -> Comparison:
    """The comparison of finished trials; raises TrialError when one has not finished or they differ in corpus.

    ``against_truth``: the trials' measures against the fuller judgements (the baselines are measured against the
    labels only and are left out).
    """
    if not trials:
        raise TrialError("Nothing to compare. Choose at least one finished trial.")
    prints = {str((t.result or {}).get("corpus_fingerprint", t.config.corpus_fingerprint)) for t in trials}
    if len(prints) > 1:
        raise TrialError("These trials were trained on different corpora, so their measures cannot be compared. Choose trials of one corpus.")
    systems, query_rows = [], None
    for trial in trials:
        table = trial.per_query()
        rows = table["query_row"].to_numpy()
        if query_rows is not None and not np.array_equal(rows, query_rows):
            raise TrialError("These trials were evaluated on different queries, so they cannot be compared query by query.")
        query_rows = rows
        prefix = "truth" if against_truth else "trial"
        if f"{prefix}.{MEASURES[0]}" not in table.column_names:
            raise TrialError("This corpus has no truth to compare against. Compare against the labels.")
        name = trial.config.name or trial.folder.name
        systems.append(System(name, "trial", _values(table, prefix), (trial.result or {}).get("seconds", {})))
    if not against_truth:
        systems += [System("untrained", "baseline", _values(table, "untrained"), {})]
        systems += [System("BM25", "baseline", _values(table, "bm25"), {})]
    return Comparison(query_rows.astype(np.int64), tuple(_distinct(systems)))


def _values(table, prefix: str) -> dict[str, np.ndarray]:
    return {m: table[f"{prefix}.{m}"].to_numpy() for m in MEASURES}


def _distinct(systems: list[System]) -> list[System]:
    """Names made different where two trials share one."""
    seen: dict[str, int] = {}
    result = []
    for system in systems:
        seen[system.name] = seen.get(system.name, 0) + 1
        number = f" ({seen[system.name]})" if seen[system.name] > 1 else ""
        result.append(System(system.name + number, system.kind, system.values, system.seconds))
    return result
