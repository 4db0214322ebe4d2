"""What finished trials of one corpus say about each technique: quality, false negatives and seconds, seeds taken together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import TrialError
from core.evaluate.metrics import MEASURES
from core.evaluate.significance import Band, mean_band, seed_band
from core.sampling.presets import FAMILY_TITLES, PRESETS, Preset
from core.train.results import TrialResults

LABELS, TRUTH = "labels", "truth"
SECONDS = ("train", "mine", "evaluate", "total")
WORK = "train and mine"
SEED = 20_261
RESAMPLES = 2_000  # a sweep has hundreds of bands
_PREFIX = {LABELS: "trial", TRUTH: "truth"}


@dataclass(frozen=True)
class FalseNegatives:
    """Of one trial's mined negatives, each use counted: ``query_rows`` int64 (Q,) ascending, ``used`` and ``false`` float64 (Q,):
    uses in the loss, and those of documents that truth calls relevant."""

    query_rows: np.ndarray
    used: np.ndarray
    false: np.ndarray

    @property
    def rate(self) -> float:
        """Share of all uses; NaN where nothing was used."""
        total = self.used.sum()
        return float(self.false.sum() / total) if total else float("nan")


@dataclass(frozen=True)
class Measured:
    """A preset's finished trials on one corpus with one setting. ``folders``: seed -> folder; ``false``: a trial each, in the order of
    the seeds, empty without truth or mined negatives."""

    preset: Preset
    folders: Mapping[int, Path]
    false: tuple[FalseNegatives, ...] = ()

    @cached_property
    def trials(self) -> tuple[TrialResults, ...]:
        return tuple(TrialResults(self.folders[seed]) for seed in sorted(self.folders))

    @cached_property
    def _results(self) -> list[dict[str, Any]]:
        return [trial.result or {} for trial in self.trials]

    @cached_property
    def _tables(self) -> list[Any]:
        return [trial.per_query() for trial in self.trials]

    @property
    def n_seeds(self) -> int:
        return len(self.folders)

    @property
    def query_rows(self) -> np.ndarray:
        """The held-out queries, int64 (Q,)."""
        return self._tables[0]["query_row"].to_numpy().astype(np.int64)

    @property
    def judged_by(self) -> tuple[str, ...]:
        """By what the trials were measured: the labels, and the truth where the corpus has it."""
        has_truth = all(f"truth.{MEASURES[0]}" in table.column_names for table in self._tables)
        return (LABELS, TRUTH) if has_truth else (LABELS,)

    def values(self, measure: str, by: str = LABELS) -> np.ndarray:
        """float64 (Q,): each held-out query's mean over the seeds; NaN without a positive."""
        return np.mean([table[f"{_PREFIX[by]}.{measure}"].to_numpy() for table in self._tables], axis=0)

    def over_seeds(self, measure: str, by: str = LABELS) -> Band:
        """Mean over the seeds and its t interval: where the mean of many seeds would lie. NaN band for one seed."""
        columns = [table[f"{_PREFIX[by]}.{measure}"].to_numpy() for table in self._tables]
        return seed_band([float(np.nanmean(column)) if np.isfinite(column).any() else np.nan for column in columns])

    def over_queries(self, measure: str, by: str = LABELS) -> Band:
        """The same mean and its bootstrap band over the held-out queries: where it would lie with other queries of this kind."""
        return mean_band(self.values(measure, by), n=RESAMPLES, rng=np.random.default_rng(SEED))

    def seconds(self, part: str) -> Band:
        """Seconds of a trial, of ``SECONDS`` or ``WORK``: mean, fastest and slowest trial (a busy machine follows no law)."""
        parts = ("train", "mine") if part == WORK else (part,)
        each = [sum(float(result.get("seconds", {}).get(p, np.nan)) for p in parts) for result in self._results]
        return Band(float(np.mean(each)), float(np.min(each)), float(np.max(each)), len(each))

    def false_negatives(self) -> Band:
        """Share of the mined negatives in the loss that truth calls relevant: mean and t interval over the seeds; NaN = none mined."""
        return seed_band([trial.rate for trial in self.false])

    def false_by_query(self) -> dict[int, float]:
        """Each training query's share of false uses, its seeds added up."""
        used: dict[int, float] = {}
        false: dict[int, float] = {}
        for trial in self.false:
            for row, n_used, n_false in zip(trial.query_rows.tolist(), trial.used.tolist(), trial.false.tolist(), strict=True):
                used[row] = used.get(row, 0.0) + n_used
                false[row] = false.get(row, 0.0) + n_false
        return {row: false[row] / n for row, n in used.items() if n}


