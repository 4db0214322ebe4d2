"""What a source of negatives is, and what several of them share: exact search, and draws without replacement."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from core.params import Piece
from core.sampling.context import MiningContext
from core.search.hits import Hits
from core.search.index_kinds import Index


class Source(Piece):
    """Base of the sources. ``is_redrawn``: a new draw each epoch; ``is_dynamic``: changes with the model."""

    family = "source"
    is_redrawn: ClassVar[bool] = False
    is_dynamic: ClassVar[bool] = False

    def retrieve(
        self, context: MiningContext, query_rows: np.ndarray, depth: int, rng: np.random.Generator
    ) -> Hits:
        """The first ``depth`` documents for each query, known positives among them where the source ranks them.

        Returns Hits with doc_rows int64 (Q, depth), -1 at the end of short rows; scores on this source's scale.
        """
        raise TypeError(f"{type(self).__name__} retrieves nothing")

    def score(self, context: MiningContext, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 scores, shape of ``doc_rows`` (Q,) or (Q, C), on this source's scale; -inf where -1."""
        return context.vectors("current").score_pairs(query_rows, doc_rows)

    def likeness(self, context: MiningContext, from_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 (Q, C): how close documents ``doc_rows`` (Q, C) are to document ``from_rows`` (Q,), on this source's scale.

        -inf where either is -1. Asked for only by pickers that declare ``asks_likeness``.
        """
        return context.vectors("current").score_documents(from_rows, doc_rows)


def draw_distinct(
    n_queries: int, depth: int, pool: np.ndarray, is_forbidden, rng: np.random.Generator, weights: np.ndarray | None = None
) -> np.ndarray:
    """int64 (n_queries, depth) entries of ``pool`` drawn without replacement within a row, -1 padded.

    All equally likely, or one after the other in proportion to ``weights`` float64 > 0, one for each entry of a ``pool`` that is
    then ascending and without repeats.

    ``is_forbidden(row_index, values)`` masks values that a row must not take. Sequential rejection: an entry that is
    forbidden or repeats an earlier one of its row is drawn again, which is exactly sampling without replacement.
    """
    if weights is None:
        pool = np.unique(pool)
    depth_drawn = min(depth, len(pool))
    drawn = np.full((n_queries, depth), -1, np.int64)
    if depth_drawn == 0 or n_queries == 0:
        return drawn

    def some(shape) -> np.ndarray:
        if weights is None:
            return pool[rng.integers(0, len(pool), shape)]
        return pool[np.searchsorted(cumulated, rng.random(shape) * cumulated[-1], "right").clip(max=len(pool) - 1)]

    def by_permutation(row: int) -> np.ndarray:
        is_free = ~is_forbidden(np.full(len(pool), row), pool)
        if weights is None:
            return rng.permutation(pool[is_free])[:depth]
        # Gumbel top-k: the law of drawing one after the other.
        keys = np.log(weights[is_free]) + rng.gumbel(size=int(is_free.sum()))
        return pool[is_free][np.argsort(-keys, kind="stable")][:depth]

    cumulated = np.empty(0) if weights is None else np.cumsum(weights)
    if len(pool) < 4 * depth:
        for row in range(n_queries):
            taken = by_permutation(row)
            drawn[row, : len(taken)] = taken
        return drawn
    drawn = some((n_queries, depth))
    rows = np.broadcast_to(np.arange(n_queries)[:, None], drawn.shape)
    is_bad = is_forbidden(rows, drawn) | _repeats(drawn)
    for _ in range(64):
        if not is_bad.any():
            return drawn
        drawn[is_bad] = some(int(is_bad.sum()))
        bad_rows = np.flatnonzero(is_bad.any(1))
        rows = np.broadcast_to(bad_rows[:, None], (len(bad_rows), depth))
        is_bad[bad_rows] = is_forbidden(rows, drawn[bad_rows]) | _repeats(drawn[bad_rows])
    # A row that is still not filled has nearly everything forbidden: finish it by a plain permutation.
    for row in np.flatnonzero(is_bad.any(1)):
        taken = by_permutation(int(row))
        drawn[row] = -1
        drawn[row, : len(taken)] = taken
    return drawn


def _repeats(values: np.ndarray) -> np.ndarray:
    """True where an entry equals one to its left in the same row."""
    order = np.argsort(values, axis=1, kind="stable")
    in_order = np.take_along_axis(values, order, 1)
    is_repeat = np.zeros_like(values, bool)
    is_repeat[:, 1:] = in_order[:, 1:] == in_order[:, :-1]
    result = np.empty_like(is_repeat)
    np.put_along_axis(result, order, is_repeat, 1)
    return result


def search_vectors(
    context: MiningContext, which: str, query_rows: np.ndarray, depth: int, index: Index | None = None
) -> Hits:
    """Dense retrieval by one model of the context: exact, or what an approximate ``index`` finds."""
    vectors = context.vectors(which)
    if index is None or index.key == "flat":
        return vectors.search(query_rows, depth)
    return context.built_index(vectors, index).search(vectors.queries[query_rows], depth)
