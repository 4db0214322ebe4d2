"""The generated corpus, and the search benchmarks on a small one."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from core.bench.bm25 import bench_bm25
from core.bench.exact import bench_top_k
from core.bench.generated import generated_corpus
from core.errors import ParameterError, UserError
from core.search.bm25 import BM25, tokenize


@pytest.fixture(scope="module")
def corpus():
    return generated_corpus(n_documents=3000, n_train=400, n_test=100, seed=3)


def test_sizes_ids_and_pairs_fit(corpus):
    doc_ids = [doc_id for doc_id, _, _ in corpus.documents]
    query_ids = [query_id for query_id, _ in corpus.queries]
    assert len(set(doc_ids)) == 3000 and len(set(query_ids)) == 500
    assert [q for q, _ in corpus.train_pairs + corpus.test_pairs] == query_ids
    assert {d for _, d in corpus.train_pairs + corpus.test_pairs} <= set(doc_ids)
    assert len(corpus.test_pairs) == 100
    assert all(title and text for _, title, text in corpus.documents)


def test_the_same_seed_gives_the_same_corpus(corpus):
    assert generated_corpus(3000, 400, 100, seed=3) == corpus
    assert generated_corpus(3000, 400, 100, seed=4).queries != corpus.queries
    assert len(generated_corpus(2, 5, 0).train_pairs) == 5, "more queries than documents"


def test_words_follow_a_long_tailed_law(corpus):
    _, counts = np.unique([w for _, _, text in corpus.documents for w in tokenize(text)], return_counts=True)
    counts = np.sort(counts)[::-1]
    assert counts[0] > 20 * counts[300] and len(counts) > 3000


def test_shared_words_find_some_documents_and_not_all(corpus):
    hits = BM25.fit([f"{title} {text}" for _, title, text in corpus.documents]).search(
        [text for _, text in corpus.queries], 10
    )
    positives = np.array([int(d[1:]) for _, d in corpus.train_pairs + corpus.test_pairs])
    found = (hits.doc_rows == positives[:, None]).any(axis=1).mean()
    assert 0.4 < found < 0.9


def test_bench_bm25_reports_ratios_and_the_difference(corpus, monkeypatch):
    bm25s = pytest.importorskip("bm25s")
    monkeypatch.setattr(bm25s, "NUMBA_AVAILABLE", False)  # compiling that backend takes longer than all the rest
    texts = [text for _, _, text in corpus.documents[:500]]
    figures = bench_bm25(texts, [text for _, text in corpus.queries[:40]], repeats=1)
    assert figures["bm25_max_score_difference"] <= 1e-4
    assert figures["bm25_ratio_rank_bm25"] == figures["bm25_seconds_rank_bm25"] / figures["bm25_seconds_here"]
    assert figures["bm25_ratio_bm25s"] > 0 and figures["n_queries"] == 40 and figures["n_queries_rank_bm25"] == 12


def test_bench_top_k_reports_the_ratio_to_the_product():
    figures = bench_top_k(64, 500, 16, k=10, repeats=1)
    assert figures["top_k_ratio_product"] == figures["top_k_seconds_search"] / figures["top_k_seconds_product"] > 0


def test_a_missing_peer_names_the_command_to_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(UserError, match=r"pip install 'negspace\[bench\]'"):
        bench_bm25(["a"], ["a"])


def test_settings_that_measure_nothing_are_refused():
    for texts, queries, repeats in ((["a"], ["a"], 0), ([""], ["a"], 1), (["a"], [], 1)):
        with pytest.raises(ParameterError):
            bench_bm25(texts, queries, repeats)
    with pytest.raises(ParameterError):
        generated_corpus(0)
    with pytest.raises(ParameterError):
        bench_top_k(0)
