"""Exact nearest documents: every document is looked at, and the order never depends on how the work was cut.

A matrix product in float32, or of eight bits where that is faster, proposes; a document's product changes in its last bits with its
place in the block, with the number of threads and with the BLAS. So every document that could be among the best k within the
product's error bound is scored again in float64 in one fixed order and rounded to float32. Equal vectors thus get equal scores, ties
are broken by document row also across the k boundary, and :func:`top_k`, :func:`score_pairs` and :func:`ranks_of`
agree to the last bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.search.bm25 import pair_arrays
from core.search.hits import Hits
from core.search.products import Similarity, VectorPair
from core.search.rounded import RoundedPair
from core.search.threads import blas_threads, in_shares

if TYPE_CHECKING:
    from core.corpus.judgements import Judgements


def top_k(
    query_vectors: np.ndarray,
    document_vectors: np.ndarray,
    k: int,
    *,
    similarity: Similarity = "dot",
    exclude: Judgements | None = None,
    exclude_query_rows: np.ndarray | None = None,
    threads: int | None = None,
) -> Hits:
    """The k closest documents of each query vector, exactly, ties by document row.

    query_vectors: (Q, dim), document_vectors: (C, dim), float32 (others are converted). k may exceed C.
    Scores: the dot product; the cosine, 0 with a zero vector; for l2 minus the squared distance.
    ``exclude``: pairs that are never returned; vector i is query row ``exclude_query_rows[i]`` of it, or i itself.
    ``threads``: for this call, the former number comes back after it; None = as set.
    Raises ValueError for shapes that do not fit, values that are not finite and rows that do not exist.
    """
    pair = VectorPair.of(query_vectors, document_vectors, similarity)
    return top_k_of(pair, k, exclude=exclude, exclude_query_rows=exclude_query_rows, threads=threads)


def top_k_of(
    pair: VectorPair,
    k: int,
    *,
    exclude: Judgements | None = None,
    exclude_query_rows: np.ndarray | None = None,
    threads: int | None = None,
) -> Hits:
    """:func:`top_k` of vectors that are searched more than once."""
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k}.")
    n_queries, n_documents = len(pair.queries), len(pair.documents)
    excluded = None if exclude is None else _excluded(exclude, exclude_query_rows, n_queries, n_documents)
    hits = Hits.none(n_queries, k)
    if not n_queries or not n_documents:
        return hits
    from core.search import exact_loops

    def take(start: int, products: np.ndarray, units: np.ndarray, errors: np.ndarray, n_threads: int) -> None:
        if excluded is not None:
            _exclude(products, start, *excluded)
        lowest = _lowest(products.dtype)[1]

        def work(first: int, last: int) -> None:
            about = products, lowest, units, errors, pair.shifts
            exact_loops.best(*pair.loop_arguments, *about, start, first, last, k, hits.doc_rows, hits.scores)

        in_shares(len(products), n_threads, work, each=1)

    with blas_threads(threads) as n_threads:
        rounded = RoundedPair.of(pair, n_threads)
        if rounded is not None:
            rounded.each_block(n_threads, lambda start, products: take(start, products, rounded.units, rounded.errors, 1))
        else:
            units = np.ones(n_queries)
            for start, products in pair.blocks(np.arange(n_queries), n_threads):
                take(start, products, units, pair.errors, n_threads)
    return hits


def score_pairs(
    query_vectors: np.ndarray,
    document_vectors: np.ndarray,
    query_index: np.ndarray,
    doc_rows: np.ndarray,
    *,
    similarity: Similarity = "dot",
    threads: int | None = None,
) -> np.ndarray:
    """float32 (n,): the score of document vector ``doc_rows[i]`` for query vector ``query_index[i]``.

    The two broadcast against each other to one dimension. Scores and errors are those of :func:`top_k`.
    """
    return scores_of(VectorPair.of(query_vectors, document_vectors, similarity), query_index, doc_rows, threads=threads)


def scores_of(pair: VectorPair, query_index: np.ndarray, doc_rows: np.ndarray, *, threads: int | None = None) -> np.ndarray:
    """:func:`score_pairs` of vectors that are compared more than once."""
    query_index, doc_rows = pair_arrays(query_index, doc_rows, len(pair.queries), len(pair.documents))
    scores = np.empty(len(doc_rows), np.float32)
    if len(scores):
        from core.search import exact_loops

        def work(first: int, last: int) -> None:
            exact_loops.score_pairs(*pair.loop_arguments, query_index, doc_rows, first, last, scores)

        with blas_threads(threads) as n_threads:
            in_shares(len(scores), n_threads, work, least=4096)
    return scores


def ranks_of(
    query_vectors: np.ndarray,
    document_vectors: np.ndarray,
    query_index: np.ndarray,
    doc_rows: np.ndarray,
    *,
    similarity: Similarity = "dot",
    threads: int | None = None,
) -> np.ndarray:
    """int64 (n,): the rank, from 1, of each pair's document among all documents for the pair's query.

    1 + the documents with a larger score + those with the same score and a smaller row: the place that
    :func:`top_k` with k = C would give it. Arguments and errors as for :func:`score_pairs`.
    """
    pair = VectorPair.of(query_vectors, document_vectors, similarity)
    query_index, doc_rows = pair_arrays(query_index, doc_rows, len(pair.queries), len(pair.documents))
    ranks = np.empty(len(doc_rows), np.int64)
    if not len(ranks):
        return ranks
    from core.search import exact_loops

    order = np.argsort(query_index, kind="stable")
    wanted, places = np.unique(query_index[order], return_inverse=True)
    sorted_queries, sorted_docs, sorted_ranks = query_index[order], doc_rows[order], np.empty(len(order), np.int64)
    with blas_threads(threads) as n_threads:
        for start, products in pair.blocks(wanted, n_threads):
            begin, end = np.searchsorted(places, [start, start + len(products)])
            rows = places[begin:end] - start
            into = sorted_ranks[begin:end]

            def work(
                first: int, last: int, begin: int = begin, end: int = end, products: np.ndarray = products,
                rows: np.ndarray = rows, into: np.ndarray = into,
            ) -> None:  # fmt: skip
                exact_loops.count_ranks(
                    *pair.loop_arguments, products, 2 * pair.errors, pair.shifts,
                    rows, sorted_queries[begin:end], sorted_docs[begin:end], first, last, into,
                )  # fmt: skip

            in_shares(len(rows), n_threads, work)
    ranks[order] = sorted_ranks
    return ranks


def _excluded(
    exclude: Judgements, query_rows: np.ndarray | None, n_queries: int, n_documents: int
) -> tuple[np.ndarray, np.ndarray]:
    """``(starts, doc_rows)``: the excluded documents of each vector, one CSR row a vector."""
    rows = np.arange(n_queries) if query_rows is None else np.asarray(query_rows, np.int64)
    if rows.shape != (n_queries,):
        raise ValueError(f"exclude_query_rows must have shape ({n_queries},); got {rows.shape}.")
    if n_queries and not (rows.min() >= 0 and rows.max() < len(exclude.indptr) - 1):
        raise ValueError(f"exclude_query_rows must be in [0, {len(exclude.indptr) - 1}).")
    lengths = exclude.indptr[rows + 1] - exclude.indptr[rows]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    picks = np.arange(starts[-1]) + np.repeat(exclude.indptr[rows] - starts[:-1], lengths)
    doc_rows = exclude.doc_rows[picks]
    if len(doc_rows) and not (doc_rows.min() >= 0 and doc_rows.max() < n_documents):
        raise ValueError(f"exclude names documents outside [0, {n_documents}).")
    return starts, doc_rows


def _exclude(products: np.ndarray, start: int, starts: np.ndarray, doc_rows: np.ndarray) -> None:
    """Set the excluded pairs of a block of products to what is never proposed."""
    some = starts[start : start + len(products) + 1]
    rows = np.repeat(np.arange(len(products)), np.diff(some))
    products[rows, doc_rows[some[0] : some[-1]]] = _lowest(products.dtype)[0]


def _lowest(kind: np.dtype) -> tuple[np.generic, np.generic]:
    """What no product is, and the lowest that one may be: of float32 or int32."""
    if kind == np.int32:
        return np.int32(-(2**31)), np.int32(-(2**31) + 1)
    return np.float32(-np.inf), np.finfo(np.float32).min
