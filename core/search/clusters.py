"""k-means over vectors, exact and repeatable: the same vectors and generator give the same clusters on any number of threads."""

from __future__ import annotations

import numpy as np

from core.search.exact import top_k

ROUNDS = 25


def kmeans(vectors: np.ndarray, k: int, rng: np.random.Generator, *, rounds: int = ROUNDS) -> tuple[np.ndarray, np.ndarray]:
    """(labels int64 (N,), centres float32 (k, D)) of Lloyd's algorithm; k is lowered to the number of vectors.

    Starts from k distinct vectors drawn by ``rng``, assigns by squared distance (ties: smaller centre) and stops when nothing
    moves. A centre that loses all of its vectors moves to the vector that lies farthest from its own centre, so no
    cluster is empty unless there are fewer different vectors than clusters.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    k = min(k, len(vectors))
    if k == 0:
        return np.empty(0, np.int64), np.empty((0, vectors.shape[1]), np.float32)
    centres = vectors[np.sort(rng.choice(len(vectors), k, replace=False))].copy()
    labels = np.full(len(vectors), -1, np.int64)
    for _ in range(rounds):
        hits = top_k(vectors, centres, 1, similarity="l2")
        if np.array_equal(hits.doc_rows[:, 0], labels):
            break
        labels = hits.doc_rows[:, 0].copy()
        centres = _means(vectors, labels, hits.scores[:, 0], k)
    return top_k(vectors, centres, 1, similarity="l2").doc_rows[:, 0].copy(), centres


def _means(vectors: np.ndarray, labels: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=k)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.zeros((k, vectors.shape[1]))
    filled = np.flatnonzero(counts)
    sums[filled] = np.add.reduceat(vectors[order].astype(np.float64), starts[filled], axis=0)
    centres = (sums / np.maximum(counts, 1)[:, None]).astype(np.float32)
    lost = np.flatnonzero(counts == 0)
    if len(lost):
        farthest = np.lexsort((np.arange(len(scores)), scores))[: len(lost)]
        centres[lost] = vectors[farthest]
    return centres


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """The vectors with length 1, so that squared distance and cosine agree; zero vectors stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.maximum(length, np.float32(1e-12))).astype(np.float32)
