"""Matrix products of queries and documents in float32, and how wrong they may be."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

Similarity = Literal["dot", "cosine", "l2"]
SIMILARITIES = ("dot", "cosine", "l2")

BLOCK_PRODUCTS = 1 << 25  # 128 MiB of products at a time
UNIT = 2.0**-24  # rounding of float32
LARGEST = 1e37  # of |query| * |document|: above, products overflow


@dataclass(frozen=True, eq=False)
class Documents:
    """The vectors that are searched, with what every search of them needs: made once, however often they are searched.

    ``factors`` float64 (C,) multiply the exact sums; ``norms`` float64 (C,).
    """

    vectors: np.ndarray
    norms: np.ndarray
    factors: np.ndarray
    kind: int

    @classmethod
    def of(cls, vectors: np.ndarray, similarity: Similarity) -> Documents:
        """Raises ValueError for vectors that are no matrix or not finite, and for other similarities."""
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}; got {similarity!r}.")
        vectors = _vectors("document_vectors", vectors)
        norms = _norms(vectors)
        return cls(vectors, norms, _factors(norms, similarity), SIMILARITIES.index(similarity))

    @property
    def similarity(self) -> Similarity:
        return SIMILARITIES[self.kind]

    @cached_property
    def right(self) -> np.ndarray:
        """The documents' side of the products, float32 (dim or dim + 1, C)."""
        if self.similarity == "l2":
            return np.column_stack([self.vectors, (-(self.norms**2)).astype(np.float32)]).T
        return (self.vectors if self.similarity == "dot" else _scaled(self.vectors, self.factors)).T


@dataclass(frozen=True, eq=False)
class VectorPair:
    """Two sets of vectors with what the inner loops need.

    ``left`` @ ``side.right`` = the products, which order documents as scores do; a product is the score + the query's
    shift, wrong by at most the query's error. ``query_factors`` and the documents' multiply the exact sum.
    """

    queries: np.ndarray
    side: Documents
    query_factors: np.ndarray
    errors: np.ndarray
    shifts: np.ndarray

    @classmethod
    def of(cls, query_vectors: np.ndarray, document_vectors: np.ndarray, similarity: Similarity) -> VectorPair:
        """Raises ValueError for shapes that do not fit, values that are not finite or too large, other similarities."""
        return cls.against(query_vectors, Documents.of(document_vectors, similarity))

    @classmethod
    def against(cls, query_vectors: np.ndarray, side: Documents) -> VectorPair:
        """:meth:`of`, of documents that are searched more than once."""
        queries, similarity = _vectors("query_vectors", query_vectors), side.similarity
        if queries.shape[1] != side.vectors.shape[1]:
            raise ValueError(f"Query and document vectors differ in size: {queries.shape[1]} and {side.vectors.shape[1]}.")
        query_norms, longest = _norms(queries), side.norms.max(initial=0)
        largest = max(query_norms.max(initial=0), longest) ** 2 if similarity == "l2" else None
        if largest is None and similarity == "dot":
            largest = query_norms.max(initial=0) * longest
        if largest is not None and largest > LARGEST:
            raise ValueError("The vectors are too long: their products do not fit float32.")

        # Any order of n float32 additions of products errs by at most n * UNIT * |a| |b| (Higham 2002, 3.1), to first
        # order; a few more units cover the rounding of factors, shifts and the score itself.
        rounding = (queries.shape[1] + 16) * UNIT
        shifts = np.zeros(len(queries))
        if similarity == "cosine":
            errors = np.full(len(queries), rounding)
        elif similarity == "l2":
            shifts = query_norms**2
            errors = rounding * (query_norms + longest) ** 2
        else:
            errors = rounding * query_norms * longest
        # Underflow to zero is not relative to anything: the last term.
        return cls(queries, side, _factors(query_norms, similarity), errors + 1e-37, shifts)

    def taking(self, query_rows: np.ndarray) -> VectorPair:
        """The pair of these queries alone."""
        own = ("queries", "query_factors", "errors", "shifts")
        return replace(self, **{name: getattr(self, name)[query_rows] for name in own})

    @cached_property
    def left(self) -> np.ndarray:
        """The queries' side of the products, float32 (Q, dim or dim + 1)."""
        if self.side.similarity == "l2":  # 2 q.d - |d|^2 = -|q - d|^2 + |q|^2
            return np.column_stack([2 * self.queries, np.ones(len(self.queries), np.float32)])
        return self.queries if self.side.similarity == "dot" else _scaled(self.queries, self.query_factors)

    @property
    def documents(self) -> np.ndarray:
        return self.side.vectors

    @property
    def loop_arguments(self) -> tuple:
        return self.queries, self.side.vectors, self.query_factors, self.side.factors, self.side.kind

    def blocks(self, query_rows: np.ndarray, threads: int) -> Iterator[tuple[int, np.ndarray]]:
        """``(start, products)`` of a block of the query rows at a time; the array is used again for the next."""
        size = min(max(1, BLOCK_PRODUCTS // max(1, len(self.documents))), len(query_rows))
        is_all = len(query_rows) == len(self.left)
        space = np.empty((size, len(self.documents)), np.float32)
        for start in range(0, len(query_rows), size):
            rows = slice(start, start + size) if is_all else query_rows[start : start + size]
            some = self.left[rows]
            yield start, _product(some, self.side.right, space[: len(some)], threads)


def _product(left: np.ndarray, right: np.ndarray, out: np.ndarray, threads: int) -> np.ndarray:
    """``left @ right``. Where torch is loaded its product is taken, which is half as fast again; which one only moves last bits.

    Only by the main thread, a training's: torch's number of threads belongs to the whole process.
    """
    torch = sys.modules.get("torch")
    is_ours = threading.current_thread() is threading.main_thread() and left.flags.writeable and right.flags.writeable
    if torch is None or not is_ours:
        return np.matmul(left, right, out=out)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.mm(torch.from_numpy(left), torch.from_numpy(right), out=torch.from_numpy(out))
    finally:
        torch.set_num_threads(before)
    return out


def _scaled(vectors: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """float32 ``vectors`` times one factor a row."""
    if factors.max(initial=0) < LARGEST:
        return vectors * factors.astype(np.float32)[:, None]
    return (vectors * factors[:, None]).astype(np.float32)


def _vectors(name: str, values: np.ndarray) -> np.ndarray:
    vectors = np.ascontiguousarray(values, np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"{name} must be a matrix; got {vectors.ndim} dimensions.")
    # A sum of squares is finite only if all values are, and needs no array of flags; it may also overflow.
    if not np.isfinite(np.vdot(vectors, vectors)) and not np.isfinite(vectors).all():
        raise ValueError(f"{name} holds values that are not finite.")
    return vectors


def _norms(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))


def _factors(norms: np.ndarray, similarity: Similarity) -> np.ndarray:
    if similarity != "cosine":
        return np.ones(len(norms))
    return np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
