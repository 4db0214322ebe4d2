"""Products of eight bits: as wrong as they say at most, and never to be seen in a result."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus.judgements import Judgements
from core.search import rounded
from core.search.exact import top_k, top_k_of
from core.search.products import Documents, VectorPair
from core.search.rounded import RoundedPair

pytestmark = pytest.mark.skipif(not rounded._is_at_hand(), reason="this processor multiplies eight bits no faster")


def round_always(patch: pytest.MonkeyPatch) -> None:
    """Rounding whatever it costs, in blocks of few queries."""
    patch.setattr(rounded, "LEAST_PRODUCTS", 1)
    patch.setattr(rounded, "LARGEST_ERROR", 1e9)
    patch.setattr(rounded, "BLOCK_PRODUCTS", 1)


@pytest.fixture
def always(monkeypatch):
    round_always(monkeypatch)


def drawn(seed: int, shape: tuple[int, int], kind: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal(shape)
    if kind == "of all lengths":
        vectors *= np.exp(3 * rng.standard_normal((shape[0], 1)))
    if kind == "one large value":
        vectors[:, 0] *= 100
    if kind == "few values":
        vectors = np.round(vectors)
    if kind == "tiny":
        vectors *= 1e-30
    vectors[rng.random(shape[0]) < 0.1] = 0
    return vectors.astype(np.float32)


KINDS = st.sampled_from(["plain", "of all lengths", "one large value", "few values", "tiny"])


@given(st.integers(0, 1000), KINDS, KINDS, st.sampled_from([16, 17, 64, 200]), st.sampled_from(["dot", "cosine"]), st.integers(1, 2))
@settings(max_examples=60, deadline=None)
def test_a_product_is_wrong_by_its_error_at_most(seed, kind_q, kind_d, dim, similarity, threads):
    queries, documents = drawn(seed, (70, dim), kind_q), drawn(seed + 1, (150, dim), kind_d)
    with pytest.MonkeyPatch.context() as patch:
        round_always(patch)
        pair = VectorPair.of(queries, documents, similarity)
        found = RoundedPair.of(pair, threads)
        products = np.full((70, 150), np.nan)

        def keep(start, some):
            products[start : start + len(some)] = some * found.units[start : start + len(some), None]

        found.each_block(threads, keep)
    exact = (queries.astype(np.float64) @ documents.astype(np.float64).T) * pair.query_factors[:, None] * pair.side.factors
    assert (np.abs(products - exact) <= (found.errors - found.units)[:, None]).all()
    if similarity == "cosine" and kind_q == kind_d == "plain":
        assert found.errors.mean() < 0.05  # and it says something


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("k", [1, 10, 300, 3000])
def test_rounding_changes_no_result(always, monkeypatch, similarity, k):
    rng = np.random.default_rng(k)
    queries, documents = (rng.standard_normal((n, 48)).astype(np.float32) for n in (90, 2500))
    documents[rng.choice(2500, 400, replace=False)] = documents[7]  # ties across the k boundary
    documents[11], queries[3] = 0, 0
    out = Judgements.from_pairs(np.repeat(np.arange(90), 5), rng.integers(0, 2500, 450), np.ones(450, np.int16), 90)
    for threads in (1, 2):
        with_it = [top_k(queries, documents, k, similarity=similarity, threads=threads, exclude=e) for e in (None, out)]
        with monkeypatch.context() as patch:
            patch.setattr(rounded, "_is_at_hand", lambda: False)
            without = [top_k(queries, documents, k, similarity=similarity, threads=threads, exclude=e) for e in (None, out)]
        for a, b in zip(with_it, without, strict=True):
            assert (a.doc_rows == b.doc_rows).all()
            assert (a.scores.view(np.int32) == b.scores.view(np.int32)).all()


def test_rounding_is_used_where_it_pays_and_only_there(monkeypatch):
    rng = np.random.default_rng(0)
    queries, documents = (rng.standard_normal((n, 64)).astype(np.float32) for n in (300, 20_000))
    assert RoundedPair.of(VectorPair.of(queries, documents, "cosine"), 2) is not None
    assert RoundedPair.of(VectorPair.of(queries, documents, "l2"), 2) is None
    assert RoundedPair.of(VectorPair.of(queries[:20], documents, "cosine"), 2) is None  # too few products
    assert RoundedPair.of(VectorPair.of(queries[:, :1], documents[:, :1], "dot"), 2) is None
    documents[0] *= 1000  # whole steps of a thousandth of it tell the others little
    assert RoundedPair.of(VectorPair.of(queries, documents, "dot"), 2) is None
    seen = []
    beside = threading.Thread(target=lambda: seen.append(rounded._is_at_hand()))
    beside.start()
    beside.join()
    assert seen == [False]  # torch's number of threads is the main thread's to set


def test_a_product_that_overflows_is_not_trusted(monkeypatch):
    right = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: right(a, b).clamp(-(2**15), 2**15 - 1))
    rounded._multiplies_rightly.cache_clear()
    try:
        assert not rounded._is_at_hand()
    finally:
        rounded._multiplies_rightly.cache_clear()


def test_the_number_of_threads_comes_back(always):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        top_k(np.ones((100, 16), np.float32), np.ones((100, 16), np.float32), 3)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_documents_searched_at_each_step_are_rounded_once(monkeypatch):
    rng = np.random.default_rng(5)
    side = Documents.of(rng.standard_normal((20_000, 64)).astype(np.float32), "dot")
    calls = []
    monkeypatch.setattr(rounded, "_rounded_documents", lambda *a, plain=rounded._rounded_documents: calls.append(1) or plain(*a))
    for step in range(4):
        queries = rng.standard_normal((100, 64)).astype(np.float32)
        hits = top_k_of(VectorPair.against(queries, side), 30)
        with monkeypatch.context() as patch:
            patch.setattr(rounded, "_is_at_hand", lambda: False)
            plain = top_k(queries, side.vectors, 30)
        assert (hits.doc_rows == plain.doc_rows).all() and (hits.scores == plain.scores).all()
        assert len(calls) == min(1, step // 2)  # 2 million products a step: the third makes up for rounding them
