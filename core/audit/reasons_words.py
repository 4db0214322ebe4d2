"""Reasons read off the words: the candidate says what the positive says and what the rest of the query's crowd does not.

The crowd of a query is what a model finds nearest to it: mostly texts about the same thing. A word that half of the crowd uses names
the thing; a word that only the positive and the candidate use is likely the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from core.audit.evidence import Against, Evidence
from core.audit.reason import Reason
from core.params import Citation, param
from core.sampling.context import Vectors

BLOCK_QUERIES = 2_000  # queries whose crowds are counted at a time
CROWD, SMALL_CROWD = 50, 20
RELEVANCE = Citation(
    "Robertson and Spärck Jones", 1976, "Relevance weighting of search terms", "https://doi.org/10.1002/asi.4630270302"
)
DPR = Citation("Karpukhin et al.", 2020, "Dense Passage Retrieval for Open-Domain Question Answering", "https://arxiv.org/abs/2004.04906")


def in_crowds(evidence: Evidence, vectors: Vectors, beside: Against, query_rows: np.ndarray, k: int) -> Iterator[tuple]:
    """``(rows of beside, counts, crowd)`` for blocks of queries: ``counts`` as Words.crowd_counts gives them, ``crowd``: the row of
    ``counts`` for each of the rows."""
    queries = query_rows[beside.pair]
    wanted = np.unique(queries)
    for start in range(0, len(wanted), BLOCK_QUERIES):
        block = wanted[start : start + BLOCK_QUERIES]
        rows = np.flatnonzero((queries >= block[0]) & (queries <= block[-1]))
        counts = evidence.words.crowd_counts(evidence.crowd(vectors, block, k))
        yield rows, counts, np.searchsorted(block, queries[rows])


def squared(k: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """idf^2 x log((k + 1) / (count + 1)): nothing for a word of the whole crowd."""
    return lambda idf, count: idf**2 * np.log((k + 1) / (count + 1))


@dataclass(frozen=True, kw_only=True)
class WordsOfPositive(Reason):
    """The candidate uses the rare words that a positive uses.

    Doubt = the cosine between the words of the candidate and of a known positive, the mean over the query's positives; each word is
    weighed by (idf x log((k + 2) / (n + 1)))^2, where n of the 50 documents that the model finds nearest to the query hold it. Order
    does not count, as it does for copies, so rewritten answers show up; an answer in wholly other words does not.
    """

    key = "words-of-positive"
    title = "Words of a positive"
    short = "its words"
    source = RELEVANCE
    threshold: float = param(0.22, "cosine of the words from which a candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        beside = evidence.against_positives(query_rows, doc_rows)
        found = np.empty(len(beside.pair), np.float32)
        for rows, counts, crowd in in_crowds(evidence, evidence.vectors, beside, query_rows, CROWD):
            found[rows] = evidence.words.likeness(
                beside.docs[rows], beside.positives[rows], counts, crowd, lambda idf, n: (idf * np.log((CROWD + 2) / (n + 1))) ** 2
            )
        return beside.mean(found)


@dataclass(frozen=True, kw_only=True)
class HoldsTheAnswer(Reason):
    """The candidate holds the words that make the positive an answer.

    Where queries have a field of answer strings (answer, answers): 1 if the candidate holds one word for word, else 0, as DPR
    tells positives from negatives. Without it the answer is guessed: what the positive says beyond the query, each word weighed by
    idf^2 x log((k + 1) / (n + 1)), n of the k = 50 documents nearest to the query holding it. Doubt = the share of that weight that
    the candidate says, too, the mean over the positives. Chatty positives dilute the answer with words that are none.
    """

    key = "answer"
    title = "Holds the answer's words"
    short = "answer"
    source = DPR
    threshold: float = param(0.33, "share of the words from which a candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        if evidence.words.answer_column:
            return evidence.words.holds_answer(query_rows, doc_rows)
        return answer_shares(evidence, evidence.vectors, query_rows, doc_rows, CROWD, squared(CROWD))


@dataclass(frozen=True, kw_only=True)
class HoldsTheAnswerByGuide(Reason):
    """The same, with the crowd that the guide sees.

    The guide's nearest 20 documents are the query's crowd, and a word's weight is idf / (n + 1): harder on every word that some
    others use. A trained model gathers the answers themselves in its crowd, so that their words look common; the guide does not.
    """

    key = "answer-guide"
    title = "Holds the answer's words, by the guide"
    short = "answer, g."
    needs = ("guide",)
    source = RELEVANCE
    threshold: float = param(0.2, "share of the words from which a candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        return answer_shares(evidence, evidence.guide, query_rows, doc_rows, SMALL_CROWD, lambda idf, n: idf / (n + 1))


def answer_shares(evidence: Evidence, vectors: Vectors, query_rows, doc_rows, k: int, weigh) -> np.ndarray:
    """float32 (N,): of what a positive says beyond the query, the share that the candidate says, too; the mean over the positives."""
    beside = evidence.against_positives(query_rows, doc_rows)
    found = np.empty(len(beside.pair), np.float32)
    for rows, counts, crowd in in_crowds(evidence, vectors, beside, query_rows, k):
        found[rows] = evidence.words.answer_share(beside.place[rows], beside.docs[rows], counts, crowd, weigh)
    return beside.mean(found)
