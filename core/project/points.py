"""Which points a map draws, and the space in which queries and documents are drawn together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from core.errors import ParameterError
from core.project.knn import normalised


def choose_points(
    n_documents: int,
    positives: Iterable[np.ndarray],
    negatives: Iterable[np.ndarray],
    *,
    cap: int = 3_000,
    seed: int = 0,
) -> np.ndarray:
    """The document rows to draw, int64 ascending, ``cap`` of them or all that there are.

    ``positives``, ``negatives``: document rows of the chosen queries, one array a query or one padded
    matrix (-1 = none), nearest first. All of them come in before any background; when they alone exceed
    ``cap``, positives win over negatives and each query's first rows over its later ones. The background
    is uniform over the other documents. It is drawn from one permutation of the corpus per seed, so that
    two checkpoints with other negatives still share nearly all of it.
    """
    if cap < 1:
        raise ParameterError(f"cap must be an int in [1, inf); got {cap!r}.")
    marked = np.concatenate([_by_column(positives), _by_column(negatives)])
    background = np.random.default_rng(seed).permutation(n_documents)
    wanted = np.concatenate([marked, background])
    _, first = np.unique(wanted, return_index=True)
    return np.sort(wanted[np.sort(first)[:cap]])


def joint_space(document_vectors: np.ndarray, query_vectors: np.ndarray, similarity: str) -> tuple[np.ndarray, str]:
    """Documents, then queries, in one space, float32 (C + Q, dim or dim + 1), and the metric to map it by.

    A query's nearest documents by that metric are its best by ``similarity``. cosine: vectors of length 1.
    l2: unchanged, "euclidean". dot: documents get one more coordinate that brings them all to the longest
    one's length and queries get 0 there, so that cosine orders a query's documents as the dot product does
    (Bachrach et al. 2014, https://doi.org/10.1145/2645710.2645741). Raises ParameterError otherwise.
    """
    documents = np.asarray(document_vectors, dtype=np.float32)
    queries = np.asarray(query_vectors, dtype=np.float32)
    if similarity == "cosine":
        return normalised(np.concatenate([documents, queries])), "cosine"
    if similarity == "l2":
        return np.concatenate([documents, queries]), "euclidean"
    if similarity != "dot":
        raise ParameterError(f"similarity must be one of 'cosine', 'dot', 'l2'; got {similarity!r}.")
    squares = np.einsum("ij,ij->i", documents, documents, dtype=np.float64)
    lift = np.sqrt(squares.max(initial=0.0) - squares)
    extra = np.concatenate([lift, np.zeros(len(queries))]).astype(np.float32)
    return normalised(np.column_stack([np.concatenate([documents, queries]), extra])), "cosine"


def _by_column(rows: Iterable[np.ndarray]) -> np.ndarray:
    """All rows >= 0, every query's first before any query's second."""
    arrays = [np.asarray(row, dtype=np.int64).ravel() for row in rows]
    if not arrays:
        return np.zeros(0, dtype=np.int64)
    column = np.concatenate([np.arange(len(array)) for array in arrays])
    flat = np.concatenate(arrays)[np.argsort(column, kind="stable")]
    return flat[flat >= 0]
