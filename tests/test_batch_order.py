"""Which pairs share a batch: every pair once, one group a batch, k-means as a plain loop, resumed as unbroken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from core.audit.doctor_fit import check_recipe
from core.sampling.order import ORDERS, Clustered, Shuffled, TopicAware, batches_of_groups, n_clusters, share_of_one_group
from core.sampling.presets import preset
from core.sampling.recipe import Recipe
from core.sampling.settings import apply_settings
from core.search.kmeans import k_means
from core.train.trial import Stopped, run_trial
from tests.small import make_context, make_corpus
from tests.test_train_trial import bytes_of, events_of, make_trial


def blobs(n_each=30, spread=0.05, seed=0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3], [-3, 0, 0]], np.float32)
    of = np.repeat(np.arange(4), n_each)
    return (centres[of] + rng.normal(0, spread, (len(of), 3))).astype(np.float32), of


def same_partition(a, b) -> bool:
    return len(set(zip(a.tolist(), b.tolist(), strict=True))) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize("is_spherical", [False, True])
def test_k_means_finds_the_planted_clusters(is_spherical):
    vectors, of = blobs()
    lengths = np.random.default_rng(1).uniform(0.2, 5, len(vectors))[:, None] if is_spherical else 1
    labels, centres = k_means((vectors * lengths).astype(np.float32), 4, np.random.default_rng(0), is_spherical=is_spherical)
    assert same_partition(labels, of)
    if is_spherical:
        np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("is_spherical", [False, True])
def test_k_means_stands_still_as_a_plain_loop_says(is_spherical):
    """Each row is with its nearest centre, each centre is its rows' mean: Lloyd's fixed point, by a double loop."""
    vectors = np.random.default_rng(3).normal(size=(60, 4)).astype(np.float32)
    labels, centres = k_means(vectors, 5, np.random.default_rng(0), is_spherical=is_spherical, rounds=100)
    rows = vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if is_spherical else vectors
    for row, label in zip(rows, labels, strict=True):
        distances = [float(((row - centre) ** 2).sum()) for centre in centres]
        assert distances[label] == pytest.approx(min(distances), abs=1e-5)
    for label, centre in enumerate(centres):
        mean = rows[labels == label].mean(0)
        np.testing.assert_allclose(centre, mean / np.linalg.norm(mean) if is_spherical else mean, atol=1e-5)


def test_k_means_with_fewer_different_rows_than_centres():
    labels, centres = k_means(np.ones((5, 3), np.float32), 4, np.random.default_rng(0))
    assert len(set(labels.tolist())) == 1 and centres.shape == (4, 3)
    labels, _ = k_means(np.eye(3, dtype=np.float32), 3, np.random.default_rng(0))
    assert sorted(labels.tolist()) == [0, 1, 2]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 12), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_pair_comes_once_and_as_many_batches_as_can_be_are_of_one_group(groups, size, seed):
    groups = np.array(groups)
    order = batches_of_groups(groups, size, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(groups)))
    assert np.array_equal(order, batches_of_groups(groups, size, np.random.default_rng(seed)))
    batches = [groups[order[i : i + size]] for i in range(0, len(order) // size * size, size)]
    n_pure = sum(len(set(batch.tolist())) == 1 for batch in batches)
    assert n_pure >= sum((groups == g).sum() // size for g in set(groups.tolist()))


def test_pairs_and_batches_come_in_random_order():
    """Which pair of its group comes first, and which group comes first: uniform by chi-square."""
    groups = np.repeat([0, 1], 6)
    first = np.zeros(12)
    for seed in range(1200):
        first[batches_of_groups(groups, 3, np.random.default_rng(seed))[0]] += 1
    assert chisquare(first).pvalue > 1e-3


@pytest.mark.parametrize("piece", ORDERS, ids=lambda p: p.key)
@pytest.mark.parametrize(("n_queries", "size"), [(1, 4), (9, 2), (9, 50)])
def test_every_order_is_a_permutation_and_leaves_its_inputs(piece, n_queries, size):
    corpus = make_corpus([f"text {i}" for i in range(12)], [f"q {i}" for i in range(n_queries)], [(q, q) for q in range(n_queries)])
    for tied in (False, True):
        context = make_context(corpus, seed=1, tied=tied)
        rows = np.arange(n_queries)
        before = context.vectors().queries.copy(), context.vectors().documents.copy()
        groups = piece().groups(context, rows, rows, size, np.random.default_rng(0))
        again = piece().groups(context, rows, rows, size, np.random.default_rng(0))
        assert groups is None if piece is Shuffled else np.array_equal(groups, again) and groups.shape == (n_queries,)
        order = piece().arrange(groups, n_queries, size, np.random.default_rng(5))
        assert sorted(order.tolist()) == rows.tolist() and order.dtype == np.int64
        assert np.array_equal(context.vectors().queries, before[0]) and np.array_equal(context.vectors().documents, before[1])


def test_topic_aware_clusters_queries_and_clustered_documents():
    """Vectors in which queries and documents fall into different clusters; a query with two answers stays one topic."""
    vectors, of = blobs(n_each=3)
    pairs = [(q, d) for q in range(12) for d in ((q, (q + 4) % 12) if q == 0 else (q,))]
    corpus = make_corpus([f"d{i}" for i in range(12)], [f"q{i}" for i in range(12)], pairs)
    context = make_context(corpus, seed=0)
    start = context.vectors("start")
    start.queries[:, :], start.documents[:, :] = 0, 0
    start.queries[:, :3], start.documents[:, :3] = vectors, vectors[::-1] * np.arange(1, 13)[:, None]
    query_rows, doc_rows = (np.array(side) for side in zip(*pairs, strict=True))
    topics = TopicAware(clusters=4).groups(context, query_rows, doc_rows, 2, np.random.default_rng(0))
    assert same_partition(topics, of[query_rows])
    by_document = Clustered(clusters=4).groups(context, query_rows, doc_rows, 2, np.random.default_rng(0))
    assert same_partition(by_document, of[::-1][doc_rows])
    by_query = Clustered(clusters=4, of="queries").groups(context, query_rows, doc_rows, 2, np.random.default_rng(0))
    assert same_partition(by_query, of[query_rows])


def test_the_number_of_clusters_follows_the_batch_unless_given():
    assert n_clusters(0, 1000, 1000, 50) == 10 and n_clusters(0, 1000, 1000, 4096) == 2 and n_clusters(7, 1000, 1000, 50) == 7
    assert n_clusters(7, 3, 1000, 50) == 3


def test_batches_of_a_trial_hold_one_topic_and_a_resumed_one_writes_the_same_bytes(tmp_path, tiny_corpus, monkeypatch):
    from core.train import trial

    for name in ("clustered-batches", "tas-b"):
        whole = make_trial(tmp_path / name, tiny_corpus, name, batch_size=4)
        run_trial(whole, threads=1, corpus=tiny_corpus)
        told = " ".join(e["text"] for e in events_of(whole, "log"))
        assert "clusters of" in told and "hold one cluster alone" in told
        broken = make_trial(tmp_path / f"{name}-broken", tiny_corpus, name, batch_size=4)
        calls = iter(range(1000))
        with pytest.raises(Stopped, match="step 3"):  # in the middle of the first epoch
            run_trial(broken, threads=1, corpus=tiny_corpus, should_stop=lambda calls=calls: next(calls) >= 3)
        run_trial(broken, threads=1, corpus=tiny_corpus)
        assert bytes_of(whole) == bytes_of(broken)
        setups = []
        prepare = trial.prepare
        monkeypatch.setattr(trial, "prepare", lambda *a, keep=setups, real=prepare: keep.append(real(*a)) or keep[-1])
        run_trial(make_trial(tmp_path / f"{name}-seen", tiny_corpus, name, batch_size=4, epochs=1), threads=1, corpus=tiny_corpus)
        monkeypatch.undo()
        setup = setups[0]
        orders = [np.random.default_rng(i).permutation(len(setup.groups)) for i in range(20)]
        at_random = np.mean([share_of_one_group(setup.groups, order, 4) for order in orders])
        assert share_of_one_group(setup.groups, setup.order(1), 4) > 2 * at_random
        assert not np.array_equal(setup.order(0), setup.order(1)) and np.array_equal(setup.order(1), setup.order(1))


def test_a_recipe_without_an_order_shuffles_as_ever():
    assert "order" not in Recipe().to_dict() and Recipe.from_dict(Recipe().to_dict()).order == Shuffled()
    expected = np.random.default_rng([3, 1, 2]).permutation(10)
    assert np.array_equal(Shuffled().arrange(None, 10, 4, np.random.default_rng([3, 1, 2])), expected)
    changed = apply_settings(preset("tas-b").recipe, ["order.clusters=7", "topic-aware.trial=abc"])
    assert (changed.order.clusters, changed.order.trial) == (7, "abc") and "Topic-aware batches (clusters 7" in changed.summary()
    assert apply_settings(Recipe(), ["order=clustered"]).order == Clustered()


def test_clusters_smaller_than_a_batch_are_told(tiny_corpus):
    recipe = apply_settings(preset("tas-b").recipe, ["order.clusters=12"])
    assert any("12 clusters of" in sentence for sentence in check_recipe(tiny_corpus, recipe, 8))
    assert not check_recipe(tiny_corpus, preset("tas-b").recipe, 8)
    alone = apply_settings(preset("gold").recipe, ["order=clustered", "passes=cross-batch"])
    assert any("clustered batches and cross-batch gives it no other" in sentence for sentence in check_recipe(tiny_corpus, alone, 2))
