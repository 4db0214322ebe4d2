"""How well a score finds what truth calls relevant: curves, areas, thresholds. Plain arithmetic on two arrays.

A NaN score ("cannot be said") ranks below every other and reaches no threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Curve:
    """Precision and recall at every distinct score, the highest first; float64 arrays of one length. What cannot be said has
    no point, so the last recall is below 1 where a relevant pair could not be said."""

    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray

    @property
    def f1(self) -> np.ndarray:
        total = self.precision + self.recall
        return np.divide(2 * self.precision * self.recall, total, out=np.zeros(len(total)), where=total > 0)

    def thinned(self, most: int = 200) -> Curve:
        """At most so many points, spread evenly over recall; the ends stay."""
        if len(self.recall) <= most:
            return self
        places = np.unique(np.searchsorted(self.recall, np.linspace(self.recall[0], self.recall[-1], most)).clip(max=len(self.recall) - 1))
        return Curve(self.thresholds[places], self.precision[places], self.recall[places])


def curve(is_relevant: np.ndarray, scores: np.ndarray) -> Curve:
    """The precision-recall curve; empty without a relevant pair or a score."""
    is_relevant = np.asarray(is_relevant, bool)
    said = ~np.isnan(scores)
    n_relevant = int(is_relevant.sum())
    if not n_relevant or not said.any():
        return Curve(np.empty(0), np.empty(0), np.empty(0))
    order = np.argsort(-scores[said], kind="stable")
    ranked, hits = scores[said][order], np.cumsum(is_relevant[said][order])
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # equal scores are taken together
    return Curve(ranked[ends].astype(np.float64), hits[ends] / (ends + 1), hits[ends] / n_relevant)


def average_precision(is_relevant: np.ndarray, scores: np.ndarray) -> float:
    """Sum of precision x gain in recall over the distinct scores; NaN without a relevant pair.

    >>> average_precision(np.array([1, 0, 1]), np.array([3.0, 2.0, 1.0]))  # (1 + 2/3) / 2
    0.8333333333333333
    """
    if not np.any(is_relevant):
        return float("nan")
    filled = np.where(np.isnan(scores), -np.inf, scores)
    points = curve(is_relevant, filled)
    return float((np.diff(points.recall, prepend=0) * points.precision).sum())


def auc(is_relevant: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a relevant pair scores above another one, ties half; NaN where one kind is missing (Mann and Whitney 1947)."""
    is_relevant = np.asarray(is_relevant, bool)
    n, n_others = int(is_relevant.sum()), int((~is_relevant).sum())
    if not n or not n_others:
        return float("nan")
    filled = np.where(np.isnan(scores), -np.inf, scores)
    values, inverse, counts = np.unique(filled, return_inverse=True, return_counts=True)
    middle_ranks = np.cumsum(counts) - (counts - 1) / 2
    return float((middle_ranks[inverse][is_relevant].sum() - n * (n + 1) / 2) / (n * n_others))


def best_threshold(is_relevant: np.ndarray, scores: np.ndarray, at_precision: float | None = None) -> float:
    """The score from which to accuse: of the largest F1, or of the largest recall whose precision is at least ``at_precision``.

    Halfway to the next score below, so that it does not hang on one pair. inf where nothing can be accused so.
    """
    points = curve(is_relevant, scores)
    if not len(points.recall):
        return float("inf")
    if at_precision is None:
        place = int(points.f1.argmax())
    else:
        able = np.flatnonzero(points.precision >= at_precision)
        if not len(able):
            return float("inf")
        place = int(able[-1])
    own = points.thresholds[place]
    below = points.thresholds[place + 1] if place + 1 < len(points.thresholds) else own
    return float((own + below) / 2) if np.isfinite(own) and np.isfinite(below) else float(own)


def precision_recall(is_relevant: np.ndarray, is_accused: np.ndarray) -> tuple[float, float]:
    """(precision, recall) of a decision; precision NaN where nothing is accused, recall NaN where nothing is relevant."""
    right = int((np.asarray(is_relevant, bool) & is_accused).sum())
    n_accused, n_relevant = int(is_accused.sum()), int(np.sum(is_relevant))
    return (right / n_accused if n_accused else float("nan")), (right / n_relevant if n_relevant else float("nan"))
