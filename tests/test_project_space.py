"""Neighbours, fidelity, the points drawn, the joint space of queries and documents, the cache."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from core.errors import ParameterError
from core.project.cache import LayoutCache
from core.project.fidelity import fidelity, neighbours, trustworthiness
from core.project.knn import knn
from core.project.points import choose_points, joint_space


def knn_by_loops(vectors: np.ndarray, k: int, metric: str) -> list[list[int]]:
    def distance(i: int, j: int) -> float:
        if i == j:
            return -1.0
        if metric == "euclidean":
            return float(((vectors[i] - vectors[j]) ** 2).sum())
        norm = float(np.sqrt((vectors[i] ** 2).sum() * (vectors[j] ** 2).sum()))
        return 1 - float(vectors[i] @ vectors[j]) / norm if norm else 1.0

    n = len(vectors)
    return [sorted(range(n), key=lambda j: (distance(i, j), j))[:k] for i in range(n)]


@pytest.mark.parametrize("k", [1, 4, 30])
def test_knn_euclidean_with_many_ties_equals_loops(k):
    vectors = np.random.default_rng(0).integers(-1, 2, (30, 3)).astype(np.float32)
    indices, distances = knn(vectors, k, "euclidean")
    assert indices.tolist() == knn_by_loops(vectors, k, "euclidean")
    expected = np.linalg.norm(vectors[:, None] - vectors[indices], axis=2)
    np.testing.assert_allclose(distances, expected, atol=1e-6)


def test_knn_cosine_equals_loops_in_blocks(monkeypatch):
    monkeypatch.setattr("core.project.knn._BLOCK", 100)
    vectors = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    vectors[3] = 0
    indices, distances = knn(vectors, 6, "cosine")
    assert indices.tolist() == knn_by_loops(vectors, 6, "cosine")
    assert (indices[:, 0] == np.arange(40)).all() and (distances[:, 0] == 0).all()
    assert (np.diff(distances, axis=1) >= 0).all() and distances[3, 1:].tolist() == [1] * 5
    with pytest.raises(ParameterError, match="metric"):
        knn(vectors, 6, "dot")


def test_fidelity_is_the_share_of_kept_neighbours():
    rng = np.random.default_rng(2)
    high, low = rng.normal(size=(50, 8)), rng.normal(size=(50, 2))
    in_high, in_low = knn_by_loops(high, 8, "cosine"), knn_by_loops(low, 8, "euclidean")
    shares = [len(set(h[1:]) & set(p[1:])) / 7 for h, p in zip(in_high, in_low, strict=True)]
    assert fidelity(high, low, k=7) == pytest.approx(np.mean(shares))
    assert fidelity(low, low, k=7, metric="euclidean") == 1.0
    assert fidelity(high, low, k=500) == 1.0  # everyone is everyone's neighbour
    assert np.isnan(fidelity(high[:1], low[:1]))


def test_trustworthiness_equals_its_formula():
    rng = np.random.default_rng(3)
    high, low = rng.normal(size=(40, 6)), rng.normal(size=(40, 2))
    k, n = 5, 40
    ranks = [{j: rank for rank, j in enumerate(row)} for row in knn_by_loops(high, n, "cosine")]
    penalty = sum(
        max(ranks[i][j] - k, 0) for i, row in enumerate(knn_by_loops(low, k + 1, "euclidean")) for j in row[1:]
    )
    expected = 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty
    assert trustworthiness(high, low, k=k) == pytest.approx(expected)
    assert trustworthiness(low, low, metric="euclidean") == 1.0
    assert np.isnan(trustworthiness(high[:3], low[:3]))
    assert 0 <= trustworthiness(high[:5], low[:5], k=10) <= 1


def scores_of(vectors: np.ndarray, query: np.ndarray, similarity: str) -> np.ndarray:
    return {
        "dot": vectors @ query,
        "cosine": vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query),
        "l2": -((vectors - query) ** 2).sum(axis=1),
    }[similarity]


@pytest.mark.parametrize("similarity", ["dot", "cosine", "l2"])
def test_neighbours_are_those_of_the_full_space(similarity):
    rng = np.random.default_rng(4)
    vectors, query = rng.normal(size=(60, 7)).astype(np.float32), rng.normal(size=7).astype(np.float32)
    scores = scores_of(vectors, query, similarity)
    rows, found = neighbours(vectors, query, 9, similarity)
    expected = np.argsort(-scores, kind="stable")
    assert rows.tolist() == expected[:9].tolist()
    np.testing.assert_allclose(found, scores[rows], atol=1e-4)
    without, _ = neighbours(vectors, query, 9, similarity, exclude_row=int(expected[2]))
    assert without.tolist() == np.delete(expected, 2)[:9].tolist()
    assert len(neighbours(vectors, query, 100, similarity)[0]) == 60


@pytest.mark.parametrize("similarity", ["dot", "cosine", "l2"])
def test_joint_space_orders_documents_as_the_similarity_does(similarity):
    rng = np.random.default_rng(5)
    documents = (rng.normal(size=(80, 6)) * rng.uniform(0.2, 3, (80, 1))).astype(np.float32)
    queries = (rng.normal(size=(10, 6)) * rng.uniform(0.2, 3, (10, 1))).astype(np.float32)
    space, metric = joint_space(documents, queries, similarity)
    assert space.shape[0] == 90 and space.dtype == np.float32
    for index, query in enumerate(queries):
        placed = space[80 + index]
        if metric == "cosine":
            near = space[:80] @ placed / np.linalg.norm(space[:80], axis=1)
        else:
            near = -((space[:80] - placed) ** 2).sum(axis=1)
        expected = np.argsort(-scores_of(documents, query, similarity), kind="stable")
        assert np.argsort(-near, kind="stable")[:20].tolist() == expected[:20].tolist()
    with pytest.raises(ParameterError, match="similarity"):
        joint_space(documents, queries, "dotty")


def test_chosen_points_hold_every_marked_one_first():
    positives, negatives = [np.array([5, 9]), np.array([100])], np.array([[7, 8, -1], [9, -1, -1]])
    rows = choose_points(1_000, positives, negatives, cap=50)
    assert len(rows) == 50 and (np.diff(rows) > 0).all() and rows.dtype == np.int64
    assert {5, 7, 8, 9, 100} <= set(rows.tolist()) and rows.min() >= 0 and rows.max() < 1_000
    np.testing.assert_array_equal(rows, choose_points(1_000, positives, negatives, cap=50))
    assert choose_points(20, [], [], cap=50).tolist() == list(range(20))
    assert choose_points(0, [], []).tolist() == []


def test_a_small_cap_keeps_positives_then_each_querys_nearest():
    negatives = np.array([[10, 11, 12], [20, 21, 22]])
    assert choose_points(100, [np.array([1])], negatives, cap=4).tolist() == [1, 10, 11, 20]
    assert choose_points(100, [np.array([1, 2]), np.array([3])], negatives, cap=2).tolist() == [1, 3]
    with pytest.raises(ParameterError, match="cap"):
        choose_points(100, [], [], cap=0)


def test_the_background_is_uniform_and_survives_other_negatives():
    first = choose_points(2_000, [], np.arange(40)[None], cap=500)
    second = choose_points(2_000, [], np.arange(40, 80)[None], cap=500)
    assert len(np.intersect1d(first, second)) > 400
    counts = np.zeros(50)
    for seed in range(400):
        counts[choose_points(50, [], [], cap=10, seed=seed)] += 1
    # Hypergeometric draws: each document 80 times, standard deviation 8.
    assert np.abs(counts - 80).max() < 5 * 8 and ((counts - 80) ** 2).sum() / 64 < 90


def test_cache_keeps_whole_layouts_only(tmp_path):
    cache = LayoutCache(tmp_path / "maps")
    plane = np.random.default_rng(6).normal(size=(9, 2)).astype(np.float32)
    assert cache.get("a") is None
    cache.put("a", plane)
    assert cache.get("a").tobytes() == plane.tobytes() and cache.get("b") is None
    assert LayoutCache(tmp_path / "maps").get("a").tobytes() == plane.tobytes()
    for damaged in (b"", b"not numpy", cache.path("a").read_bytes()[:-5]):
        cache.path("a").write_bytes(damaged)
        assert cache.get("a") is None
    np.save(cache.path("a"), np.zeros((3, 5), dtype=np.float32))
    assert cache.get("a") is None
    with pytest.raises(ValueError, match="shape"):
        cache.put("a", np.zeros(4))


def test_cache_makes_a_layout_once_even_when_asked_by_many(tmp_path):
    cache, calls, results = LayoutCache(tmp_path), [], []

    def make() -> np.ndarray:
        calls.append(1)
        threading.Event().wait(0.05)
        return np.full((4, 2), len(calls), dtype=np.float64)

    threads = [threading.Thread(target=lambda: results.append(cache.get_or_make("k", make))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(calls) == 1 and len(results) == 6
    assert all(found.dtype == np.float32 and (found == 1).all() for found in results)


def test_cache_leaves_nothing_behind_a_failed_write(tmp_path, monkeypatch):
    cache = LayoutCache(tmp_path)

    def full(*_args, **_kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="disk full"):
        cache.put("a", np.zeros((2, 2)))
    assert list(tmp_path.iterdir()) == []


def test_cache_removes_what_was_used_longest_ago(tmp_path):
    import os

    cache = LayoutCache(tmp_path, keep=3)
    for number, key in enumerate("abc"):
        cache.put(key, np.zeros((1, 2)))
        os.utime(cache.path(key), (1_000 + number, 1_000 + number))
    assert cache.get("a") is not None  # a is used again
    cache.put("d", np.zeros((1, 2)))
    assert [key for key in "abcd" if cache.get(key) is not None] == ["a", "c", "d"]
