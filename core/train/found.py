"""What the search of each step finds for its queries, kept as one why-card table an epoch."""

from __future__ import annotations

import numpy as np

from core.sampling.candidates import KEPT, Candidates, base_rules

#: Ranks that are kept of each search; behind them a table would mostly hold what no loss moves.
MOST_RANKS = 50


class Found:
    """The first ranks of each training query's latest search, with scores and pulls of that very step.

    ``query_rows`` int64 (Q,): the training queries, ascending; ``lane``: the number behind the recipe's lanes. A query that comes
    twice in an epoch keeps its later search, with the uses of both where the same document was found again.
    """

    def __init__(self, query_rows: np.ndarray, depth: int, lane: int, source: str):
        self.query_rows, self.lane, self.source = query_rows, lane, source
        self.depth = min(depth, MOST_RANKS)
        self._begin()

    def _begin(self) -> None:
        n, shape = len(self.query_rows), (len(self.query_rows), self.depth)
        self.arrays = {
            "doc_rows": np.full(shape, -1, np.int64),
            "scores": np.zeros(shape, np.float32),
            "times_used": np.zeros(shape, np.int32),
            "weight_sum": np.zeros(shape, np.float64),
            "positive_rows": np.zeros(n, np.int64),
            "positive_scores": np.zeros(n, np.float32),
        }

    def note(
        self,
        positions: np.ndarray,
        positive_rows: np.ndarray,
        positive_scores: np.ndarray,
        doc_rows: np.ndarray,
        scores: np.ndarray,
        weights: np.ndarray,
    ) -> None:
        """One step: ``positions`` int64 (B,) into query_rows; ``doc_rows`` int64 (B, D), nearest first, -1 = none; ``scores``, ``weights``
        float32 (B, D); the positives' rows and scores (B,)."""
        kept, d = self.arrays, min(self.depth, doc_rows.shape[1])
        rows = doc_rows[:, :d]
        uses = (rows >= 0).astype(np.int32)
        sums = np.where(rows >= 0, weights[:, :d], 0).astype(np.float64)
        is_first = np.zeros(len(positions), bool)
        is_first[np.unique(positions, return_index=True)[1]] = True
        is_first &= (kept["doc_rows"][positions] < 0).all(1)
        for own in (is_first, *np.flatnonzero(~is_first)):
            at = positions[own]
            if own is not is_first:  # few: a query with several positives
                same = rows[own][:, None] == np.where(kept["doc_rows"][at] >= 0, kept["doc_rows"][at], -2)
                uses[own] += same @ kept["times_used"][at]
                sums[own] += same @ kept["weight_sum"][at]
            kept["doc_rows"][at, :d], kept["scores"][at, :d] = rows[own], scores[own, :d]
            kept["times_used"][at, :d], kept["weight_sum"][at, :d] = uses[own], sums[own]
            kept["positive_rows"][at], kept["positive_scores"][at] = positive_rows[own], positive_scores[own]

    def take(self) -> Candidates:
        """The table of the epoch that ends; the next one begins empty."""
        own, rules = self.arrays, base_rules(False)
        shape = own["doc_rows"].shape
        ranks = np.broadcast_to(np.arange(1, self.depth + 1, dtype=np.int32), shape)
        table = Candidates(
            lane=self.lane,
            source=self.source,
            query_rows=self.query_rows,
            doc_rows=own["doc_rows"],
            ranks=ranks,
            scores=own["scores"],
            positive_rows=own["positive_rows"],
            positive_scores=own["positive_scores"],
            decided_by=np.full(shape, KEPT, np.int8),
            verdicts=np.zeros(shape, np.uint32),
            rules=rules,
            model_scores=own["scores"],
            model_positive_scores=own["positive_scores"],
        )
        table.times_used, table.weight_sum = own["times_used"], own["weight_sum"]
        self._begin()
        return table
