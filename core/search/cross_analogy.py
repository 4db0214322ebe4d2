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

NEIGHBOURS = 12
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
        asked, places = np.unique(query_rows, return_inverse=True)
        spaces = (self._vectors, self.features.pooled)
        return np.concatenate([self._in_space(*space, asked, places.reshape(-1), doc_rows, fold) for space in spaces], axis=1)

    def _in_space(
        self, asks: np.ndarray, says: np.ndarray, asked: np.ndarray, places: np.ndarray, doc_rows: np.ndarray, fold: int
    ) -> np.ndarray:
        from core.search.cross_loops import analogies

        alike = asks[asked].astype(np.float64) @ asks[self.queries].astype(np.float64).T
        alike[:, self.task.fold_of[self.queries] == fold] = -np.inf
        alike[asked[:, None] == self.queries] = -np.inf
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :NEIGHBOURS]
        likeness = np.take_along_axis(alike, nearest, 1)
        neighbours = np.where(np.isfinite(likeness), nearest, -1).astype(np.int64)
        found = np.empty((len(doc_rows), 3), np.float32)
        analogies(
            places.astype(np.int64), np.ascontiguousarray(doc_rows, np.int64), neighbours,
            np.where(np.isfinite(likeness), likeness, 0).astype(np.float32), self._positives, says, found,
        )  # fmt: skip
        return found


def _summed(bags: Bags, weights: np.ndarray, table: np.ndarray) -> np.ndarray:
    from scipy.sparse import csr_matrix

    return np.asarray(csr_matrix((weights[bags.items], bags.items, bags.starts), shape=(len(bags.sizes), len(table))) @ table)