def measure_trials(folders: Mapping[str, Mapping[int, Path]], corpus: Corpus, *, cache: Path | None = None) -> dict[str, Measured]:
    """preset -> its figures, by family and then as the gallery lists them. ``folders``: preset -> seed -> a finished trial's folder.

    ``cache``: folder in which counted false negatives are kept. Raises TrialError where trials were measured on different queries.
    """
    families = list(FAMILY_TITLES)
    names = sorted((name for name in PRESETS if name in folders), key=lambda name: families.index(PRESETS[name].family))
    found = {}
    for name in names:
        own = dict(sorted(folders[name].items()))
        counted = [false_negatives(TrialResults(folder), corpus, cache) for folder in own.values()]
        found[name] = Measured(PRESETS[name], own, tuple(c for c in counted if c is not None))
    rows = [measured.query_rows for measured in found.values()]
    if any(not np.array_equal(rows[0], other) for other in rows[1:]):
        raise TrialError("These trials were evaluated on different queries, so one table cannot hold them.")
    return found


def false_negatives(trial: TrialResults, corpus: Corpus, cache: Path | None = None) -> FalseNegatives | None:
    """What truth says of the negatives that the trial mined and trained against; None without truth or without such negatives."""
    if corpus.truth is None:
        return None
    weights = str((trial.result or {}).get("weights", ""))[:16]
    kept = None if cache is None or not weights else cache / f"{trial.folder.name}-{corpus.fingerprint}-{weights}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            counted = FalseNegatives(*(stored[name] for name in ("query_rows", "used", "false")))
        return counted if len(counted.used) else None
    counted = _count(trial, corpus)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        part = kept.with_suffix(".part.npz")
        np.savez(part, query_rows=counted.query_rows, used=counted.used, false=counted.false)
        part.replace(kept)
    return counted if len(counted.used) else None


def _count(trial: TrialResults, corpus: Corpus) -> FalseNegatives:
    import pyarrow.parquet as parquet

    assert corpus.truth is not None
    used, false = np.zeros(corpus.n_queries), np.zeros(corpus.n_queries)
    for info in trial.tables():
        table = parquet.read_table(info.path, columns=["query_row", "doc_row", "times_used"], filters=[("times_used", ">", 0)])
        queries, docs = (table[name].to_numpy().astype(np.int64) for name in ("query_row", "doc_row"))
        uses = table["times_used"].to_numpy().astype(np.float64)
        if len(queries) and (queries.max() >= corpus.n_queries or docs.max() >= corpus.n_documents):
            raise TrialError(f"{trial.folder.name} was trained on another corpus: its tables name rows that this one does not have.")
        used += np.bincount(queries, weights=uses, minlength=corpus.n_queries)
        false += np.bincount(queries, weights=uses * (corpus.truth.grade_of(queries, docs) >= 1), minlength=corpus.n_queries)
    rows = np.flatnonzero(used)
    return FalseNegatives(rows, used[rows], false[rows])


def baselines(measured: Sequence[Measured]) -> dict[str, dict[str, float]]:
    """BM25 and the untrained encoder: name -> measure -> mean, as the first trial kept them (against the labels)."""
    result = measured[0].trials[0].result if measured else None
    return {name: result[key] for name, key in (("untrained", "untrained"), ("BM25", "bm25"))} if result else {}
