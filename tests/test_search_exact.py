"""Exact search against double loops: order, ties, exclusions, ranks."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.search import products
from core.search.exact import ranks_of, score_pairs, top_k

SIMILARITIES = ("dot", "cosine", "l2")


def plain_score(a, b, similarity):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if similarity == "l2":
        return np.float32(-((a - b) ** 2).sum())
    if similarity == "dot":
        return np.float32(a @ b)
    norms = np.linalg.norm(a), np.linalg.norm(b)
    return np.float32(a @ b * (1 / norms[0]) * (1 / norms[1])) if all(norms) else np.float32(0)


def plain_top_k(queries, documents, k, similarity, excluded=()):
    rows = np.full((len(queries), k), -1)
    for i, query in enumerate(queries):
        scored = [
            (-plain_score(query, document, similarity), row)
            for row, document in enumerate(documents)
            if (i, row) not in excluded
        ]
        best = [row for _, row in sorted(scored)[:k]]
        rows[i, : len(best)] = best
    return rows


def pairs_table(pairs, n_queries):
    """What top_k reads of Judgements."""
    indptr = np.zeros(n_queries + 1, np.int64)
    for query, _ in pairs:
        indptr[query + 1 :] += 1
    return SimpleNamespace(indptr=indptr, doc_rows=np.array([d for _, d in sorted(pairs)], np.int64))


# Small whole numbers: many exact ties, and no rounding in either order of summation.
@given(
    data=st.data(),
    n_queries=st.integers(0, 4),
    n_documents=st.integers(1, 12),
    dim=st.integers(1, 6),
    k=st.integers(1, 15),
    similarity=st.sampled_from(["dot", "l2"]),
)
@settings(max_examples=150, deadline=None)
def test_order_and_ties_equal_a_double_loop(data, n_queries, n_documents, dim, k, similarity):
    def matrix(n):
        values = data.draw(st.lists(st.integers(-2, 2), min_size=n * dim, max_size=n * dim))
        return np.array(values, np.float32).reshape(n, dim)

    queries, documents = matrix(n_queries), matrix(n_documents)
    pairs = {
        (query, row)
        for query in range(n_queries)
        for row in data.draw(st.sets(st.integers(0, n_documents - 1), max_size=n_documents))
    }
    hits = top_k(queries, documents, k, similarity=similarity, exclude=pairs_table(pairs, n_queries))
    assert hits.doc_rows.tolist() == plain_top_k(queries, documents, k, similarity, pairs).tolist()
    found = hits.doc_rows >= 0
    assert np.isneginf(hits.scores[~found]).all()
    query_index = np.nonzero(found)[0]
    pairs_found = zip(query_index, hits.doc_rows[found], strict=True)
    expected = [plain_score(queries[i], documents[j], similarity) for i, j in pairs_found]
    assert hits.scores[found].tolist() == expected

    everything = top_k(queries, documents, n_documents, similarity=similarity)
    query_index = np.repeat(np.arange(n_queries), n_documents)
    ranks = ranks_of(queries, documents, query_index, everything.doc_rows.ravel(), similarity=similarity)
    assert ranks.tolist() == list(range(1, n_documents + 1)) * n_queries


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_real_vectors_equal_a_double_loop(similarity):
    rng = np.random.default_rng(1)
    queries, documents = rng.standard_normal((7, 19)), rng.standard_normal((300, 19))
    queries[3], documents[5] = 0, 0
    queries, documents = queries.astype(np.float32), documents.astype(np.float32)
    hits = top_k(queries, documents, 40, similarity=similarity)
    assert hits.doc_rows.tolist() == plain_top_k(queries, documents, 40, similarity).tolist()
    assert hits.doc_rows.dtype == np.int64 and hits.scores.dtype == np.float32


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_equal_vectors_tie_exactly_beyond_k_wherever_they_stand(similarity, monkeypatch):
    rng = np.random.default_rng(2)
    n, dim, k = 6000, 64, 25
    queries = rng.standard_normal((70, dim)).astype(np.float32)
    documents = rng.standard_normal((n, dim)).astype(np.float32)
    twins = np.sort(rng.choice(n, 200, replace=False))
    documents[twins] = queries[0] * 3  # 200 equal documents, among the best of query 0
    if similarity == "l2":
        documents[twins] = queries[0]
    results = []
    for block, threads in ((1 << 24, 1), (7 * n, 2), (1, 1)):
        monkeypatch.setattr(products, "BLOCK_PRODUCTS", block)
        results.append(top_k(queries, documents, k, similarity=similarity, threads=threads))
    assert results[0].doc_rows[0].tolist() == twins[:k].tolist()
    assert len(set(results[0].scores[0].tolist())) == 1
    for other in results[1:]:
        assert (other.doc_rows == results[0].doc_rows).all()
        assert (other.scores == results[0].scores).all()
    ranks = ranks_of(queries, documents, np.zeros(200, int), twins[::-1], similarity=similarity)
    assert ranks.tolist() == list(range(200, 0, -1))


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_top_k_pairs_and_ranks_agree_to_the_last_bit(similarity):
    rng = np.random.default_rng(3)
    queries, documents = (rng.standard_normal((n, 96)).astype(np.float32) for n in (60, 5000))
    documents += 4  # a common part: float32 distances lose digits, so that proposals need their slack
    queries += 4
    hits = top_k(queries, documents, 50, similarity=similarity)
    query_index = np.repeat(np.arange(60), 50)
    scores = score_pairs(queries, documents, query_index, hits.doc_rows.ravel(), similarity=similarity)
    assert (scores == hits.scores.ravel()).all() and scores.dtype == np.float32
    shuffled = rng.permutation(60 * 50)
    ranks = ranks_of(
        queries, documents, query_index[shuffled], hits.doc_rows.ravel()[shuffled], similarity=similarity, threads=2
    )
    assert (ranks == (shuffled % 50) + 1).all() and ranks.dtype == np.int64
    for i in (0, 30):
        full = np.array([plain_score(queries[i], document, similarity) for document in documents])
        assert hits.doc_rows[i].tolist() == np.lexsort((np.arange(5000), -full))[:50].tolist()


def test_all_documents_equal_gives_the_first_rows():
    hits = top_k(np.ones((3, 8)), np.ones((1000, 8)), 5)
    assert hits.doc_rows.tolist() == [[0, 1, 2, 3, 4]] * 3
    assert top_k(np.zeros((1, 8)), np.ones((2000, 8)), 2, similarity="cosine").doc_rows.tolist() == [[0, 1]]
    assert top_k(np.zeros((1, 8)), np.zeros((1, 8)), 2, similarity="cosine").scores[0, 0] == 0


def test_exclude_reads_the_row_named_for_each_vector():
    table = pairs_table({(0, 0), (2, 1), (2, 2)}, 3)
    vectors = np.eye(3, dtype=np.float32)
    hits = top_k(vectors[:2], vectors, 3, exclude=table, exclude_query_rows=np.array([2, 1]))
    assert hits.doc_rows.tolist() == [[0, -1, -1], [1, 0, 2]]
    with pytest.raises(ValueError):
        top_k(vectors, vectors, 1, exclude=table, exclude_query_rows=np.array([0, 1]))
    with pytest.raises(ValueError):
        top_k(vectors, vectors, 1, exclude=table, exclude_query_rows=np.array([0, 1, 3]))
    with pytest.raises(ValueError):
        top_k(vectors, vectors[:2], 1, exclude=table)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(bad):
    good, wrong = np.ones((2, 3), np.float32), np.array([[1, bad, 0]], np.float32)
    for queries, documents in ((good, wrong), (wrong, good)):
        with pytest.raises(ValueError, match="not finite"):
            top_k(queries, documents, 1)
        with pytest.raises(ValueError, match="not finite"):
            score_pairs(queries, documents, [0], [0])


def test_long_vectors_are_refused_where_float32_cannot_hold_their_products():
    long = np.full((1, 4), 1e20, np.float32)
    for similarity in ("dot", "l2"):
        with pytest.raises(ValueError, match="too long"):
            top_k(long, long, 1, similarity=similarity)
    assert top_k(long, long, 1, similarity="cosine").scores[0, 0] == pytest.approx(1)


def test_shapes_and_names_that_do_not_fit_are_refused():
    vectors = np.ones((2, 3), np.float32)
    for arguments in ((vectors, np.ones((2, 4)), 1), (vectors, vectors, 0), (np.ones(3), vectors, 1)):
        with pytest.raises(ValueError):
            top_k(*arguments)
    with pytest.raises(ValueError):
        top_k(vectors, vectors, 1, similarity="euclid")
    with pytest.raises(ValueError):
        ranks_of(vectors, vectors, [0, 1], [0, 2])
    assert top_k(np.ones((0, 3)), vectors, 2).doc_rows.shape == (0, 2)
    assert top_k(vectors, np.ones((0, 3)), 2).doc_rows.tolist() == [[-1, -1]] * 2
    assert ranks_of(vectors, vectors, [], []).shape == (0,)


def test_read_only_vectors_and_other_types_are_welcome_and_unchanged():
    vectors = np.arange(12, dtype=np.float64).reshape(4, 3)
    vectors.flags.writeable = False
    narrow = vectors.astype(np.float32)
    narrow.flags.writeable = False
    assert (top_k(vectors, narrow, 2).doc_rows == top_k(narrow, vectors[:, ::1], 2).doc_rows).all()


def test_threads_are_used_and_given_back():
    from threadpoolctl import threadpool_info

    def blas():
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    from core.search.threads import blas_threads

    before = blas()
    with blas_threads(3) as n:
        assert n == 3 and set(blas()) == {3}
    assert blas() == before
    top_k(np.ones((20, 3)), np.ones((5, 3)), 1, threads=3)
    assert blas() == before
    with pytest.raises(ValueError):
        top_k(np.ones((2, 3)), np.ones((5, 3)), 1, threads=0)


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_products_may_be_as_wrong_as_their_errors_say(similarity, is_whole):
    from core.search import exact_loops

    rng = np.random.default_rng(8)
    queries, documents = (rng.standard_normal((n, 24)).astype(np.float32) for n in (20, 700))
    pair = products.VectorPair.of(queries, documents, similarity)
    exact = np.array([[plain_score(q, d, similarity) for d in documents] for q in queries], np.float64)
    errors = np.abs(exact).mean(1) * rng.choice([1e-9, 0.05, 0.5], 20)
    wrong = exact + pair.shifts[:, None] + errors[:, None] * rng.uniform(-0.999, 0.999, exact.shape)
    about, errors = (wrong.astype(np.float32), np.finfo(np.float32).min, np.ones(20)), errors + 1e-5
    if is_whole:  # wrong by half a unit more when rounded, and a unit for the bounds
        units = rng.choice([1e-6, 0.01, 0.3], 20)
        about, errors = (np.rint(wrong / units[:, None]).astype(np.int32), np.int32(-(2**31) + 1), units), errors + 1.5 * units
    for k in (1, 10, 60):
        rows, scores = np.full((20, k), -1), np.full((20, k), -np.inf, np.float32)
        exact_loops.best(*pair.loop_arguments, *about, errors, pair.shifts, 0, 0, 20, k, rows, scores)
        hits = top_k(queries, documents, k, similarity=similarity)
        assert (rows == hits.doc_rows).all() and (scores == hits.scores).all()
