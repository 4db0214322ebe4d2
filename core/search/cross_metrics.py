"""How well scores tell two classes apart, and how true probabilities are."""

from __future__ import annotations

import numpy as np

BINS = 10


def auc(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """The chance that a positive scores above a negative, ties half; NaN without both classes."""
    n_positive, n_negative = int(is_positive.sum()), int((~is_positive).sum())
    if not n_positive or not n_negative:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def average_precision(scores: np.ndarray, is_positive: np.ndarray) -> float:
    """The mean, over positives, of the precision at their score; tied scores count as one cut. NaN without a positive."""
    if not is_positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    in_order, hits = scores[order], is_positive[order]
    is_cut = np.append(in_order[1:] != in_order[:-1], True)
    found = np.cumsum(hits)[is_cut]
    precision = found / (np.flatnonzero(is_cut) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1])


def calibration_error(probabilities: np.ndarray, is_positive: np.ndarray) -> float:
    """Mean distance between what is said and what is so, over ten equally filled bins (expected calibration error).

    Source: Naeini, Cooper, Hauskrecht 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning; bins of equal
    counts, since most probabilities are near zero. NaN without a pair.
    """
    if not len(probabilities):
        return float("nan")
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    gaps = [abs(probabilities[part].mean() - is_positive[part].mean()) * len(part) for part in parts]
    return float(sum(gaps) / len(order))
