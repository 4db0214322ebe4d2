"""What an embedded cross-encoder reads of a pair: word interactions, lexical and dense scores, shapes of both texts."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from core.search.cross_words import QUESTIONS, WordTable
from core.search.threads import in_shares, thread_count

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.search.bm25 import BM25

#: Documents whose words stand for what a query is about (pseudo-relevance feedback), and ranks that scores are compared with.
FEEDBACK, DEPTH = 6, 50
#: Beside the interactions of words, see core/search/cross_loops.py.
SCORES = (
    "BM25", "BM25 to the best", "BM25 above the list", "cosine", "cosine below the best", "cosine above the list",
    "cosine to the feedback", "cosine to the feedback, best",
)  # fmt: skip
EMPTY = 1e-6
LEAST_QUERIES = 64  # fewer are not worth a second thread


class PairFeatures:
    """Features of any pair of a corpus. Nothing here is learned, and no label is read.

    Every number depends on its pair alone, not on the pairs asked for with it. What belongs to a query (its best documents
    by BM25 and by the untrained static encoder) is found when it is first asked for.
    """

    def __init__(self, corpus: Corpus, bm25: BM25):
        self.corpus, self.bm25 = corpus, bm25
        self._is_known = np.zeros(corpus.n_queries, bool)
        shape = (corpus.n_queries, DEPTH)
        self._lexical = np.full(shape, -1, np.int32)
        self._dense = np.full(shape, -1, np.int32)
        self._levels = np.zeros((corpus.n_queries, 6), np.float32)
        self._feedback = np.zeros((corpus.n_queries, FEEDBACK), np.float32)

    @cached_property
    def words(self) -> WordTable:
        """The corpus's words."""
        return WordTable.of(self.corpus)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each column says."""
        from core.search.cross_loops import INTERACTIONS

        return (*INTERACTIONS, *SCORES, *(f"asks {name}" for name in QUESTIONS))

    @cached_property
    def pooled(self) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of queries and documents by the untrained static encoder.

        Plain means of token vectors, whose lengths say which tokens matter: they rank better than idf-weighted unit ones.
        """
        from core.encode.encoders import StaticEncoder

        model = StaticEncoder().build((), 0)
        return unit(model.encode_texts(self.corpus.query_texts(), "query")), unit(
            model.encode_texts(self.corpus.document_texts(), "document")
        )

    @cached_property
    def _doc_weights(self) -> np.ndarray:
        bags = self.words.documents
        squares = np.concatenate([[0], np.cumsum(self.words.idf[bags.items].astype(np.float64) ** 2)])
        return (1 / np.sqrt(np.maximum(squares[bags.starts[1:]] - squares[bags.starts[:-1]], EMPTY))).astype(np.float32)

    def best(self, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """int32 (len(query_rows), DEPTH) twice: the first documents by BM25 and by the untrained vectors, -1 = none."""
        self._find(np.unique(query_rows))
        return self._lexical[query_rows], self._dense[query_rows]

    def of(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 (N, len(names)): the features of the pairs (int64 (N,) each)."""
        if not len(query_rows):
            return np.empty((0, len(self.names)), np.float32)
        asked = np.unique(query_rows)
        self._find(asked)
        order = np.argsort(query_rows, kind="stable")
        found = np.empty((len(query_rows), len(self.names)), np.float32)
        places = np.searchsorted(asked, query_rows)
        n_words = self._interactions(query_rows[order], doc_rows[order], order, found)
        found[:, n_words : n_words + len(SCORES)] = self._scores(asked, places, query_rows, doc_rows)
        found[:, n_words + len(SCORES) :] = self.words.questions[query_rows]
        return found

    def _interactions(self, query_rows: np.ndarray, doc_rows: np.ndarray, order: np.ndarray, found: np.ndarray) -> int:
        from core.search.cross_loops import INTERACTIONS, interactions

        words = self.words
        is_there = self._feedback > 0
        starts = np.concatenate([[0], np.cumsum(is_there.sum(1))])
        bags = (words.queries, words.documents, words.titles, words.query_pairs, words.document_pairs)
        made = np.empty((len(query_rows), len(INTERACTIONS)), np.float32)
        about = (
            words.vectors, words.idf, words.stems, words.is_name, words.is_number, words.is_negation,
            *(part for bag in bags for part in (bag.items, bag.starts)),
            starts, self._lexical[:, :FEEDBACK][is_there], self._feedback[is_there], self._doc_weights,
            int(words.queries.sizes.max(initial=1)),
        )  # fmt: skip
        begins = np.append(np.flatnonzero(np.diff(query_rows, prepend=-1)), len(query_rows))

        def work(first: int, last: int) -> None:
            pairs = slice(begins[first], begins[last])  # those of one query stay together
            interactions(query_rows[pairs], doc_rows[pairs], *about, made[pairs])

        in_shares(len(begins) - 1, thread_count(None), work, least=LEAST_QUERIES)
        found[order, : made.shape[1]] = made
        return made.shape[1]

    def _scores(self, asked: np.ndarray, places: np.ndarray, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        from core.search.exact import score_pairs

        queries, documents = self.pooled
        lexical = self.bm25.score_pairs(self.corpus.query_texts(asked), places, doc_rows)
        cosine = score_pairs(queries, documents, query_rows, doc_rows)
        levels = self._levels[query_rows]
        near = np.zeros((len(query_rows), 2), np.float32)
        total = np.full(len(query_rows), EMPTY, np.float32)
        for column in range(FEEDBACK):
            others, share = self._lexical[query_rows, column].astype(np.int64), self._feedback[query_rows, column]
            share = np.where(others == doc_rows, 0, share)  # a document does not speak for itself
            is_there = share > 0
            if is_there.any():
                sims = np.zeros(len(query_rows), np.float32)
                sims[is_there] = score_pairs(documents, documents, others[is_there], doc_rows[is_there])
                near[:, 0] += share * sims
                near[:, 1] = np.maximum(near[:, 1], sims)
                total += share
        return np.column_stack([
            np.log1p(np.maximum(lexical, 0)),
            lexical / np.maximum(levels[:, 0], EMPTY),
            (lexical - levels[:, 1]) / np.maximum(levels[:, 2], EMPTY),
            cosine,
            cosine - levels[:, 3],
            (cosine - levels[:, 4]) / np.maximum(levels[:, 5], EMPTY),
            near[:, 0] / total,
            near[:, 1],
        ])  # fmt: skip

    def _find(self, query_rows: np.ndarray) -> None:
        from core.search.exact import top_k

        rows = query_rows[~self._is_known[query_rows]]
        if not len(rows):
            return
        lexical = self.bm25.search(self.corpus.query_texts(rows), DEPTH)
        queries, documents = self.pooled
        dense = top_k(queries[rows], documents, DEPTH)
        self._lexical[rows], self._dense[rows] = lexical.doc_rows, dense.doc_rows
        self._levels[rows] = np.concatenate([levels(lexical.scores), levels(dense.scores)], axis=1)
        first = np.where(lexical.doc_rows[:, :FEEDBACK] >= 0, np.maximum(lexical.scores[:, :FEEDBACK], 0), 0)
        shares = np.zeros((len(rows), FEEDBACK), np.float32)
        shares[:, : first.shape[1]] = first / np.maximum(first.sum(1, keepdims=True), EMPTY)
        self._feedback[rows] = shares
        self._is_known[rows] = True


def levels(scores: np.ndarray) -> np.ndarray:
    """float32 (Q, 3): the best, the mean and the standard deviation of each list; at least .05 of the best as deviation."""
    is_there = np.isfinite(scores)
    n = np.maximum(is_there.sum(1), 1)
    filled = np.where(is_there, scores, 0)
    best, mean = filled.max(1, initial=0), filled.sum(1) / n
    deviation = np.sqrt(np.where(is_there, (filled - mean[:, None]) ** 2, 0).sum(1) / n)
    return np.column_stack([best, mean, np.maximum(deviation, 0.05 * best)]).astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors with length 1; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
