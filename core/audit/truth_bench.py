"""The truth bench: how well each reason, and each combination, finds the false negatives that truth knows.

Every threshold is chosen, and every combination searched or learned, on one half of the queries; every figure is measured on the
other half, so nothing is praised for what it was fitted to. Several random halves give a mean and a range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from core.audit.suspect_table import SuspectTable
from core.audit.truth_combine import FITTERS, Fitted, Half
from core.audit.truth_measures import Curve, auc, average_precision, best_threshold, curve, precision_recall
from core.corpus.corpus import Corpus
from core.errors import CorpusError

N_SPLITS = 5
PRECISION = 0.8  # the precision at which recall is also told: four in five accusations right
RECALL = 0.7
LEAST = 5  # false negatives, below which nothing can be said


@dataclass(frozen=True)
class Measured:
    """One reason or combination; means over the splits, on the halves that were not tuned on.

    ``threshold``: largest F1 on the tuning half, mean; ``precision``, ``recall`` at it, with (lowest, highest) over the splits;
    ``tuned_f1``: by which the best is chosen: fitted on a half of the tuning half, measured on the rest of it, so that what
    searches much is not preferred for having searched; ``strict_precision``, ``strict_recall``: at the threshold that
    reaches precision .8 on the tuning half; ``n``: pairs measured in a split that it can speak of, mean; ``curve``: of the first
    split; ``about``: what it consists of.
    """

    key: str
    title: str
    auc: float
    average_precision: float
    threshold: float
    precision: float
    recall: float
    precision_range: tuple[float, float]
    recall_range: tuple[float, float]
    tuned_f1: float
    strict_threshold: float
    strict_precision: float
    strict_recall: float
    n: int
    curve: Curve
    about: str = ""

    @property
    def f1(self) -> float:
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total > 0 else 0.0  # a NaN is nothing accused

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the curve; NaN and infinity become None."""
        said = {name: value for name, value in vars(self).items() if name not in ("curve",)}
        return {name: _plain(value) for name, value in said.items()} | {"f1": _plain(self.f1)}


@dataclass(frozen=True)
class TruthBench:
    """``reasons``, ``combinations``: in the order of the table; ``best``: the combination with the best F1 on the tuning halves.
    ``n_pairs``, ``n_false``, ``n_queries``: what was measured on, both halves together; ``counted``: which pairs count as
    negative, in a sentence."""

    reasons: tuple[Measured, ...]
    combinations: tuple[Measured, ...]
    best: Measured
    n_pairs: int
    n_false: int
    n_queries: int
    n_splits: int
    counted: str

    @property
    def reaches(self) -> bool:
        """Whether the best combination has precision .8 and recall .7 on queries it was not tuned on."""
        return any(
            p >= PRECISION and r >= RECALL
            for p, r in ((self.best.precision, self.best.recall), (self.best.strict_precision, self.best.strict_recall))
        )


def truth_bench(
    corpus: Corpus,
    table: SuspectTable,
    *,
    n_splits: int = N_SPLITS,
    only_judged: bool | None = None,
    print_line: Callable[[str], None] = lambda line: None,
) -> TruthBench:
    """The bench of a table of suspects against the corpus's truth.

    A pair is a false negative when truth gives it grade 1 or more. Which pairs are true negatives: with ``only_judged`` those
    that truth lists with grade 0, else every other pair. Default: judged ones where truth lists any of grade 0 (a pool), else
    all. Raises CorpusError without truth, or where truth knows no false negative among the pairs.
    """
    truth = corpus.truth
    if truth is None:
        raise CorpusError(f"{corpus.name}: has no truth (qrels/truth.tsv) to measure against. Hide some labels: --hide-positives .3.")
    if only_judged is None:
        only_judged = bool((truth.grades < 1).any())
    if only_judged:
        table = table.take(truth.contains(table.query_row, table.doc_row))
    is_false = truth.grade_of(table.query_row, table.doc_row) >= 1
    queries = np.unique(table.query_row)
    if is_false.sum() < LEAST or len(queries) < 4 or not table.reasons:
        raise CorpusError(
            f"{corpus.name}: truth knows {int(is_false.sum())} false negatives among {len(table):,} candidates of {len(queries)} queries. "
            "That is too few to measure reasons on."
        )
    rounds: dict[str, list[Measured]] = {}
    for seed in range(n_splits):
        tuning, measuring = Half(table.reasons, table.doubts, is_false, table.query_row).split([seed, 23])
        inner, rest = tuning.split([seed, 31])
        for reason in table.reasons:
            chosen = _of_reason(reason.key, reason.title, inner, rest).f1
            rounds.setdefault(reason.key, []).append(replace(_of_reason(reason.key, reason.title, tuning, measuring), tuned_f1=chosen))
        for fit in FITTERS:
            fitted, chosen = fit(tuning, seed), _of_fitted(fit(inner, seed), inner, rest).f1
            rounds.setdefault(fitted.key, []).append(replace(_of_fitted(fitted, tuning, measuring), tuned_f1=chosen))
        print_line(f"split {seed + 1} of {n_splits} measured")
    found = {key: _mean(parts) for key, parts in rounds.items()}
    names = {reason.key for reason in table.reasons}
    combinations = tuple(m for key, m in found.items() if key not in names)
    return TruthBench(
        reasons=tuple(found[reason.key] for reason in table.reasons),
        combinations=combinations,
        best=max(combinations, key=lambda m: m.tuned_f1),
        n_pairs=len(table),
        n_false=int(is_false.sum()),
        n_queries=len(queries),
        n_splits=n_splits,
        counted=_counted(table, is_false, only_judged),
    )


