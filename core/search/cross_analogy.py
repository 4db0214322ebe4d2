"""Analogies: how like the document is what answered the training queries that are asked in the same words.

Twice: with whole texts, and with names and rare words left out on both sides, so that "cooking method for kimchi" is like
"how do you prepare couscous" for what is asked, not for what it is asked about.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from core.search.cross_features import PairFeatures, unit
from core.search.cross_task import Task
from core.search.cross_words import Bags
from core.search.exact import top_k
from core.search.threads import in_shares, thread_count

NEIGHBOURS = 12
UNKNOWN = -2  # a neighbour that was not looked for yet
LEAST_PAIRS = 512  # fewer are not worth a second thread
MOST_POSITIVES = 6
#: A word in this share of the texts, or more, says what is asked, not about what.
COMMON_SHARE = 0.002
RANDOM_DIM = 128
NAMES = tuple(f"{space}, {how}" for space in ("asked alike", "alike") for how in ("best", "mean", "best document"))


class Analogies:
    """Features of pairs from the labels of other training queries: never the pair's own query, never its fold."""

    def __init__(self, features: PairFeatures, task: Task):
        self.features, self.task = features, task
        self.queries = np.flatnonzero(task.fold_of >= 0)
        self._found: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}

    @cached_property
    def _vectors(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of what queries ask and what documents say: half meaning, half exact words (a random projection)."""
        words = self.features.words
        n_words = len(words.idf)
        sides = (words.queries, words.documents)
        frequencies = [np.bincount(bags.items, minlength=n_words) for bags in sides]
        is_common = [n >= max(COMMON_SHARE * len(bags.sizes), 2) for n, bags in zip(frequencies, sides, strict=True)]
        is_plain = ~words.is_name
        asks = np.log1p(len(words.queries.sizes) / (frequencies[0] + 1)) * ((is_common[0] | is_common[1]) & is_plain)
        says = words.idf * (is_common[1] & is_plain)
        projection = np.random.default_rng(0).normal(size=(n_words, RANDOM_DIM)).astype(np.float32) / np.float32(RANDOM_DIM**0.5)
        made = []
        for bags, weights in zip(sides, (asks, says), strict=True):
            parts = [unit(_summed(bags, weights.astype(np.float32), table)) for table in (words.vectors, projection)]
            made.append(unit(np.concatenate(parts, axis=1)))
        return made[0], made[1]

    @cached_property
    def _positives(self) -> np.ndarray:
        """int64 (T, J): the labelled documents of each training query, -1 padded."""
        starts = np.searchsorted(self.task.query_rows, self.queries)
        sizes = np.searchsorted(self.task.query_rows, self.queries, "right") - starts
        columns = np.arange(min(int(sizes.max(initial=0)), MOST_POSITIVES))
        is_there = columns < sizes[:, None]
        rows = np.full(is_there.shape, -1, np.int64)
        rows[is_there] = self.task.doc_rows[(starts[:, None] + columns)[is_there]]
        return rows

    def of(self, query_rows: np.ndarray, doc_rows: np.ndarray, fold: int) -> np.ndarray:
        """float32 (N, len(NAMES)) for the network that was not trained on ``fold``."""
        from core.search.cross_loops import analogies

        query_rows, doc_rows = np.ascontiguousarray(query_rows, np.int64), np.ascontiguousarray(doc_rows, np.int64)
        columns = []
        for name, (asks, says) in (("asked", self._vectors), ("said", self.features.pooled)):
            neighbours, likeness = self._nearest(name, asks, query_rows, fold)
            found = np.empty((len(doc_rows), 3), np.float32)
            in_shares(
                len(doc_rows), thread_count(None),
                lambda first, last, about=(neighbours, likeness), says=says, found=found: analogies(
                    query_rows[first:last], doc_rows[first:last], *about, self._positives, says, found[first:last]
                ),
                least=LEAST_PAIRS,
            )  # fmt: skip
            columns.append(found)
        return np.concatenate(columns, axis=1)

    def _nearest(self, space: str, asks: np.ndarray, query_rows: np.ndarray, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """(int32, float32), both (Q, NEIGHBOURS): for each query its most alike training queries outside the fold, as places in
        ``self.queries``, never itself, -1 = none, and how alike; rows that nobody asked for yet are not set."""
        if (space, fold) not in self._found:
            shape = len(self.features.words.queries.sizes), NEIGHBOURS
            self._found.setdefault((space, fold), (np.full(shape, UNKNOWN, np.int32), np.zeros(shape, np.float32)))
        neighbours, likeness = self._found[space, fold]
        new = np.unique(query_rows[neighbours[query_rows, 0] == UNKNOWN])
        if len(new):
            others = np.flatnonzero(self.task.fold_of[self.queries] != fold)
            hits = top_k(asks[new], asks[self.queries[others]], NEIGHBOURS + 1)
            is_real = hits.doc_rows >= 0
            places = np.full(is_real.shape, -1, np.int64)
            places[is_real] = others[hits.doc_rows[is_real]]
            is_own = is_real & (self.queries[places] == new[:, None])
            order = np.argsort(is_own, axis=1, kind="stable")[:, :NEIGHBOURS]
            # In this order: whoever finds a neighbour finds its likeness, too.
            likeness[new] = np.take_along_axis(np.where(is_real & ~is_own, hits.scores, 0), order, 1)
            neighbours[new] = np.take_along_axis(np.where(is_own, -1, places), order, 1)
        return neighbours, likeness


def _summed(bags: Bags, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_matrix

    return np.asarray(csr_matrix((weights[bags.items], bags.items, bags.starts), shape=(len(bags.sizes), len(table))) @ table)
