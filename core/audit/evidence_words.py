"""Which words texts share, weighed by how rare they are: the lexical half of the evidence."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.corpus import Corpus
from core.search.bm25 import BM25
from core.search.words import tokenize

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Weigh = Callable[[np.ndarray, np.ndarray], np.ndarray]
BLOCK = 50_000  # pairs whose rows of words are multiplied at a time
ANSWER_COLUMNS = ("answer", "answers")


class Words:
    """Documents and queries as sparse rows of words, each word once."""

    def __init__(self, corpus: Corpus, bm25: BM25):
        self.corpus, self.bm25 = corpus, bm25

    @cached_property
    def idf(self) -> np.ndarray:
        """float32 (V,), none below 0."""
        return np.maximum(self.bm25.idf, 0).astype(np.float32)

    @cached_property
    def documents(self) -> csr_matrix:
        """float32 (C, V): 1 where the document holds the word."""
        found = self.bm25.weights.T.tocsr().copy()
        found.data = np.ones(len(found.data), np.float32)
        return found

    @cached_property
    def queries(self) -> csr_matrix:
        """float32 (Q, V): 1 where the query holds the word; words that no document holds are left out."""
        return self._rows([tokenize(text) for text in self.corpus.query_texts()])

    def _rows(self, texts: list[list[str]]) -> csr_matrix:
        from scipy.sparse import csr_matrix

        number = self.bm25.vocabulary
        known = [sorted({number[word] for word in words if word in number}) for words in texts]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in known])]).astype(np.int64)
        indices = np.fromiter((term for row in known for term in row), np.int64, int(indptr[-1]))
        return csr_matrix((np.ones(len(indices), np.float32), indices, indptr), shape=(len(texts), len(number)))

    @cached_property
    def _shingles(self) -> csr_matrix:
        from core.search.twins import shingle_matrix

        return shingle_matrix(self.corpus.document_texts(), 3)

    def resemblance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float32: Jaccard overlap of the word 3-shingles of documents ``left[i]`` and ``right[i]``."""
        sizes = np.diff(self._shingles.indptr)
        common = paired_sums(self._shingles, left, self._shingles, right)
        return (common / (sizes[left] + sizes[right] - common)).astype(np.float32)

    def crowd_counts(self, crowds: np.ndarray) -> csr_matrix:
        """float32 (U, V): in how many documents of each crowd, int64 (U, k), a word stands."""
        from scipy.sparse import csr_matrix

        n, k = crowds.shape
        shape = (n, self.documents.shape[0])
        members = csr_matrix((np.ones(n * k, np.float32), crowds.ravel(), np.arange(0, n * k + 1, k)), shape=shape)
        return (members @ self.documents).tocsr()

    @cached_property
    def _beyond(self) -> csr_matrix:
        """Which words each known positive says beyond its query, a row a place in the positives' table."""
        query_rows, doc_rows, _ = self.corpus.positives.pairs()
        said = self.documents[doc_rows]
        beyond = (said - said.multiply(self.queries[query_rows])).tocsr()
        beyond.eliminate_zeros()
        return beyond

    def answer_share(self, places: np.ndarray, doc_rows: np.ndarray, counts: csr_matrix, crowd: np.ndarray, weigh: Weigh) -> np.ndarray:
        """float32 (M,): of what a positive says beyond its query, the share that the document says, too.

        ``places``: of the positive in the known positives' table; ``crowd``: the row of ``counts`` that is its query's crowd;
        ``weigh(idf, count)``: a word's weight. NaN where the positive says nothing beyond its query.
        """
        wanted, index = np.unique(places, return_inverse=True)
        crowd_of = np.empty(len(wanted), np.int64)
        crowd_of[index] = crowd
        beyond = _weighed(self._beyond[wanted], counts, crowd_of, self.idf, weigh)
        totals = np.asarray(beyond.sum(1)).ravel()[index]
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(totals > 0, paired_sums(beyond, index, self.documents, doc_rows) / totals, np.nan).astype(np.float32)

    def likeness(self, left: np.ndarray, right: np.ndarray, counts: csr_matrix, crowd: np.ndarray, weigh: Weigh) -> np.ndarray:
        """float32 (M,): cosine of the words of documents ``left[i]`` and ``right[i]``, weighed as in the crowd of row ``crowd[i]``."""
        # Every (crowd, right) is weighed once; a left document's norm is that of an empty crowd, mended for the crowd's own words.
        stride = self.documents.shape[0]
        pairs, index = np.unique(crowd * stride + right, return_inverse=True)
        known = _weighed(self.documents[pairs % stride], counts, pairs // stride, self.idf, weigh)
        known.data **= 2
        alone = weigh(self.idf.astype(np.float64), np.zeros(len(self.idf))) ** 2
        mended = counts.astype(np.float64)
        mended.data = weigh(self.idf[mended.indices].astype(np.float64), mended.data) ** 2 - alone[mended.indices]
        norms = (self.documents @ alone)[left] + paired_sums(mended, crowd, self.documents, left)
        inner = paired_sums(known, index, self.documents, left)
        lengths = np.sqrt(np.maximum(norms, 0) * np.asarray(known.sum(1)).ravel()[index])
        return np.where(lengths > 1e-6, inner / np.maximum(lengths, 1e-6), 0).astype(np.float32)

    @cached_property
    def answer_column(self) -> str:
        """The queries' field of answer strings, "" where the corpus has none."""
        return next((name for name in ANSWER_COLUMNS if name in self.corpus.queries.column_names), "")

    def holds_answer(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32: 1 where the document holds one of the query's answer strings word for word, else 0; NaN without a string.

        Several answers in one field are separated by "|", a tab or a line break.
        """
        answers = self.corpus.queries[self.answer_column].to_pylist()
        texts: dict[int, str] = {}
        found = np.full(len(query_rows), np.nan, np.float32)
        wanted = np.unique(doc_rows)
        for row, text in zip(wanted.tolist(), self.corpus.document_texts(wanted), strict=True):
            texts[row] = f" {' '.join(tokenize(text))} "
        strings = {row: _strings(answers[row]) for row in np.unique(query_rows).tolist()}
        for i, (query, doc) in enumerate(zip(query_rows.tolist(), doc_rows.tolist(), strict=True)):
            if strings[query]:
                found[i] = any(string in texts[doc] for string in strings[query])
        return found


def _strings(field: str) -> list[str]:
    parts = field.replace("\t", "|").replace("\n", "|").split("|")
    return [f" {words} " for words in (" ".join(tokenize(part)) for part in parts) if words]


def _weighed(rows: csr_matrix, counts: csr_matrix, crowd: np.ndarray, idf: np.ndarray, weigh: Weigh) -> csr_matrix:
    """The rows with each word's weight in the row's crowd."""
    found = rows.tocsr().copy()
    which = np.repeat(crowd, np.diff(found.indptr))
    count = np.asarray(counts[which, found.indices]).ravel() if len(which) else np.empty(0, np.float32)
    found.data = weigh(idf[found.indices], count).astype(np.float32)
    return found


def paired_sums(left: csr_matrix, left_rows: np.ndarray, right: csr_matrix, right_rows: np.ndarray) -> np.ndarray:
    """(n,): the inner product of row ``left_rows[i]`` of one table and row ``right_rows[i]`` of the other, in the wider's precision."""
    sums = np.empty(len(left_rows), np.promote_types(left.dtype, right.dtype))
    for start in range(0, len(left_rows), BLOCK):
        part = slice(start, start + BLOCK)
        sums[part] = np.asarray(left[left_rows[part]].multiply(right[right_rows[part]]).sum(1)).ravel()
    return sums
