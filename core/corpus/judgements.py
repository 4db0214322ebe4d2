"""Judged (query, document) pairs as arrays: qrels, truth and known positives."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

POSITIVE = 1  # the lowest grade that counts as relevant


@dataclass(frozen=True, eq=False)
class Judgements:
    """Judged pairs in compressed rows, one row a query.

    ``doc_rows[indptr[q]:indptr[q + 1]]`` are the documents judged for query row ``q``, ascending and
    without repeats; ``grades`` runs along with them. Unjudged is not irrelevant: a pair that is absent
    here was never looked at, a pair with a grade below 1 was judged non-relevant.

    ``indptr``: int64 (n_queries + 1,); ``doc_rows``: int64 (n_pairs,); ``grades``: int16 (n_pairs,).
    """

    indptr: np.ndarray
    doc_rows: np.ndarray
    grades: np.ndarray

    def __post_init__(self) -> None:
        for name, dtype in (("indptr", np.int64), ("doc_rows", np.int64), ("grades", np.int16)):
            array = np.ascontiguousarray(getattr(self, name), dtype=dtype).view()
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.indptr.ndim != 1 or len(self.indptr) == 0 or self.indptr[0] != 0:
            raise ValueError("indptr must be one-dimensional and start with 0")
        if not self.indptr[-1] == len(self.doc_rows) == len(self.grades):
            raise ValueError("doc_rows and grades must be as long as the last value of indptr")

    @classmethod
    def from_pairs(cls, query_rows, doc_rows, grades, n_queries: int) -> Self:
        """The table of these pairs, in any order; the highest grade wins where a pair is repeated.

        All three arrays are one-dimensional and equally long. Raises ValueError for a query row outside
        [0, n_queries), a negative document row or a grade that does not fit int16.
        """
        query_rows = np.asarray(query_rows, dtype=np.int64).reshape(-1)
        doc_rows = np.asarray(doc_rows, dtype=np.int64).reshape(-1)
        grades = np.asarray(grades, dtype=np.int64).reshape(-1)
        if not len(query_rows) == len(doc_rows) == len(grades):
            raise ValueError("query_rows, doc_rows and grades must be equally long")
        if len(query_rows) and (query_rows.min() < 0 or query_rows.max() >= n_queries):
            raise ValueError(f"query_rows must be in [0, {n_queries})")
        if len(doc_rows) and doc_rows.min() < 0:
            raise ValueError("doc_rows must not be negative")
        if len(grades) and (grades.min() < -(2**15) or grades.max() >= 2**15):
            raise ValueError("grades must fit int16")
        order = np.lexsort((-grades, doc_rows, query_rows))
        query_rows, doc_rows, grades = query_rows[order], doc_rows[order], grades[order]
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (query_rows[1:] != query_rows[:-1]) | (doc_rows[1:] != doc_rows[:-1])
        indptr = np.zeros(n_queries + 1, dtype=np.int64)
        np.cumsum(np.bincount(query_rows[is_first], minlength=n_queries), out=indptr[1:])
        return cls(indptr, doc_rows[is_first], grades[is_first].astype(np.int16))

    @classmethod
    def empty(cls, n_queries: int) -> Self:
        """A table of ``n_queries`` queries without a single pair."""
        return cls.from_pairs([], [], [], n_queries)

    @property
    def n_queries(self) -> int:
        return len(self.indptr) - 1

    @property
    def n_pairs(self) -> int:
        return len(self.doc_rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Judgements):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in ("indptr", "doc_rows", "grades")
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Judgements(n_queries={self.n_queries}, n_pairs={self.n_pairs})"

    def _span(self, query_row: int) -> slice:
        if not 0 <= query_row < self.n_queries:
            raise IndexError(f"query row {query_row} is not in [0, {self.n_queries})")
        return slice(int(self.indptr[query_row]), int(self.indptr[query_row + 1]))

    def judged(self, query_row: int) -> np.ndarray:
        """Document rows judged for this query, whatever the grade: int64, ascending."""
        return self.doc_rows[self._span(query_row)]

    def positives(self, query_row: int) -> np.ndarray:
        """Document rows judged relevant (grade >= 1) for this query: int64, ascending."""
        span = self._span(query_row)
        return self.doc_rows[span][self.grades[span] >= POSITIVE]

    def only_positive(self) -> Judgements:
        """The pairs of grade >= 1, over the same queries."""
        return self._where(self.grades >= POSITIVE)

    def without_queries(self, query_rows) -> Judgements:
        """The pairs of all other queries; the named rows stay, empty."""
        is_dropped = np.zeros(self.n_queries, dtype=bool)
        is_dropped[np.asarray(query_rows, dtype=np.int64)] = True
        return self._where(~is_dropped[self._query_rows])

    def only_queries(self, query_rows) -> Judgements:
        """The pairs of the named queries; all other rows stay, empty."""
        is_kept = np.zeros(self.n_queries, dtype=bool)
        is_kept[np.asarray(query_rows, dtype=np.int64)] = True
        return self._where(is_kept[self._query_rows])

    def _where(self, is_kept: np.ndarray) -> Judgements:
        n_before = np.concatenate([[0], np.cumsum(is_kept)])
        return Judgements(n_before[self.indptr], self.doc_rows[is_kept], self.grades[is_kept])

    @cached_property
    def _query_rows(self) -> np.ndarray:
        return np.repeat(np.arange(self.n_queries, dtype=np.int64), np.diff(self.indptr))

    def n_per_query(self) -> np.ndarray:
        """How many pairs each query has: int64 (n_queries,)."""
        return np.diff(self.indptr)

    def query_rows_with_positives(self) -> np.ndarray:
        """Query rows with at least one pair of grade >= 1: int64, ascending."""
        return np.unique(self._query_rows[self.grades >= POSITIVE])

    def pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(query_rows, doc_rows, grades)``, ordered by query row, then document row."""
        return self._query_rows, self.doc_rows, self.grades

    @cached_property
    def _keys(self) -> tuple[np.ndarray, int]:
        # One ascending int64 a pair, so that a look-up of many pairs is one binary search.
        stride = int(self.doc_rows.max()) + 1 if self.n_pairs else 1
        return self._query_rows * stride + self.doc_rows, stride

    def _find(self, query_rows, doc_rows) -> tuple[np.ndarray, np.ndarray]:
        keys, stride = self._keys
        query_rows = np.asarray(query_rows, dtype=np.int64)
        doc_rows = np.asarray(doc_rows, dtype=np.int64)
        shape = np.broadcast_shapes(query_rows.shape, doc_rows.shape)
        if not len(keys):
            return np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
        wanted = query_rows * stride + doc_rows
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        # A document row beyond the stride (or the -1 of "none") would alias a neighbouring query's key.
        is_found = (keys[places] == wanted) & (doc_rows >= 0) & (doc_rows < stride)
        return places, is_found

    def contains(self, query_rows, doc_rows) -> np.ndarray:
        """Is this pair in the table, whatever its grade? bool, the broadcast shape of the two arguments.

        Rows outside the table, such as -1 for "none", are answered with False.
        """
        return self._find(query_rows, doc_rows)[1]

    def grade_of(self, query_rows, doc_rows) -> np.ndarray:
        """The grade of each pair: int16, the broadcast shape of the arguments; 0 = unjudged or non-relevant."""
        places, is_found = self._find(query_rows, doc_rows)
        if not self.n_pairs:
            return np.zeros(is_found.shape, dtype=np.int16)
        return np.where(is_found, self.grades[places], 0).astype(np.int16)

    def padded(self, query_rows, fill: int = -1) -> np.ndarray:
        """All judged documents of each query: int64 (len(query_rows), longest), ``fill`` at the end of a row."""
        query_rows = np.asarray(query_rows, dtype=np.int64).reshape(-1)
        starts = self.indptr[query_rows]
        lengths = self.indptr[query_rows + 1] - starts
        columns = np.arange(int(lengths.max()) if len(lengths) else 0)
        is_there = columns < lengths[:, None]
        table = np.full(is_there.shape, fill, dtype=np.int64)
        table[is_there] = self.doc_rows[(starts[:, None] + columns)[is_there]]
        return table

    def union(self, other: Judgements) -> Judgements:
        """The pairs of both tables; the higher grade wins. Raises ValueError when the query counts differ."""
        if self.n_queries != other.n_queries:
            raise ValueError(f"cannot join judgements of {self.n_queries} and {other.n_queries} queries")
        joined = (np.concatenate(both) for both in zip(self.pairs(), other.pairs(), strict=True))
        return Judgements.from_pairs(*joined, self.n_queries)