def _counted(table: SuspectTable, is_false: np.ndarray, only_judged: bool) -> str:
    n = len(table) - int(is_false.sum())
    if only_judged:
        return f"The {n:,} candidates that truth judged and found irrelevant count as true negatives; unjudged ones were left out."
    return (
        f"The {n:,} candidates that truth does not list count as true negatives. Where truth is complete, as sample:lab's is, "
        "precision is exact; elsewhere unjudged is not irrelevant and precision is a lower bound."
    )


def _of_reason(key: str, title: str, tuning: Half, measuring: Half) -> Measured:
    return _measure(key, title, tuning.is_false, tuning.doubts[key], measuring.is_false, measuring.doubts[key], None, "")


def _of_fitted(fitted: Fitted, tuning: Half, measuring: Half) -> Measured:
    scores = fitted.score(measuring.doubts)
    is_told = ~np.isnan(fitted.tuning_scores)  # a learned one leaves out what it learned from
    tuned_on = tuning.is_false[is_told], fitted.tuning_scores[is_told]
    return _measure(fitted.key, fitted.title, *tuned_on, measuring.is_false, scores, fitted.threshold, fitted.about)


def _measure(key, title, tuned_on, tuning_scores, is_false, scores, threshold: float | None, about: str) -> Measured:
    if threshold is None:
        threshold = best_threshold(tuned_on, tuning_scores)
    strict = best_threshold(tuned_on, tuning_scores, PRECISION)
    precision, recall = precision_recall(is_false, scores >= threshold)
    strict_precision, strict_recall = precision_recall(is_false, scores >= strict)
    return Measured(
        key=key,
        title=title,
        auc=auc(is_false, scores),
        average_precision=average_precision(is_false, scores),
        threshold=threshold,
        precision=precision,
        recall=recall,
        precision_range=(precision, precision),
        recall_range=(recall, recall),
        tuned_f1=float("nan"),
        strict_threshold=strict,
        strict_precision=strict_precision,
        strict_recall=strict_recall,
        n=int((~np.isnan(scores)).sum()),
        curve=curve(is_false, scores).thinned(),
        about=about,
    )


def _mean(parts: Sequence[Measured]) -> Measured:
    def mean(name: str) -> float:
        values = np.array([getattr(part, name) for part in parts], np.float64)
        values = values[np.isfinite(values)]
        return float(values.mean()) if len(values) else float("nan")

    def span(name: str) -> tuple[float, float]:
        values = [getattr(part, name) for part in parts if np.isfinite(getattr(part, name))]
        return (min(values), max(values)) if values else (float("nan"), float("nan"))

    means = ("auc", "average_precision", "threshold", "precision", "recall", "tuned_f1")
    means += ("strict_threshold", "strict_precision", "strict_recall")
    return replace(
        parts[0],
        **{name: mean(name) for name in means},
        precision_range=span("precision"),
        recall_range=span("recall"),
        n=round(mean("n")),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
