"""How far a map can be trusted, and the neighbours that it should have shown."""

from __future__ import annotations

import numpy as np

from core.project.knn import knn


def neighbours(
    vectors: np.ndarray, query_vector: np.ndarray, k: int, similarity: str, *, exclude_row: int = -1
) -> tuple[np.ndarray, np.ndarray]:
    """The k rows closest to one vector in the full space, best first: int64 (k,) rows, float32 (k,) scores.

    Never read off the plane. ``exclude_row``: a row not to return, for a document's own neighbours. Fewer
    than k when there are fewer. Scores: larger = closer (l2: minus the squared distance); ties by row.
    """
    from core.search.exact import top_k

    hits = top_k(np.asarray(query_vector)[None, :], vectors, k + (exclude_row >= 0), similarity=similarity)
    rows, scores = hits.doc_rows[0], hits.scores[0]
    keep = (rows >= 0) & (rows != exclude_row)
    return rows[keep][:k], scores[keep][:k]


def fidelity(high: np.ndarray, low: np.ndarray, k: int = 10, metric: str = "cosine") -> float:
    """The share of neighbours that the plane kept, in [0, 1]; NaN for fewer than two points.

    For each point: how many of its k nearest in ``high`` (N, dim; by ``metric``) are also among its k
    nearest in ``low`` (N, 2; Euclidean), over k; then the mean over points. k is cut to N - 1. A random
    plane scores about k / (N - 1).
    """
    n = len(high)
    k = min(k, n - 1)
    if k < 1:
        return float("nan")
    in_high = knn(high, k + 1, metric)[0][:, 1:]
    in_low = knn(low, k + 1, "euclidean")[0][:, 1:]
    return float((in_high[:, :, None] == in_low[:, None, :]).sum() / (n * k))


def trustworthiness(high: np.ndarray, low: np.ndarray, k: int = 10, metric: str = "cosine") -> float:
    """Trustworthiness of the plane, in [0, 1]: 1 = nobody is drawn close who is not; NaN below 4 points.

    Points among the k nearest in the plane that are not in the full space are punished by their full-space
    rank (Venna & Kaski 2001, https://doi.org/10.1007/3-540-44668-0_68). k is cut below N / 2.
    """
    from sklearn.manifold import trustworthiness as reference

    k = min(k, (len(high) - 1) // 2)
    return float(reference(high, low, n_neighbors=k, metric=metric)) if k >= 1 and len(high) >= 4 else float("nan")
