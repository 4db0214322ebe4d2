"""Products of vectors rounded to eight bits: a third of the time of float32's, and a bound on how wrong they are.

Processors multiply four pairs of eight-bit numbers in the time of one pair of floats. Rounded products propose, as float32's do
otherwise, with a slack that is proved: what is proposed is scored exactly, so no result changes by it, only the time.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from core.search.products import Documents, VectorPair
from core.search.threads import in_shares

LARGEST = 127  # of eight bits; -128 is not used, so that both signs round alike
LEAST_PRODUCTS = 1 << 22  # below, rounding costs more than it saves
LEAST_DIM = 16  # the same; of vectors of one dimension torch's product of whole numbers is wrong
LARGEST_ERROR = 0.03  # of a query's length times a document's: above, too many documents would be proposed
BLOCK_PRODUCTS = 1 << 22  # 16 MiB for each thread at a time
LEAST_ROWS = 32  # of one product: fewer fetch all documents for little
MOST_HELD = 1 << 27  # products of all threads at a time, 512 MiB: more documents are left to float32's smaller blocks

Use = Callable[[int, np.ndarray], None]


@dataclass(frozen=True, eq=False)
class _RoundedDocuments:
    """``vectors`` int8 (C, dim), in whole steps of ``step``. ``longest``, ``typical``: length of the longest and of the median document, at
    most; ``error``: how far a rounded one lies from its own."""

    vectors: np.ndarray
    step: float
    longest: float
    typical: float
    error: float


#: Of documents that are searched at each step, what their first searches made of them: how many products were asked, and the rounded.
_ASKED: WeakKeyDictionary[Documents, int] = WeakKeyDictionary()
_ROUNDED: WeakKeyDictionary[Documents, _RoundedDocuments] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class RoundedPair:
    """The two sides of a VectorPair in whole steps. ``queries`` int8 (Q, dim), ``documents`` int8 (C, dim); ``units`` float64
    (Q,): what 1 in a query's products is worth; ``errors`` float64 (Q,): how wrong a product times that is at most, and a unit more."""

    queries: np.ndarray
    documents: np.ndarray
    units: np.ndarray
    errors: np.ndarray

    @classmethod
    def of(cls, pair: VectorPair, threads: int) -> RoundedPair | None:
        """None where rounding would not pay: for few products (all that were asked of the documents so far count) or very many
        documents, on processors that gain nothing, for vectors that round badly; for l2."""
        side, n_queries = pair.side, len(pair.queries)
        is_unfit = side.similarity == "l2" or side.vectors.shape[1] < LEAST_DIM or n_queries < LEAST_ROWS
        is_large = LEAST_ROWS * len(side.vectors) * threads > MOST_HELD
        if is_unfit or is_large or not _is_at_hand():
            return None
        _ASKED[side] = _ASKED.get(side, 0) + n_queries * len(side.vectors)
        if _ASKED[side] < LEAST_PRODUCTS:
            return None
        documents = _ROUNDED.get(side)
        if documents is None:
            documents = _ROUNDED[side] = _rounded_documents(side, threads)
        steps = _largest(pair.queries, pair.query_factors, threads) / LARGEST
        queries, lengths, query_errors = _rounded(pair.queries, pair.query_factors, steps, threads)
        # q.d - q'.d' = (q - q').d + q'.(d - d'), and by Cauchy and Schwarz each is at most the product of its lengths.
        errors = query_errors * documents.longest + lengths * documents.error
        if errors.sum() > LARGEST_ERROR * (lengths.sum() * documents.typical):
            return None
        units = steps * documents.step
        units[units == 0] = np.finfo(np.float32).tiny  # products that are all zero are zeros of any unit
        # pair.errors covers the rounding of these bounds; the unit, that what is compared with products is cut to a whole number.
        return cls(queries, documents.vectors, units, errors + pair.errors + units)

    def each_block(self, threads: int, use: Use) -> None:
        """Call ``use(start, products)`` for blocks of queries that cover all, on up to ``threads`` threads at once.

        ``products`` int32 (n, C): of the queries from ``start``; the array belongs to the call and is used again after it.
        """
        import torch

        size = max(LEAST_ROWS, BLOCK_PRODUCTS // len(self.documents))
        right, own = torch.from_numpy(self.documents).T, threading.local()

        def work(first: int, last: int) -> None:
            torch.set_num_threads(1)  # of this thread; the queries are what is shared
            if not hasattr(own, "space"):
                own.space = np.empty((size, len(self.documents)), np.int32)
            for start in range(first, last, size):  # once where there are several threads
                left = self.queries[start : min(start + size, last)]
                products = own.space[: len(left)]
                torch._int_mm(torch.from_numpy(left), right, out=torch.from_numpy(products))
                use(start, products)

        before, n = torch.get_num_threads(), len(self.queries)
        try:
            # As few and as equal products as fit: each begins with rearranging all documents.
            in_shares(n, threads, work, least=LEAST_ROWS, each=-(-n // (size * threads)))
        finally:
            torch.set_num_threads(before)


def _rounded_documents(side: Documents, threads: int) -> _RoundedDocuments:
    step = _largest(side.vectors, side.factors, threads).max() / LARGEST
    vectors, lengths, errors = _rounded(side.vectors, side.factors, np.full(len(side.vectors), step), threads)
    lengths += errors
    return _RoundedDocuments(vectors, step, lengths.max(), float(np.median(lengths)), errors.max())


def _largest(vectors: np.ndarray, factors: np.ndarray, threads: int) -> np.ndarray:
    from core.search.rounded_loops import largest_of_rows

    largest = np.empty(len(vectors))
    in_shares(len(vectors), threads, lambda first, last: largest_of_rows(vectors, factors, first, last, largest), each=1)
    return largest


def _rounded(vectors: np.ndarray, factors: np.ndarray, steps: np.ndarray, threads: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from core.search.rounded_loops import round_rows

    found = np.empty(vectors.shape, np.int8), np.empty(len(vectors)), np.empty(len(vectors))
    in_shares(len(vectors), threads, lambda first, last: round_rows(vectors, factors, steps, first, last, *found), each=1)
    return found


def _is_at_hand() -> bool:
    """Whether torch is loaded, may be used here and multiplies eight bits fast and rightly.

    Only the main thread, a training's, uses it: torch's number of threads belongs to the whole process.
    """
    torch = sys.modules.get("torch")
    return torch is not None and threading.current_thread() is threading.main_thread() and _multiplies_rightly(torch)


@cache
def _multiplies_rightly(torch: Any) -> bool:
    if not hasattr(torch, "_int_mm") or not getattr(torch.cpu, "_is_vnni_supported", lambda: False)():
        return False
    # Without the instructions for it some kernels let sums of pairs overflow; the largest values would show it.
    left = torch.full((LEAST_ROWS, 64), LARGEST, dtype=torch.int8)
    right = torch.full((64, 64), LARGEST, dtype=torch.int8)
    right[:, ::2] = -LARGEST
    wanted = (left.double() @ right.double()).to(torch.int32)
    return bool((torch._int_mm(left, right.T.contiguous().T) == wanted).all())
