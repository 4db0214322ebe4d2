"""The arithmetic of a doubt against the positive's score, in one place: mining-time flags and reasons read the same rule."""

from __future__ import annotations

import numpy as np


def above_by(scores: np.ndarray, positive_scores: np.ndarray) -> np.ndarray:
    """s- - s+, broadcast: 0 and more where the candidate scores at least as high as the positive."""
    return scores - positive_scores


def share_of_positive(scores: np.ndarray, positive_scores: np.ndarray) -> np.ndarray:
    """1 + (s- - s+) / |s+|, broadcast: s- / s+ for positive scores, and still larger = closer where they are negative.

    NaN where s+ is 0, which has no share.

    >>> share_of_positive(np.array([0.95, -1.05]), np.array([1.0, -1.0])).round(2).tolist()
    [0.95, 0.95]
    """
    size = np.abs(positive_scores)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0, 1 + (scores - positive_scores) / size, np.nan)
