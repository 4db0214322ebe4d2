"""What a cross-encoder learns from: labelled positives, negatives drawn as RocketQA does, folds of queries, calibration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements

# Streams of random numbers, one a purpose.
FOLDS, RANDOM, HELD_OUT, DRAW = 1, 2, 3, 4
#: With fewer training queries there is nothing to learn and nothing to calibrate on.
LEAST_QUERIES = 8
#: Training queries used at most: enough to learn from, and the time stays bounded on large corpora.
MOST_QUERIES = 3000
RANDOM_EACH = 16
# One negative in four is any document of the corpus; the others come from the top ranks.
RANDOM_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class Task:
    """Pairs to learn from; read off the training split's labels and untrained rankings, never off the truth.

    ``query_rows``, ``doc_rows`` int64 (N,): the positives. ``fold_of`` int64 (Q,): the fold of each query of the corpus, -1 =
    not trained on. ``pool_queries``, ``pool_docs`` int64 (M,): candidates for negatives, by query; ``hard``, ``easy``
    (starts, ends) int64 (Q,): where a query's top-ranked and random candidates lie in the pool.
    """

    query_rows: np.ndarray
    doc_rows: np.ndarray
    fold_of: np.ndarray
    n_folds: int
    pool_queries: np.ndarray
    pool_docs: np.ndarray
    hard: tuple[np.ndarray, np.ndarray]
    easy: tuple[np.ndarray, np.ndarray]

    @property
    def is_learnable(self) -> bool:
        """Whether there are enough queries and any negatives."""
        return self.n_folds >= 2 and len(self.pool_docs) > 0

    def draw(self, positives: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """int64 (len(positives), n): pool places of negatives for these positives (places in ``query_rows``), -1 = none."""
        rows = self.query_rows[positives][:, None]
        shape = (len(positives), n)
        sizes = [last[rows] - first[rows] for first, last in (self.hard, self.easy)]
        is_easy = ((rng.random(shape) < RANDOM_SHARE) & (sizes[1] > 0)) | (sizes[0] == 0)
        size = np.where(is_easy, sizes[1], sizes[0])
        places = np.where(is_easy, self.easy[0][rows], self.hard[0][rows]) + (rng.random(shape) * size).astype(np.int64)
        return np.where(size > 0, places, -1)

    def held_out(self, n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(query_rows, doc_rows, is_positive): every positive and ``n`` negatives each, to be scored by the fold left out."""
        places = self.draw(np.arange(len(self.query_rows)), n, np.random.default_rng([seed, HELD_OUT])).reshape(-1)
        places = np.unique(places[places >= 0])
        return (
            np.concatenate([self.query_rows, self.pool_queries[places]]),
            np.concatenate([self.doc_rows, self.pool_docs[places]]),
            np.concatenate([np.ones(len(self.query_rows), bool), np.zeros(len(places), bool)]),
        )


def make_task(corpus: Corpus, best, n_folds: int, seed: int) -> Task:
    """The pairs of this corpus's training split. ``best(query_rows)``: arrays (Q, k) of top-ranked documents, -1 = none."""
    labels = corpus.splits["train"].only_positive() if "train" in corpus.splits else Judgements.empty(corpus.n_queries)
    queries = labels.query_rows_with_positives()
    rng = np.random.default_rng([seed, FOLDS])
    if len(queries) > MOST_QUERIES:
        queries = np.sort(rng.permutation(queries)[:MOST_QUERIES])
    fold_of = np.full(corpus.n_queries, -1, np.int64)
    n_folds = min(n_folds, len(queries)) if len(queries) >= LEAST_QUERIES else 0
    if not n_folds:
        queries = queries[:0]
    else:
        fold_of[queries] = rng.permutation(len(queries)) % n_folds
    query_rows, doc_rows, _ = labels.only_queries(queries).pairs()
    hard = [np.empty((len(queries), 0), np.int64), *best(queries)] if len(queries) else [np.empty((0, 0), np.int64)]
    n_random = RANDOM_EACH if corpus.n_documents else 0
    easy = np.random.default_rng([seed, RANDOM]).integers(0, max(corpus.n_documents, 1), (len(queries), n_random))
    is_known = _known(corpus)
    pools, spans, first = [], [], 0
    for rows in (np.concatenate(hard, axis=1).astype(np.int64), easy):
        keys = np.repeat(queries, rows.shape[1]) * max(corpus.n_documents, 1) + rows.reshape(-1)
        found = np.divmod(np.unique(keys[rows.reshape(-1) >= 0]), max(corpus.n_documents, 1))
        kept = ~is_known(*found)
        pools.append((found[0][kept], found[1][kept]))
        ends = np.searchsorted(pools[-1][0], np.arange(corpus.n_queries + 1)) + first
        spans.append((ends[:-1], ends[1:]))
        first += len(pools[-1][0])
    return Task(
        query_rows, doc_rows, fold_of, n_folds, *(np.concatenate(both) for both in zip(*pools, strict=True)), spans[0], spans[1]
    )


def _known(corpus: Corpus):
    """Whether a pair is a known positive, or a document with exactly such a one's text."""
    groups = pa.array(corpus.document_texts(), pa.large_string()).dictionary_encode().indices.to_numpy().astype(np.int64)
    query_rows, doc_rows, grades = corpus.positives.pairs()
    known = Judgements.from_pairs(query_rows, groups[doc_rows], grades, corpus.n_queries)
    return lambda queries, docs: known.contains(queries, groups[docs])


def platt(logits: np.ndarray, is_positive: np.ndarray) -> tuple[float, float]:
    """(slope, shift) so that sigmoid(slope * logit + shift) is the chance of a positive, by Newton's method.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines; with his smoothed targets. A slope below zero,
    which would turn the order round, is set to the smallest allowed.
    """
    n_positive, n_negative = int(is_positive.sum()), int((~is_positive).sum())
    target = np.where(is_positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    table = np.column_stack([logits, np.ones(len(logits))]).astype(np.float64)
    weights = np.zeros(2)
    for _ in range(50):
        p = sigmoid(table @ weights)
        gradient = table.T @ (p - target) + 1e-6 * weights
        hessian = table.T @ (table * (p * (1 - p))[:, None]) + 1e-6 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    return max(float(weights[0]), 1e-3), float(weights[1])


def sigmoid(values: np.ndarray) -> np.ndarray:
    """1 / (1 + e^-x), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * np.asarray(values, np.float64)))
