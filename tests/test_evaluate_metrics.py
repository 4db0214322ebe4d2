"""Measures: equality with pytrec_eval and ir_measures, the rules at the edges, ranks from vectors."""

from __future__ import annotations

import doctest
import math

import ir_measures
import numpy as np
import pytest
import pytrec_eval

from core.corpus.judgements import Judgements
from core.evaluate import metrics
from core.evaluate.metrics import (
    MEASURES,
    evaluate_run,
    evaluate_vectors,
    judged_at,
    judged_per_query,
    means,
    metrics_from_ranks,
    n_excluded,
)

TREC = {"nDCG@10": "ndcg_cut_10", "R@10": "recall_10", "R@100": "recall_100", "MAP": "map"}


def random_case(seed: int, n_queries: int = 40, n_documents: int = 300, depth: int = 150):
    """Graded judgements (some queries without any or without positives) and a run with short rows."""
    rng = np.random.default_rng(seed)
    pairs = [
        (query, document, int(rng.integers(-1, 4)))
        for query in range(n_queries)
        if query % 9  # every ninth query has no judgement
        for document in rng.choice(n_documents, int(rng.integers(1, 40)), replace=False)
    ]
    judgements = Judgements.from_pairs(*(np.array(column) for column in zip(*pairs, strict=True)), n_queries)
    run = np.stack([rng.permutation(n_documents)[:depth] for _ in range(n_queries)])
    for query in range(0, n_queries, 4):
        run[query, int(rng.integers(0, depth)) :] = -1
    run[5] = -1  # a query that retrieved nothing
    return judgements, run


def as_trec(judgements: Judgements, run: np.ndarray, query_rows: np.ndarray):
    qrels, trec_run = {}, {}
    for row, query in enumerate(query_rows):
        span = slice(judgements.indptr[query], judgements.indptr[query + 1])
        pairs = zip(judgements.doc_rows[span].tolist(), judgements.grades[span].tolist(), strict=True)
        qrels[f"q{query}"] = {f"d{document}": grade for document, grade in pairs}
        listed = [document for document in run[row].tolist() if document >= 0]
        trec_run[f"q{query}"] = {f"d{document}": float(-rank) for rank, document in enumerate(listed)}
    return qrels, trec_run


def has_positive(judgements: Judgements, query_rows: np.ndarray) -> np.ndarray:
    return np.isin(query_rows, judgements.query_rows_with_positives())


@pytest.mark.parametrize("seed", range(5))
def test_equal_to_pytrec_eval_and_ir_measures(seed):
    judgements, run = random_case(seed)
    query_rows = np.random.default_rng(seed).permutation(len(run))[:30]
    run = run[query_rows]
    ours = evaluate_run(run, judgements, query_rows)
    qrels, trec_run = as_trec(judgements, run, query_rows)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, set(TREC.values())).evaluate(trec_run)
    n_compared = 0
    for row, query in enumerate(query_rows):
        if not has_positive(judgements, query_rows)[row]:
            assert all(math.isnan(ours[name][row]) for name in MEASURES)
            continue
        n_compared += 1
        for name, trec_name in TREC.items():
            expected = theirs[f"q{query}"][trec_name] if trec_run[f"q{query}"] else 0.0
            assert ours[name][row] == pytest.approx(expected, abs=1e-9), (name, query)
    assert n_compared > 20
    reference = {name: ir_measures.parse_measure("AP" if name == "MAP" else name) for name in MEASURES}
    kept = {query: pairs for query, pairs in qrels.items() if any(grade >= 1 for grade in pairs.values())}
    aggregated = ir_measures.calc_aggregate(list(reference.values()), kept, trec_run)
    for name in MEASURES:
        assert means(ours)[name] == pytest.approx(aggregated[reference[name]], abs=1e-9), name


def test_judged_equal_to_ir_measures():
    judgements, run = random_case(3)
    query_rows = np.arange(len(run))
    ours = judged_per_query(run, judgements, query_rows, k=10)
    qrels, trec_run = as_trec(judgements, run, query_rows)
    measure = ir_measures.parse_measure("Judged@10")
    trec_run = {query: listed for query, listed in trec_run.items() if listed}
    theirs = {metric.query_id: metric.value for metric in ir_measures.iter_calc([measure], qrels, trec_run)}
    judged_queries = {f"q{query}": value for query, value in enumerate(ours) if not np.isnan(value)}
    returned = {query for query in trec_run if qrels[query]}
    assert judged_queries.keys() == returned
    assert judged_queries == pytest.approx({query: theirs[query] for query in returned}, abs=1e-12)
    assert judged_at(run, judgements, query_rows) == pytest.approx(np.mean(list(judged_queries.values())))


