"""Ranked lists as two arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Hits:
    """The best documents of each query, best first.

    ``doc_rows``: int64 (Q, k), -1 = none, only at the end of a row.
    ``scores``: float32 (Q, k), larger = closer, -inf where there is no document.
    Ties: the smaller document row comes first.
    """

    doc_rows: np.ndarray
    scores: np.ndarray

    def __post_init__(self) -> None:
        if self.doc_rows.ndim != 2 or self.doc_rows.shape != self.scores.shape:
            raise ValueError(f"doc_rows {self.doc_rows.shape} and scores {self.scores.shape} must be one (Q, k) shape.")

    @classmethod
    def none(cls, n_queries: int, k: int) -> Hits:
        """Lists without a document, to be filled in."""
        return cls(np.full((n_queries, k), -1, np.int64), np.full((n_queries, k), -np.inf, np.float32))

    @property
    def n_queries(self) -> int:
        return self.doc_rows.shape[0]

    @property
    def k(self) -> int:
        return self.doc_rows.shape[1]

    @property
    def n_found(self) -> np.ndarray:
        """int64 (Q,): how many documents each query got."""
        return (self.doc_rows >= 0).sum(axis=1)
