"""The ranked lists that a comparison shows: of trials from their folders, of the baselines computed again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from core.audit.compare import BM25, UNTRAINED
from core.corpus.corpus import Corpus
from core.evaluate.metrics import evaluate_run, evaluate_vectors
from core.train.results import TrialResults

if TYPE_CHECKING:
    from core.search.bm25 import BM25 as Index

DEPTH = 100
# Deep enough that MAP hardly changes; the same depth as the trials' own BM25 baseline.
BM25_DEPTH = 1000


def trial_ranking(results: TrialResults, query_rows: np.ndarray) -> np.ndarray:
    """int64 (Q, DEPTH): the final model's ranked document rows of each query, -1 = none; from the trial's folder."""
    run = results.run()
    queries, ranks = run["query_row"].to_numpy(), run["rank"].to_numpy()
    found = np.full((len(query_rows), DEPTH), -1, np.int64)
    order = np.argsort(query_rows)
    places = order[np.minimum(np.searchsorted(query_rows[order], queries), len(order) - 1)]
    is_asked = (query_rows[places] == queries) & (ranks <= DEPTH)
    found[places[is_asked], ranks[is_asked] - 1] = run["doc_row"].to_numpy()[is_asked]
    return found


def untrained_ranking(results: TrialResults, query_rows: np.ndarray) -> np.ndarray:
    """int64 (Q, DEPTH): the encoder before training, from the trial's first snapshot (vectors in half precision)."""
    from core.search.exact import top_k

    vectors = results.snapshot(results.snapshots()[0])
    queries, documents = vectors.queries[query_rows].astype(np.float32), vectors.documents.astype(np.float32)
    return top_k(queries, documents, DEPTH, similarity=vectors.similarity).doc_rows


def bm25_ranking(index: Index, corpus: Corpus, query_rows: np.ndarray) -> np.ndarray:
    """int64 (Q, DEPTH): BM25 over the whole corpus; documents that share no word are not listed."""
    return index.search(corpus.query_texts(query_rows), DEPTH).doc_rows


def truth_baselines(results: TrialResults, corpus: Corpus, index: Index, query_rows: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """name -> measure -> float64 (Q,) of both baselines against the corpus's truth; {} without truth.

    The untrained encoder by the trial's first snapshot, whose half precision can swap near ties.
    """
    if corpus.truth is None:
        return {}
    vectors = results.snapshot(results.snapshots()[0])
    queries, documents = vectors.queries[query_rows].astype(np.float32), vectors.documents.astype(np.float32)
    untrained, _ = evaluate_vectors(queries, documents, corpus.truth, query_rows, vectors.similarity, 0)
    hits = index.search(corpus.query_texts(query_rows), BM25_DEPTH)
    return {UNTRAINED: untrained, BM25: evaluate_run(hits.doc_rows, corpus.truth, query_rows)}
