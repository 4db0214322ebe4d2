"""Wins and losses, moves of documents, overlap of rankings."""

from __future__ import annotations

import numpy as np
import pytest

from core.evaluate.diff import (
    Move,
    compare_rankings,
    compare_runs,
    most_changed,
    overlap,
    query_differences,
    rank_changes,
    rbo,
)


def test_wins_losses_ties():
    a = {"RR@10": np.array([1.0, 0.5, 0.2, np.nan, 0.0]), "MAP": np.ones(5), "only a": np.ones(5)}
    b = {"MAP": np.zeros(5), "RR@10": np.array([0.5, 0.5 + 1e-12, 0.4, 1.0, np.nan])}
    first, second = compare_runs(a, b)
    assert (first.measure, first.n_wins, first.n_losses, first.n_ties, first.n_queries) == ("RR@10", 1, 1, 1, 3)
    assert first.mean == pytest.approx((0.5 - 0.2) / 3)
    assert second == ("MAP", 5, 0, 0, 1.0)
    with pytest.raises(ValueError, match="shape"):
        compare_runs({"MAP": np.ones(2)}, {"MAP": np.ones(3)})


def test_most_changed_queries_come_largest_first():
    a, b = np.array([0.1, 0.9, 0.5, 0.5, 0.0, np.nan]), np.array([0.2, 0.1, 0.5, 0.1, 0.9, 1.0])
    wins, losses = most_changed(a, b, k=2)
    assert wins.tolist() == [1, 3] and losses.tolist() == [4, 0]
    assert query_differences(a, b)[2] == 0


def test_rank_changes_of_one_query():
    moves = rank_changes(np.array([4, 7, 1, 9, -1]), np.array([7, 4, 8, 9, 1]), depth=4)
    assert moves == [
        Move(7, 2, 1, "up", 1),
        Move(4, 1, 2, "down", -1),
        Move(8, None, 3, "new", None),
        Move(9, 4, 4, "same", 0),
        Move(1, 3, 5, "down", -2),  # below the depth in b, yet known not to be gone
    ]
    assert rank_changes(np.array([3, -1]), np.array([-1, -1])) == [Move(3, 1, None, "gone", None)]
    assert rank_changes(np.array([]), np.array([])) == []


def test_rank_changes_partition_the_lists():
    draw = np.random.default_rng(0)
    for _ in range(50):
        a, b = draw.permutation(30)[:12], draw.permutation(30)[:15]
        moves = rank_changes(a, b, depth=20)
        assert {move.doc_row for move in moves} == set(a.tolist()) | set(b.tolist())
        assert {move.doc_row for move in moves if move.status == "new"} == set(b.tolist()) - set(a.tolist())
        assert {move.doc_row for move in moves if move.status == "gone"} == set(a.tolist()) - set(b.tolist())


def rbo_by_loops(a: list[int], b: list[int], p: float) -> float:
    """Webber et al. 2010, equation 32, as printed."""
    if len(a) > len(b):
        a, b = b, a
    s, long = len(a), len(b)

    def x(d: int) -> int:
        return len(set(a[:d]) & set(b[:d]))

    total = sum(x(d) / d * p**d for d in range(1, long + 1))
    total += sum(x(s) * (d - s) / (s * d) * p**d for d in range(s + 1, long + 1))
    return (1 - p) / p * total + ((x(long) - x(s)) / long + x(s) / s) * p**long


def test_rbo_equals_the_printed_equation():
    draw = np.random.default_rng(1)
    for p in (0.5, 0.9, 0.98):
        sizes = draw.integers(1, 16, (40, 2))
        lists = [(draw.permutation(25)[:n_a], draw.permutation(25)[:n_b]) for n_a, n_b in sizes]
        a, b = (np.full((40, 16), -1) for _ in range(2))
        for row, (first, second) in enumerate(lists):
            a[row, : len(first)], b[row, : len(second)] = first, second
        expected = [rbo_by_loops(first.tolist(), second.tolist(), p) for first, second in lists]
        np.testing.assert_allclose(rbo(a, b, p=p), expected, atol=1e-12)
        np.testing.assert_allclose(rbo(a, b, p=p), rbo(b, a, p=p), atol=1e-12)


def test_overlap_and_rbo_at_the_edges():
    a = np.array([[1, 2, 3], [1, 2, 3], [1, 2, -1], [5, -1, -1], [-1, -1, -1]])
    b = np.array([[1, 2, 3], [4, 5, 6], [2, 3, 1], [-1, -1, -1], [-1, -1, -1]])
    found = compare_rankings(a, b)
    np.testing.assert_allclose(found.overlap_10, [1, 0, 2 / 3, 0, np.nan])
    assert found.rbo[[0, 1, 3]].tolist() == pytest.approx([1, 0, 0]) and np.isnan(found.rbo[4])
    assert overlap(a, b, k=1).tolist()[:3] == [1, 0, 0]
    top, tail = np.array([[9, 2, 3, 4]]), np.array([[1, 2, 3, 9]])
    original = np.array([[1, 2, 3, 4]])
    assert rbo(original, tail)[0] > rbo(original, top)[0]  # a change at the top costs more
