"""k-means of vectors: plain (Euclidean) or spherical, equal seeds equal clusters."""

from __future__ import annotations

import numpy as np

# Rows compared with all centres at a time: bounds the matrix of scores.
BLOCK_ROWS = 8192


def k_means(
    vectors: np.ndarray, k: int, rng: np.random.Generator, *, is_spherical: bool = False, rounds: int = 25
) -> tuple[np.ndarray, np.ndarray]:
    """(labels int64 (N,), centres float32 (k, D)): Lloyd's rounds from k-means++ starts, until nothing changes.

    ``vectors`` float32 (N, D), N >= k >= 1. ``is_spherical``: directions alone count; rows and centres are scaled to length one (Dhillon
    and Modha 2001). A centre that nobody is nearest to moves to the row that lies farthest from its own. Ties: the smaller label.
    """
    rows = np.ascontiguousarray(vectors, np.float32)
    if is_spherical:
        rows = _unit(rows)
    centres = _starts(rows, k, rng)
    labels = np.full(len(rows), -1, np.int64)
    for _ in range(rounds):
        found, closeness = _nearest(rows, centres)
        if np.array_equal(found, labels):
            break
        labels = found
        centres = _centres(rows, labels, centres, closeness, is_spherical)
    return labels, centres


def _starts(rows: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k rows, each drawn with a probability that grows with its squared distance from those before (Arthur and Vassilvitskii 2007)."""
    chosen = [int(rng.integers(len(rows)))]
    distance = np.full(len(rows), np.inf)
    while len(chosen) < k:
        distance = np.minimum(distance, np.square(rows - rows[chosen[-1]]).sum(1, dtype=np.float64))
        total = distance.sum()
        if total > 0:
            chosen.append(int(np.searchsorted(np.cumsum(distance), rng.random() * total, "right").clip(max=len(rows) - 1)))
        else:  # fewer different rows than centres
            chosen.append(int(rng.integers(len(rows))))
    return rows[chosen]


def _nearest(rows: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each row, and minus half of its squared distance but for the row's own length."""
    labels, closeness = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    offset = np.square(centres).sum(1) / 2
    for first in range(0, len(rows), BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        scores = rows[block] @ centres.T - offset
        labels[block] = scores.argmax(1)
        closeness[block] = scores[np.arange(len(scores)), labels[block]]
    return labels, closeness - np.square(rows).sum(1) / 2


def _centres(rows: np.ndarray, labels: np.ndarray, centres: np.ndarray, closeness: np.ndarray, is_spherical: bool) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    used, starts = np.unique(labels[order], return_index=True)
    moved = centres.copy()
    moved[used] = np.add.reduceat(rows[order], starts, axis=0) / np.diff(np.append(starts, len(rows)))[:, None]
    unused = np.setdiff1d(np.arange(len(centres)), used)
    moved[unused] = rows[np.argsort(closeness, kind="stable")[: len(unused)]]
    return _unit(moved) if is_spherical else moved


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
