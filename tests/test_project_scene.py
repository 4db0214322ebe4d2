"""Who is on a map, in which role, where at each snapshot; the doubts about each negative. Against plain loops."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from core.audit import pairs as audit
from core.corpus.judgements import Judgements
from core.project import scene
from core.project.cache import LayoutCache
from core.project.scene import Cast, Pairs
from core.sampling.context import Vectors
from core.train.results import TableInfo


def pairs_of(*pairs: tuple[int, int]) -> Pairs:
    table = np.array(pairs, np.int64).reshape(-1, 2)
    return Pairs(table[:, 0], table[:, 1])


def vectors(n_queries: int = 6, n_documents: int = 40, similarity: str = "cosine", seed: int = 0) -> Vectors:
    rng = np.random.default_rng(seed)
    queries, documents = (rng.normal(size=(n, 8)).astype(np.float16) for n in (n_queries, n_documents))
    return Vectors(queries, documents, similarity, "test")


def test_ranked_pairs_keep_the_best_rank_of_a_repeated_pair_in_order():
    rng = np.random.default_rng(0)
    q, d, r = rng.integers(0, 4, 60), rng.integers(0, 9, 60), rng.integers(1, 30, 60)
    got = Pairs.from_ranked(q, d, r)
    best: dict[tuple[int, int], int] = {}
    for pair, rank in zip(zip(q.tolist(), d.tolist(), strict=True), r.tolist(), strict=True):
        best[pair] = min(rank, best.get(pair, 99))
    expected = sorted(best, key=lambda pair: (pair[0], best[pair], pair[1]))
    assert list(zip(got.query_rows.tolist(), got.doc_rows.tolist(), strict=True)) == expected
    for n in (0, 1, 3):
        firsts = [p for i, p in enumerate(expected) if sum(x[0] == p[0] for x in expected[:i]) < n]
        cut = got.first(n)
        assert list(zip(cut.query_rows.tolist(), cut.doc_rows.tolist(), strict=True)) == firsts


def test_groups_partition_the_queries_and_are_the_same_for_their_members():
    order = scene.query_order(np.arange(100, 195))
    assert sorted(order) == list(range(100, 195)) and order.tolist() != list(range(100, 195))
    groups = {tuple(scene.query_group(order, int(row), 1500)) for row in order}
    assert sorted(row for group in groups for row in group) == list(range(100, 195))
    assert all(tuple(scene.query_group(order, row, 1500)) == group for group in groups for row in group)
    with pytest.raises(ValueError, match="3 is not among"):
        scene.query_group(order, 3, 1500)


def test_the_cast_holds_all_pairs_of_all_snapshots_and_background_up_to_the_number():
    positives, early, late = pairs_of((0, 3), (1, 30)), pairs_of((0, 7), (0, 9)), pairs_of((0, 9), (1, 11))
    got = scene.cast(500, np.array([1, 0]), positives, [early, late], n_points=60)
    assert len(got.doc_rows) == 60 and (np.diff(got.doc_rows) > 0).all()
    assert {3, 30, 7, 9, 11} <= set(got.doc_rows.tolist())
    assert got.query_rows.tolist() == [1, 0]
    assert got.key != Cast(got.doc_rows, np.array([0, 1])).key
    small = scene.cast(500, np.array([1, 0]), positives, [early, late], n_points=3)
    assert {3, 30} <= set(small.doc_rows.tolist()) and len(small.doc_rows) == 3


def test_places_of_documents_on_the_map_and_off_it():
    on_map = Cast(np.array([2, 5, 8]), np.array([0]))
    assert on_map.places_of(np.array([8, 2, 3, 99, -1])).tolist() == [2, 0, -1, -1, -1]
    assert Cast(np.empty(0, np.int64), np.array([0])).places_of(np.array([1])).tolist() == [-1]


def test_the_chosen_querys_roles_win_over_those_for_others():
    on_map = Cast(np.arange(6), np.array([0, 1]))
    positives = pairs_of((0, 0), (1, 1), (1, 2))
    negatives = pairs_of((0, 1), (0, 3), (1, 0), (1, 4), (0, 90))
    role, is_own = scene.roles(on_map, 0, positives, negatives, np.array([False, True, True, True, False]))
    assert role.tolist() == ["positive", "negative", "positive", "suspect", "suspect", "other"]
    assert is_own.tolist() == [True, True, False, True, False, False]
    role, is_own = scene.roles(on_map, 1, positives, negatives, np.array([False, True, True, True, False]))
    assert role.tolist() == ["suspect", "positive", "positive", "suspect", "suspect", "other"]
    assert is_own.tolist() == [True, True, True, False, True, False]


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_scores_and_ranks_over_the_corpus_equal_loops(similarity, monkeypatch):
    monkeypatch.setattr(scene, "_BLOCK", 7)
    v = vectors(similarity=similarity)
    q, d = v.queries[2].astype(np.float64), v.documents.astype(np.float64)
    expected = {
        "dot": d @ q,
        "cosine": d @ q / np.linalg.norm(d, axis=1) / np.linalg.norm(q),
        "l2": -((d - q) ** 2).sum(1),
    }[similarity]
    got = scene.scores_of(v, 2)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    ranks = scene.ranks_of(got)
    assert ranks.tolist() == [1 + sum((s, -j) > (got[i], -i) for j, s in enumerate(got)) for i in range(len(got))]


def test_layouts_are_kept_and_each_starts_from_the_one_before(tmp_path, monkeypatch):
    on_map = Cast(np.arange(30), np.array([0, 1]))
    by_step = {step: vectors(seed=step) for step in (0, 9, 18)}
    starts, made = [], []

    def fake(space, *, metric, seed, init):
        starts.append(init)
        return space[:, :2]

    monkeypatch.setattr("core.project.umap_map.layout", fake)

    def lay(steps):
        return scene.layouts(LayoutCache(tmp_path), by_step.get, steps, on_map, "t", report=lambda *a: made.append(a))

    first = lay([0, 9, 18])
    assert made == [(0, 3), (1, 3), (2, 3)] and all(places.shape == (32, 2) for places in first)
    assert starts[0] is None and (starts[1] == first[0]).all() and (starts[2] == first[1]).all()
    again = lay([0, 9, 18])
    assert len(made) == 3 and all((a == b).all() for a, b in zip(first, again, strict=True))
    lay([0, 18])  # another way to step 18 is another layout
    assert len(made) == 4 and (starts[3] == first[0]).all()


def results_with(tmp_path, tables: list[tuple[int, int, list[tuple[int, int, int, bool]]]]):
    infos = []
    for number, (lane, step, rows) in enumerate(tables):
        path = tmp_path / f"{number}.parquet"
        names = ("query_row", "doc_row", "rank", "kept")
        parquet.write_table(pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))), path)
        infos.append(TableInfo(number, lane, "bm25", step, path))
    return SimpleNamespace(tables=lambda: infos)


def test_negatives_in_use_are_the_kept_ones_of_each_lanes_last_table(tmp_path):
    results = results_with(
        tmp_path,
        [
            (0, 0, [(0, 5, 2, True), (0, 6, 1, True), (0, 7, 3, False), (9, 1, 1, True)]),
            (1, 0, [(0, 8, 4, True)]),
            (0, 10, [(0, 1, 1, True), (1, 2, 1, True)]),
        ],
    )
    queries = np.array([0, 1])
    assert audit.negatives_in_use(results, 0, queries).of(0).tolist() == [6, 5, 8]
    assert audit.negatives_in_use(results, 9, queries).of(0).tolist() == [6, 5, 8]
    later = audit.negatives_in_use(results, 10, queries)
    assert later.of(0).tolist() == [1, 8] and later.of(1).tolist() == [2]
    assert len(audit.negatives_in_use(SimpleNamespace(tables=list), 10, queries).doc_rows) == 0


def test_doubts_name_every_reason_and_truth():
    documents = np.array([[1, 0], [0.6, 0.8], [1, 0.05], [0.59, 0.81], [0, 1]], np.float32)
    v = Vectors(np.array([[1, 0], [0, 1]], np.float32), documents, "cosine", "test")
    known = Judgements.from_pairs([0, 0], [0, 1], [1, 1], 2)
    corpus = SimpleNamespace(positives=known, truth=Judgements.from_pairs([0, 0, 1], [0, 4, 2], [1, 2, 1], 2))
    twins = Judgements.from_pairs([0], [4], [1], 2)
    got = audit.doubted(v, corpus, twins, pairs_of((0, 2), (0, 3), (0, 4), (1, 4), (1, 2)))
    assert got == [
        ("above the positive",),
        ("within 5 % of the positive",),
        ("copy of a positive", audit.TRUTH_REASON),
        (),  # a query without a positive: nothing to be above of
        (audit.TRUTH_REASON,),
    ]
    corpus.truth = None
    assert audit.doubted(v, corpus, twins, pairs_of((0, 4))) == [("copy of a positive",)]
    assert audit.doubted(v, corpus, twins, pairs_of()) == []
