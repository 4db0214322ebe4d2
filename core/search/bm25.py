"""BM25 with exactly rank-bm25's scores, laid out once as a sparse matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from core.search.hits import Hits
from core.search.threads import in_shares, thread_count
from core.search.words import number_words, tokenize

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["BM25", "tokenize"]

# A term in this share of the documents also gets a row with a place for every document: adding it is one vectorised
# pass. From a half on the row is no larger than the postings; at a quarter it is twice as large.
DENSE_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class BM25:
    """An index of a corpus for the Okapi weighting that rank-bm25 computes.

    The score of a document is the sum over the query's words, repeats counted, of

        idf(w) * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean length)),
        idf(w) = log(C - df + 0.5) - log(df + 0.5), or epsilon times the mean idf where that is negative.

    Source: Trotman, Puurula, Burgess 2014, Improvements to BM25 and Language Models Examined; the floor of the idf is
    rank_bm25.BM25Okapi's. Weights are computed in float64 and kept and added in float32.

    ``vocabulary``: word -> term row. ``idf``: float64 (V,). ``weights``: float32 (V, C), one row a term, document
    rows ascending. ``dense_places``: int32 (V,), the row of ``dense`` with the same weights, -1 = none.
    """

    vocabulary: dict[str, int]
    idf: np.ndarray
    weights: csr_matrix
    dense_places: np.ndarray
    dense: np.ndarray

    @classmethod
    def fit(cls, texts: Sequence[str], *, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25) -> BM25:
        """The index of the texts; text i is document row i."""
        return cls.of_words(*number_words(texts), k1=k1, b=b, epsilon=epsilon)

    @classmethod
    def of_words(
        cls, terms: np.ndarray, starts: np.ndarray, vocabulary: dict[str, int], *, k1: float = 1.5, b: float = 0.75, epsilon: float = 0.25
    ) -> BM25:
        """The same of texts as :func:`core.search.words.number_words` gives them."""
        from scipy.sparse import coo_matrix

        lengths = np.diff(starts)
        n_documents = len(lengths)
        doc_rows = np.repeat(np.arange(n_documents, dtype=np.int32), lengths)
        shape = (len(vocabulary), n_documents)
        counts = coo_matrix((np.ones(len(terms), np.float32), (terms, doc_rows)), shape=shape).tocsr()
        counts.sum_duplicates()

        document_frequencies = np.diff(counts.indptr).astype(np.float64)
        idf = np.log(n_documents - document_frequencies + 0.5) - np.log(document_frequencies + 0.5)
        if len(idf):
            idf[idf < 0] = epsilon * idf.mean()
        tf = counts.data.astype(np.float64)
        damping = k1 * (1 - b + b * lengths / max(lengths.mean(), 1e-9)) if n_documents else lengths.astype(np.float64)
        tf *= (k1 + 1) / (tf + damping[counts.indices])
        counts.data = (tf * np.repeat(idf, np.diff(counts.indptr))).astype(np.float32)
        dense_places, dense = _dense_rows(counts, idf)
        return cls(vocabulary, idf, counts, dense_places, dense)

    @property
    def n_documents(self) -> int:
        return self.weights.shape[1]

    def search(self, query_texts: Sequence[str], k: int, *, threads: int | None = None) -> Hits:
        """The k best documents of each query; a document that shares no word with it is never returned.

        A document whose only shared words weigh zero or less is returned, after the others.
        ``threads``: see :func:`core.search.threads.thread_count`.
        """
        from core.search import bm25_loops

        if k < 1:
            raise ValueError(f"k must be at least 1; got {k}.")
        hits = Hits.none(len(query_texts), k)
        queries = self._query_terms(query_texts)
        is_positive = self.idf > 0

        def work(first: int, last: int) -> None:
            bm25_loops.search(
                *self._index, *queries, is_positive, self.n_documents, first, last, k, hits.doc_rows, hits.scores
            )

        in_shares(len(query_texts), thread_count(threads), work)
        return hits

    def scores(self, query_text: str) -> np.ndarray:
        """float32 (C,): the score of every document, 0 where no word is shared."""
        from core.search import bm25_loops

        totals = np.zeros(self.n_documents, np.float32)
        bm25_loops.add_up(*self._index, *self._query_terms([query_text]), 0, totals)
        return totals

    def score_pairs(
        self, query_texts: Sequence[str], query_index: np.ndarray, doc_rows: np.ndarray, *, threads: int | None = None
    ) -> np.ndarray:
        """float32 (n,): the score of document ``doc_rows[i]`` for ``query_texts[query_index[i]]``, as search gives it.

        ``query_index`` and ``doc_rows`` broadcast against each other to one dimension. Raises ValueError for a row
        that does not exist.
        """
        from core.search import bm25_loops

        query_index, doc_rows = pair_arrays(query_index, doc_rows, len(query_texts), self.n_documents)
        scores = np.empty(len(doc_rows), np.float32)
        queries = self._query_terms(query_texts)

        def work(first: int, last: int) -> None:
            bm25_loops.score_pairs(*self._index, *queries, query_index, doc_rows, first, last, scores)

        in_shares(len(doc_rows), thread_count(threads), work, least=4096)
        return scores

    def term_weights(self, query_text: str, doc_row: int) -> list[tuple[str, float]]:
        """``(word, contribution)`` of each query word in the document, largest first, then by word.

        A repeated word is listed once, with all its occurrences in the query counted; the sum is the score.
        """
        if not 0 <= doc_row < self.n_documents:
            raise ValueError(f"doc_row must be in [0, {self.n_documents}); got {doc_row}.")
        words = tokenize(query_text)
        shares = []
        for word in dict.fromkeys(words):
            term = self.vocabulary.get(word)
            if term is None:
                continue
            postings = slice(self.weights.indptr[term], self.weights.indptr[term + 1])
            at = np.flatnonzero(self.weights.indices[postings] == doc_row)
            if len(at):
                shares.append((word, float(self.weights.data[postings][at[0]]) * words.count(word)))
        return sorted(shares, key=lambda share: (-share[1], share[0]))

    @property
    def _index(self) -> tuple[np.ndarray, ...]:
        w = self.weights
        return w.indptr.astype(np.int64), w.indices, w.data, self.dense_places, self.dense

    def _query_terms(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(starts, terms, times)``: the known words of each text, each once, ascending, and how often it occurs."""
        lists = [tokenize(text) for text in texts]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        number = self.vocabulary.get
        terms = np.array([number(word, -1) for word in chain.from_iterable(lists)], dtype=np.int64)
        keys = np.repeat(np.arange(len(texts)), lengths) * max(len(self.vocabulary), 1) + terms
        keys, times = np.unique(keys[terms >= 0], return_counts=True)
        queries, terms = np.divmod(keys, max(len(self.vocabulary), 1))
        starts = np.searchsorted(queries, np.arange(len(texts) + 1))
        return starts.astype(np.int64), terms.astype(np.int32), times.astype(np.float32)


