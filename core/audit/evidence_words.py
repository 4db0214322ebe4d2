"""Which words texts share, weighed by how rare they are: the lexical half of the evidence."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.corpus import Corpus
from core.search.bm25 import BM25
from core.search.words import tokenize

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK = 200_000  # pairs whose rows of words are multiplied at a time
ANSWER_COLUMNS = ("answer", "answers")


class Words:
    """Documents and queries as sparse rows of idf weights (each word once; words with no positive idf weigh nothing)."""

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
    def _unit(self) -> csr_matrix:
        from scipy.sparse import diags

        weighted = self.documents.multiply(self.idf).tocsr()
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        return (diags(1 / np.maximum(norms, 1e-9)) @ weighted).tocsr().astype(np.float32)

    def likeness(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float32: cosine of the idf-weighted words of documents ``left[i]`` and ``right[i]``."""
        return paired_sums(self._unit, left, self._unit, right)

    @cached_property
    def _shingles(self) -> csr_matrix:
        from core.search.twins import shingle_matrix

        return shingle_matrix(self.corpus.document_texts(), 3)

    def resemblance(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float32: Jaccard overlap of the word 3-shingles of documents ``left[i]`` and ``right[i]``."""
        sizes = np.diff(self._shingles.indptr)
        common = paired_sums(self._shingles, left, self._shingles, right)
        return (common / (sizes[left] + sizes[right] - common)).astype(np.float32)

    def query_share(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32: the share of each query's idf weight whose words its document holds; NaN for a query without such weight."""
        weighted = self.queries.multiply(self.idf).tocsr()
        totals = np.asarray(weighted.sum(1)).ravel()[query_rows]
        return _share(paired_sums(weighted, query_rows, self.documents, doc_rows), totals)

    @cached_property
    def _answers(self) -> tuple[csr_matrix, np.ndarray]:
        """What each known positive says beyond its query: idf weights by its place in the positives' table, and their sums."""
        query_rows, doc_rows, _ = self.corpus.positives.pairs()
        said, asked = self.documents[doc_rows], self.queries[query_rows]
        beyond = (said - said.multiply(asked)).multiply(self.idf).tocsr()
        return beyond, np.asarray(beyond.sum(1)).ravel()

    def answer_share(self, places: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32: of what the positive at this place of the known positives says beyond its query, the share (by idf) that
        the document says too; NaN where it says nothing beyond it."""
        beyond, totals = self._answers
        return _share(paired_sums(beyond, places, self.documents, doc_rows), totals[places])

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


def _share(parts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(totals > 0, parts / totals, np.nan).astype(np.float32)


def paired_sums(left: csr_matrix, left_rows: np.ndarray, right: csr_matrix, right_rows: np.ndarray) -> np.ndarray:
    """float32 (n,): the inner product of row ``left_rows[i]`` of one table and row ``right_rows[i]`` of the other."""
    sums = np.empty(len(left_rows), np.float32)
    for start in range(0, len(left_rows), BLOCK):
        part = slice(start, start + BLOCK)
        sums[part] = np.asarray(left[left_rows[part]].multiply(right[right_rows[part]]).sum(1)).ravel()
    return sums