def test_known_values():
    judgements = Judgements.from_pairs([0, 0, 0, 1, 2], [4, 7, 9, 1, 3], [2, 1, 0, 1, 0], 3)
    run = np.array([[9, 7, 4, -1], [5, 6, 1, 1], [3, 0, 1, 2]])
    found = evaluate_run(run, judgements, np.arange(3))
    assert found["RR@10"][:2].tolist() == [1 / 2, 1 / 3]
    dcg, ideal = 1 / math.log2(3) + 2 / math.log2(4), 2 + 1 / math.log2(3)
    assert found["nDCG@10"][0] == pytest.approx(dcg / ideal)
    assert found["MAP"][:2] == pytest.approx([(1 / 2 + 2 / 3) / 2, 1 / 3])  # a repeat counts at its first place
    assert found["R@10"][:2].tolist() == [1.0, 1.0]
    assert n_excluded(found) == 1 and np.isnan(found["MAP"][2])
    assert means(found)["RR@10"] == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_cutoffs_are_inclusive_and_recall_counts_every_positive():
    ranks = np.array([10, 11, 100, 101])
    found = metrics_from_ranks(np.arange(4), ranks, np.ones(4), 4)
    assert found["RR@10"].tolist() == [0.1, 0, 0, 0]
    assert found["R@10"].tolist() == [1, 0, 0, 0]
    assert found["R@100"].tolist() == [1, 1, 1, 0]
    together = metrics_from_ranks(np.zeros(4, dtype=int), ranks, np.ones(4), 1)
    assert together["R@100"].tolist() == [0.75]
    many = metrics_from_ranks(np.zeros(20, dtype=int), np.arange(1, 21), np.ones(20), 1)
    assert many["R@10"].tolist() == [0.5] and many["nDCG@10"].tolist() == [1.0]


def test_nothing_to_evaluate():
    empty = Judgements.from_pairs([], [], [], 3)
    found = evaluate_run(np.zeros((3, 0), dtype=np.int64), empty, np.arange(3))
    assert n_excluded(found) == 3
    assert all(math.isnan(value) for value in means(found).values())
    assert evaluate_run(np.zeros((0, 5), dtype=np.int64), empty, np.zeros(0, dtype=int))["MAP"].shape == (0,)
    with pytest.raises(ValueError, match="query rows"):
        evaluate_run(np.zeros((3, 2)), empty, np.arange(2))


@pytest.mark.parametrize("similarity", ["dot", "cosine", "l2"])
@pytest.mark.parametrize("depth", [0, 1, 25, 100, 300])
def test_vectors_give_the_measures_of_the_full_ranking(similarity, depth):
    judgements, _ = random_case(7)
    rng = np.random.default_rng(7)
    query_rows = rng.permutation(40)[:25]
    if similarity == "cosine":
        documents, queries = rng.normal(size=(300, 8)), rng.normal(size=(25, 8))
        scores = queries @ (documents / np.linalg.norm(documents, axis=1, keepdims=True)).T
    else:
        # Small integers: scores are exact, ties are many, and rounding cannot excuse a difference.
        documents, queries = rng.integers(-2, 3, (300, 8)), rng.integers(-2, 3, (25, 8))
        scores = queries @ documents.T
        if similarity == "l2":
            scores = -((queries[:, None] - documents[None]) ** 2).sum(-1)
    full = np.argsort(-scores, axis=1, kind="stable")
    expected = evaluate_run(full, judgements, query_rows)
    found, hits = evaluate_vectors(
        queries.astype(np.float32), documents.astype(np.float32), judgements, query_rows, similarity, depth=depth
    )
    for name in MEASURES:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(hits.doc_rows, full[:, :depth])


def test_a_depth_beyond_the_corpus_changes_nothing():
    judgements, _ = random_case(2)
    rng = np.random.default_rng(2)
    documents, queries = rng.normal(size=(300, 8)).astype(np.float32), rng.normal(size=(40, 8)).astype(np.float32)
    found, _ = evaluate_vectors(queries, documents, judgements, np.arange(40), "dot", depth=1000)
    expected, _ = evaluate_vectors(queries, documents, judgements, np.arange(40), "dot", depth=0)
    for name in MEASURES:
        np.testing.assert_array_equal(found[name], expected[name])


def test_vectors_and_query_rows_must_match():
    judgements, _ = random_case(0)
    with pytest.raises(ValueError, match="query vectors"):
        evaluate_vectors(np.zeros((2, 4)), np.zeros((5, 4)), judgements, np.arange(3), "dot")


def test_docstring_examples():
    assert doctest.testmod(metrics).failed == 0
