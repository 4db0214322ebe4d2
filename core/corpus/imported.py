"""Negatives that came with a corpus: mined by somebody else, kept to be looked at without training anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

IMPORTED = "imported.jsonl"  # beside corpus.jsonl in BEIR's layout; of this product's own


@dataclass(frozen=True, eq=False)
class ImportedNegatives:
    """The negatives of a mined set, in the order of its file.

    ``query_rows``, ``doc_rows``: int64 (N,), ordered by query row, then rank; no pair twice. ``ranks``: int32 (N,), from 1,
    the place in the query's own list. ``scores``: float32 (N,), larger = closer, NaN = the file gives none.
    ``positive_scores``: float32 (n_queries,), the lowest that the file gives for a positive of the query, NaN = none.
    ``source``: what kind of file they came from. A negative that is a labelled positive of its query stays: it is a finding.
    """

    query_rows: np.ndarray
    doc_rows: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray
    positive_scores: np.ndarray
    source: str

    @classmethod
    def from_mentions(cls, query_rows, doc_rows, scores, positive_scores, source: str) -> ImportedNegatives:
        """From mentions in the order of the file; of a pair that is mentioned again the first counts."""
        query_rows, doc_rows = np.asarray(query_rows, np.int64), np.asarray(doc_rows, np.int64)
        order = np.lexsort((np.arange(len(query_rows)), doc_rows, query_rows))
        is_first = np.ones(len(order), bool)
        is_first[1:] = (np.diff(query_rows[order]) != 0) | (np.diff(doc_rows[order]) != 0)
        kept = np.sort(order[is_first])
        kept = kept[np.argsort(query_rows[kept], kind="stable")]
        queries = query_rows[kept]
        starts = np.searchsorted(queries, queries)
        positive_scores = np.array(positive_scores, np.float32)
        positive_scores[np.setdiff1d(np.arange(len(positive_scores)), queries)] = np.nan  # kept where it can be compared
        ranks = (np.arange(len(queries)) - starts + 1).astype(np.int32)
        return cls(queries, doc_rows[kept], ranks, np.asarray(scores, np.float32)[kept], positive_scores, source)

    def __len__(self) -> int:
        return len(self.query_rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ImportedNegatives):
            return NotImplemented
        same = all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(self.arrays(), other.arrays(), strict=True))
        return same and self.source == other.source

    __hash__ = None  # type: ignore[assignment]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """All arrays, in the order in which they enter the corpus's fingerprint."""
        return self.query_rows, self.doc_rows, self.ranks, self.scores, self.positive_scores

    def n_per_query(self) -> np.ndarray:
        """How many negatives each query has: int64 (n_queries,)."""
        return np.bincount(self.query_rows, minlength=len(self.positive_scores))

    def rank_of(self, query_row: int, doc_row: int) -> int:
        """The document's place in the query's own list, 0 = it is not in it."""
        start, end = np.searchsorted(self.query_rows, [query_row, query_row + 1])
        found = np.flatnonzero(self.doc_rows[start:end] == doc_row)
        return int(self.ranks[start + found[0]]) if len(found) else 0

    def table(self) -> pa.Table:
        """One row a negative: query_row, doc_row, rank, score, positive_score."""
        names = ("query_row", "doc_row", "rank", "score", "positive_score")
        return pa.table(dict(zip(names, (*self.arrays()[:4], self.positive_scores[self.query_rows]), strict=True)))

    @classmethod
    def from_table(cls, table: pa.Table, n_queries: int, source: str) -> ImportedNegatives:
        """What :meth:`table` gave. Raises ValueError for rows outside the corpus's queries."""
        rows, docs, ranks, scores, best = (table[name].to_numpy() for name in table.column_names)
        if len(rows) and (rows.min() < 0 or rows.max() >= n_queries):
            raise ValueError(f"imported query rows must be in [0, {n_queries})")
        positive_scores = np.full(n_queries, np.nan, np.float32)
        positive_scores[rows] = best
        return cls(rows, docs, ranks, scores, positive_scores, source)
