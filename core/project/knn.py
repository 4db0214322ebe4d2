"""Exact nearest neighbours of every point among all points, for maps of a few thousand."""

from __future__ import annotations

import numpy as np

from core.errors import ParameterError

METRICS = ("cosine", "euclidean")
_BLOCK = 8_000_000  # cells of the distance matrix held at once


def knn(vectors: np.ndarray, k: int, metric: str = "cosine") -> tuple[np.ndarray, np.ndarray]:
    """Each point's k nearest points, itself first: int32 (N, k) indices and float32 (N, k) distances.

    ``vectors``: (N, dim), k in [1, N]. Distance: 1 - cosine (a zero vector is at 1 from every other) or
    Euclidean; ascending, ties by smaller index. Blocked matrix product: memory stays bounded.
    Raises ParameterError for an unknown metric.
    """
    if metric not in METRICS:
        raise ParameterError(f"metric must be one of {', '.join(map(repr, METRICS))}; got {metric!r}.")
    n = len(vectors)
    points = normalised(vectors) if metric == "cosine" else np.asarray(vectors, dtype=np.float32)
    squares = np.einsum("ij,ij->i", points, points)
    indices = np.empty((n, k), dtype=np.int32)
    distances = np.empty((n, k), dtype=np.float32)
    step = max(1, _BLOCK // max(n, 1))
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        block = points[rows] @ points.T
        if metric == "cosine":
            block = np.maximum(1.0 - block, 0.0)
        else:
            block = np.maximum(squares[rows, None] + squares[None, :] - 2.0 * block, 0.0)
        block[np.arange(len(rows)), rows] = -1.0  # itself before its own duplicates
        indices[rows] = _smallest(block, k)
        nearest = np.maximum(np.take_along_axis(block, indices[rows], axis=1), 0.0)
        distances[rows] = nearest if metric == "cosine" else np.sqrt(nearest)
    return indices, distances


def normalised(vectors: np.ndarray) -> np.ndarray:
    """The vectors at length 1, float32; zero vectors stay zero."""
    vectors = np.asarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1.0)


def _smallest(block: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k smallest values of each row, ascending, ties by column."""
    if k >= block.shape[1]:
        return np.argsort(block, axis=1, kind="stable")[:, :k]
    # A partition alone keeps any of the values tied at the cut; taking everything up to the cut's value
    # and sorting by (value, column) makes the choice the same on every machine.
    cut = np.partition(block, k - 1, axis=1)[:, k - 1 : k]
    row, column = np.nonzero(block <= cut)
    order = np.lexsort((column, block[row, column], row))
    row, column = row[order], column[order]
    starts = np.searchsorted(row, np.arange(len(block)))
    return column[starts[:, None] + np.arange(k)]
