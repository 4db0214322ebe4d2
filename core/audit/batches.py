"""Which pairs a recipe would put into one batch, and how hard and how false the negatives are that come free with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.sampling.context import MiningContext
from core.sampling.recipe import Recipe
from core.train.negatives import GROUP, ORDER


@dataclass(frozen=True)
class EpochBatches:
    """The first epoch's batches as training with this seed would make them.

    ``query_rows``, ``positive_rows``, ``batches`` int64 (N,): the training pairs and each one's batch; ``groups`` int64 (N,) or None: the
    clusters that batches are drawn from; ``size``: pairs in a full batch.
    """

    query_rows: np.ndarray
    positive_rows: np.ndarray
    batches: np.ndarray
    groups: np.ndarray | None
    size: int

    def pool(self, context: MiningContext, query_row: int) -> np.ndarray:
        """int64 documents that are negatives of the query in the batch of its first pair, ascending; its protected ones left out."""
        mine = np.flatnonzero(self.query_rows == query_row)
        if not len(mine):
            return np.empty(0, np.int64)
        docs = np.unique(self.positive_rows[self.batches == self.batches[mine[0]]])
        return docs[~context.protected.contains(np.full(len(docs), query_row), docs)]

    def figures(self, context: MiningContext, query_rows: np.ndarray) -> dict[str, float]:
        """Over these queries' pools: ``hard`` (share at or above the query's lowest positive, by the context's model), ``score`` (the
        mean), and ``false`` (share that the truth calls relevant) where the corpus has truth. Empty where there is no pool."""
        pools = [self.pool(context, query_row) for query_row in query_rows]
        rows, docs = np.repeat(query_rows, [len(pool) for pool in pools]), np.concatenate([np.empty(0, np.int64), *pools])
        if not len(docs):
            return {}
        vectors = context.vectors("current")
        padded = context.corpus.positives.padded(query_rows)
        own = np.where(padded >= 0, vectors.score_pairs(query_rows, padded), np.inf).min(1)
        scores = vectors.score_pairs(rows, docs)
        figures = {"hard": float((scores >= np.repeat(own, [len(pool) for pool in pools])).mean()), "score": float(scores.mean())}
        if context.corpus.truth is not None:
            figures["false"] = float((context.corpus.truth.grade_of(rows, docs) >= 1).mean())
        return figures


def first_epoch(recipe: Recipe, context: MiningContext, *, seed: int = 0, batch_size: int = 128) -> EpochBatches:
    """The batches of the first epoch with this seed; ``context`` knows the vectors of ``"start"``."""
    query_rows, positive_rows = recipe.positives.pairs(context)
    n = len(query_rows)
    size = max(1, min(recipe.passes.pairs(batch_size), n))
    groups = recipe.order.groups(context, query_rows, positive_rows, size, np.random.default_rng([seed, GROUP])) if n else None
    order = recipe.order.arrange(groups, n, size, np.random.default_rng([seed, ORDER, 0]))
    batches = np.empty(n, np.int64)
    batches[order] = np.arange(n) // size
    return EpochBatches(query_rows, positive_rows, batches, groups, size)
