"""What mining-time tables flag at no cost: hardness, and the three doubts that need only the scores written while mining.

The whole list of reasons, with thresholds and lessons, is in core/audit/reasons.py; both read core/audit/rules.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.audit.rules import above_by, share_of_positive

#: Score distance below the positive inside which a negative is semi-hard (cosine; a share of |s+| would hide its unit).
SEMI_HARD_MARGIN = 0.1
NEAR_SHARE = 0.95

EASY, SEMI_HARD, HARD = "easy", "semi-hard", "hard"


def hardness(scores: np.ndarray, positive_scores: np.ndarray, margin: float = SEMI_HARD_MARGIN) -> np.ndarray:
    """object array of "easy", "semi-hard", "hard", broadcast: s < s+ - m, s+ - m <= s < s+, s >= s+ (Schroff et al. 2015).

    >>> hardness(np.array([0.2, 0.75, 0.8]), np.array(0.8)).tolist()
    ['easy', 'semi-hard', 'hard']
    """
    scores, positive_scores = np.broadcast_arrays(scores, positive_scores)
    return np.where(scores >= positive_scores, HARD, np.where(scores >= positive_scores - margin, SEMI_HARD, EASY)).astype(object)


def above_positive(scores: np.ndarray, positive_scores: np.ndarray, is_twin: np.ndarray) -> np.ndarray:
    """bool: the model scores the candidate at least as high as the positive."""
    return above_by(scores, positive_scores) >= 0


def near_positive(scores: np.ndarray, positive_scores: np.ndarray, is_twin: np.ndarray) -> np.ndarray:
    """bool: it scores 95 % of the positive or more (Moreira et al. 2024), and not above the positive itself."""
    return (share_of_positive(scores, positive_scores) >= NEAR_SHARE) & (scores < positive_scores)


def copy_of_positive(scores: np.ndarray, positive_scores: np.ndarray, is_twin: np.ndarray) -> np.ndarray:
    """bool: its word shingles overlap a positive's by .8 or more (Broder 1997)."""
    return is_twin.copy()


Reason = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
#: Column title -> flag, in the order in which tables show them.
REASONS: dict[str, Reason] = {
    "above the positive": above_positive,
    "within 5 % of the positive": near_positive,
    "copy of a positive": copy_of_positive,
}


def doubts(scores: np.ndarray, positive_scores: np.ndarray, is_twin: np.ndarray) -> dict[str, np.ndarray]:
    """Every flag by title; all arrays of one shape (``positive_scores`` may broadcast)."""
    return {title: reason(scores, positive_scores, is_twin) for title, reason in REASONS.items()}
