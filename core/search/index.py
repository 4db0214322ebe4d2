"""Vector indexes behind one interface: an index finds documents, their exact scores order them.

Whatever the structure, the found documents are scored by :func:`core.search.exact.score_pairs`, so a hit of any index has
the score, to the last bit, that exact search gives it, and equal scores are ordered by document row. Indexes differ in one
thing only: which documents they find. Where the k-th place is tied, exact search takes the smaller rows; an approximate
index takes those that its structure met.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from core.params import Citation, Piece
from core.search.hits import Hits

#: Decides every k-means of an index; with one thread at build, equal vectors give equal structures.
SEED = 1234
BLOCK_FOUND = 1 << 22  # found documents scored at a time


class Index(Piece):
    """Base of the indexes.

    ``effort``: the parameter that trades time for recall in a search, '' = none; ``efforts``: values of it worth measuring.
    A structure built for one value serves all others.
    """

    family: ClassVar[str] = "index"
    effort: ClassVar[str] = ""
    efforts: ClassVar[tuple[int, ...]] = ()

    @classmethod
    def missing(cls) -> str:
        """Why it cannot be built on this machine, with the remedy; '' = it can."""
        return ""

    def effort_at(self, k: int, n_documents: int) -> int:
        """The effort that a search for ``k`` documents really makes: some values are raised or capped."""
        return getattr(self, self.effort) if self.effort else 0

    def build(self, documents: np.ndarray, similarity: str) -> BuiltIndex:
        """The structure over ``documents`` (C, dim), C >= 1; equal vectors give equal structures.

        ``similarity``: dot, cosine or l2. Raises ParameterError where a package is missing.
        """
        documents = np.ascontiguousarray(documents, np.float32)
        started = time.perf_counter()
        structure = self._make(_comparable(documents, similarity), similarity)
        seconds = time.perf_counter() - started
        return BuiltIndex(self, documents, similarity, structure, self._size(structure, documents), seconds)

    def _make(self, documents: np.ndarray, similarity: str) -> Any:
        """The structure; ``documents`` are of unit length for cosine."""
        raise TypeError(f"{type(self).__name__} builds no structure")

    def _find(self, structure: Any, queries: np.ndarray, k: int, threads: int) -> np.ndarray:
        """int64 (Q, any number) document rows in any order, -1 = none, no row twice for a query."""
        raise TypeError(f"{type(self).__name__} finds nothing")

    def _size(self, structure: Any, documents: np.ndarray) -> int:
        raise TypeError(f"{type(self).__name__} does not say its size")


@dataclass(frozen=True, eq=False)
class BuiltIndex:
    """One structure over a set of document vectors. ``n_bytes``: what it must hold to answer; ``seconds``: to build it."""

    piece: Index
    documents: np.ndarray
    similarity: str
    structure: Any
    n_bytes: int
    seconds: float

    def at(self, effort: int) -> BuiltIndex:
        """The same structure, searched with another effort; raises ParameterError where the piece refuses the value."""
        return dataclasses.replace(self, piece=self.piece.but(**{self.piece.effort: effort}))

    def search(self, queries: np.ndarray, k: int, *, threads: int | None = None) -> Hits:
        """At most ``k`` found documents of each query vector (Q, dim), by exact score, ties by document row; -1 where fewer were found.

        A query for which the structure finds nothing at all is searched exactly. Each query's list is the same for any
        ``threads`` (None = as set).
        """
        from core.search.exact import top_k
        from core.search.threads import thread_count

        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}.")
        queries = np.ascontiguousarray(queries, np.float32)
        if isinstance(self.piece, Flat):
            return top_k(queries, self.documents, k, similarity=self.similarity, threads=threads)
        if not len(queries):
            return Hits.none(0, k)
        found = self.piece._find(self.structure, _comparable(queries, self.similarity), k, thread_count(threads))
        hits = self._ordered(queries, found, k)
        is_lost = hits.n_found == 0
        if is_lost.any():  # a fast scan gives nothing where all of its rough scores are equal
            exact = top_k(queries[is_lost], self.documents, k, similarity=self.similarity, threads=threads)
            hits.doc_rows[is_lost], hits.scores[is_lost] = exact.doc_rows, exact.scores
        return hits

    def _ordered(self, queries: np.ndarray, found: np.ndarray, k: int) -> Hits:
        from core.search.exact import score_pairs

        hits = Hits.none(len(queries), k)
        step = max(1, BLOCK_FOUND // max(1, found.shape[1]))
        for first in range(0, len(queries), step):
            rows = found[first : first + step]
            is_real = rows >= 0
            scores = np.full(rows.shape, -np.inf, np.float32)
            index = np.broadcast_to(np.arange(len(rows))[:, None], rows.shape)[is_real]
            scores[is_real] = score_pairs(
                queries[first : first + step], self.documents, index, rows[is_real], similarity=self.similarity
            )
            order = np.lexsort((rows, -scores, ~is_real), axis=-1)[:, :k]
            width = order.shape[1]
            hits.doc_rows[first : first + step, :width] = np.take_along_axis(rows, order, 1)
            hits.scores[first : first + step, :width] = np.take_along_axis(scores, order, 1)
        return hits


def _comparable(vectors: np.ndarray, similarity: str) -> np.ndarray:
    """The vectors as an index compares them: of unit length for cosine (a zero vector stays zero), else as they are."""
    if similarity != "cosine":
        return vectors
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


@dataclass(frozen=True, kw_only=True)
class Flat(Index):
    """Every document is compared with every query: nothing is missed.

    How: a blocked matrix product proposes, sums in double precision decide, ties go to the smaller document row. There is
    nothing to build, and recall is 1 by definition: every other index is measured against this one.

    Fails only by its price: time grows with documents x queries. Up to some hundred thousand documents that is seconds, and
    an approximate index saves little that mining would notice.
    """

    key: ClassVar[str] = "flat"
    title: ClassVar[str] = "Flat (exact)"
    source: ClassVar[Citation] = Citation(
        "Johnson, Douze and Jégou", 2017, "Billion-scale similarity search with GPUs", "https://arxiv.org/abs/1702.08734"
    )
    cost: ClassVar = "medium"
    difficulty: ClassVar = "easy"

    def _make(self, documents, similarity):
        return None

    def _size(self, structure, documents):
        return documents.nbytes


@contextmanager
def faiss_threads(threads: int) -> Iterator[Any]:
    """The faiss module, using so many threads inside the block; the former number comes back after it."""
    import faiss

    former = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(former)