def pair_arrays(
    query_index: np.ndarray, doc_rows: np.ndarray, n_queries: int, n_documents: int
) -> tuple[np.ndarray, np.ndarray]:
    """The two as int64 arrays of one length; raises ValueError for a row that does not exist."""
    pairs = np.broadcast_arrays(np.atleast_1d(query_index), np.atleast_1d(doc_rows))
    for name, rows, limit in zip(("query_index", "doc_rows"), pairs, (n_queries, n_documents), strict=True):
        if rows.ndim != 1:
            raise ValueError(f"{name} must have one dimension; got {rows.ndim}.")
        if rows.size and not (rows.min() >= 0 and rows.max() < limit):
            raise ValueError(f"{name} must be in [0, {limit}); got {rows.min()} to {rows.max()}.")
    return tuple(np.ascontiguousarray(rows, np.int64) for rows in pairs)


def _dense_rows(weights: csr_matrix, idf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The terms in many documents once more, with a place for every document.

    Only terms with a positive idf: a weight of zero must stay tellable from a word that is not there.
    """
    n_documents = weights.shape[1]
    common = np.flatnonzero((np.diff(weights.indptr) >= DENSE_SHARE * n_documents) & (idf > 0))
    places = np.full(weights.shape[0], -1, np.int32)
    places[common] = np.arange(len(common))
    return places, np.ascontiguousarray(weights[common].toarray(), dtype=np.float32)
