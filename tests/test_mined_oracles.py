"""Mined negatives of the catalogue against plain loops; random ones against their exact law."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import chisquare

from core.audit.doctor_fit import obstacles
from core.corpus.corpus import Corpus
from core.corpus.impressions import Impressions
from core.corpus.load import load_corpus
from core.sampling.mine import mine_lane, pick
from core.sampling.pickers import TriSampler, Uniform
from core.sampling.presets import PRESETS, preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import BM25Source, Dense, Popularity, RandomCorpus
from core.sampling.sources_mined import Cluster, Context, LookAhead, Momentum, NotClicked
from core.sampling.windows import RankWindow
from core.search.kmeans import k_means
from tests.small import make_context, make_corpus

TEXTS = [f"topic {i % 5} word{i} word{i * 7 % 11}" for i in range(30)]
QUERIES = [f"word{i} topic {i % 5}" for i in range(6)]
PAIRS = [(0, 0), (0, 5), (1, 1), (2, 2), (3, 3), (4, 4), (5, 29)]


@pytest.fixture
def context():
    return make_context(make_corpus(TEXTS, QUERIES, PAIRS), seed=5)


def cosine(a, b) -> float:
    a, b = a.astype(float), b.astype(float)
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_trisampler_draws_by_its_formula(context):
    picker = TriSampler(spread=0.5)
    lane = Lane(source=Dense(), window=RankWindow(last=20), picker=picker, per_query=1)
    table = mine_lane(lane, context, np.arange(6), np.random.default_rng(0))
    vectors = context.vectors()
    law = np.zeros(table.doc_rows.shape)
    for (i, j), d in np.ndenumerate(table.doc_rows):
        own = vectors.documents[table.positive_rows[i]]
        s, plus = cosine(vectors.queries[i], vectors.documents[d]), cosine(vectors.queries[i], own)
        law[i, j] = max(cosine(own, vectors.documents[d]) - s, 0) * np.exp(-((s - plus) ** 2) / 0.5) * table.is_kept[i, j]
    drawn = np.zeros(law.shape)
    rng = np.random.default_rng(1)
    for _ in range(4000):
        np.add.at(drawn, (np.arange(6), pick(lane, table, rng)[:, 0]), 1)
    assert (law.sum(1) > 0).all() and (law[table.is_kept] == 0).any(), "some lie outside of the triangle, some inside"
    assert drawn[law == 0].sum() == 0
    for counts, weights in zip(drawn, law, strict=True):
        chosen = weights > 0
        assert chisquare(counts[chosen], 4000 * weights[chosen] / weights[chosen].sum()).pvalue > 1e-4


def test_trisampler_takes_what_lies_outside_only_when_nothing_else_is_left():
    scores = np.array([[0.9, 0.8, 0.7]], np.float32)
    likeness = np.array([[0.5, 0.9, 0.1]], np.float32)
    rng = np.random.default_rng(0)
    taken = [TriSampler().pick(scores, np.array([0.8], np.float32), np.ones((1, 3), bool), 2, rng, likeness)[0] for _ in range(50)]
    assert {int(t[0]) for t in taken} == {1} and {int(t[1]) for t in taken} == {0, 2}


def test_likeness_is_scored_on_the_sources_scale_and_only_for_who_asks(context):
    table = mine_lane(Lane(source=BM25Source(), picker=TriSampler()), context, np.arange(6), np.random.default_rng(0))
    for (i, j), d in np.ndenumerate(table.doc_rows):
        if d >= 0:
            found = context.bm25.score_pairs([TEXTS[table.positive_rows[i]]], np.array([0]), np.array([d]))
            assert table.likeness[i, j] == found[0]
    assert "likeness" in table.table().column_names
    plain = mine_lane(Lane(source=BM25Source(), picker=Uniform()), context, np.arange(6), np.random.default_rng(0))
    assert plain.likeness is None and "likeness" not in plain.table().column_names


def logged(**more) -> Corpus:
    """The thirty texts with a field and a log: sources repeat every seven documents, document 8 belongs to none."""
    plain = make_corpus(TEXTS, QUERIES, PAIRS)
    sources = ["" if i == 8 else f"s{i % 7}" for i in range(30)]
    documents = plain.documents.append_column("source", pa.array(sources))
    return Corpus("logged", documents, plain.queries, plain.splits, **more)


def mined(source, corpus_or_context, last=30, rows=range(6), **more):
    context = corpus_or_context if not isinstance(corpus_or_context, Corpus) else make_context(corpus_or_context, seed=5)
    table = mine_lane(Lane(source=source, window=RankWindow(last=last), **more), context, np.array(rows), np.random.default_rng(2))
    return [row[row >= 0].tolist() for row in table.doc_rows], context, table


@pytest.mark.parametrize("around", ["positive", "query"])
def test_cluster_members_are_the_clusters_best_for_the_query(context, around):
    found, _, table = mined(Cluster(around=around, clusters=5), context, last=9)
    vectors = context.vectors()
    labels, centres = k_means(vectors.documents, 5, np.random.default_rng(2), is_spherical=True)
    for q in range(6):
        own = vectors.queries[q] / np.linalg.norm(vectors.queries[q])
        wanted = {int(labels[d]) for p, d in PAIRS if p == q}
        if around == "query":
            wanted = {int(((centres - own) ** 2).sum(1).argmin())}
        members = [d for d in range(30) if labels[d] in wanted]
        expected = sorted(members, key=lambda d: (-cosine(vectors.queries[q], vectors.documents[d]), d))[:9]
        assert found[q] == expected
        assert table.scores[q, 0] == pytest.approx(cosine(vectors.queries[q], vectors.documents[found[q][0]]), abs=1e-6)
    assert Cluster(model="current").is_dynamic and not Cluster().is_dynamic


def test_context_negatives_are_the_other_passages_of_the_same_source():
    corpus = logged()
    found, _, _ = mined(Context(), corpus)
    sources = corpus.documents["source"].to_pylist()
    for q in range(6):
        own = {sources[d] for p, d in PAIRS if p == q} - {""}
        assert found[q] == [d for d in range(30) if sources[d] in own]
    nobody = Corpus("x", corpus.documents, corpus.queries, {"train": make_corpus(TEXTS, QUERIES, [(0, 8)]).splits["train"]})
    assert mined(Context(), nobody, rows=[0])[0] == [[]], "a passage without a source has no neighbours"


def test_what_a_corpus_lacks_is_said_before_training():
    plain, recipe = make_corpus(TEXTS, QUERIES, PAIRS, [(0, 0)]), preset("context").recipe
    assert any("this corpus has no 'source' (it has no further fields)" in why for why in obstacles(plain, recipe))
    assert not any("field" in why for why in obstacles(logged(), recipe))
    own = plain.documents.append_column("source", pa.array([f"s{i}" for i in range(30)]))
    assert "of its own" in Context().lacks(Corpus("x", own, plain.queries, plain.splits), recipe)
    assert any("no log of impressions" in why for why in obstacles(plain, preset("impressions").recipe))
    alone = Recipe(mined=(Lane(source=Momentum()),))
    assert any("Add a lane with source=dense" in why for why in obstacles(plain, alone))
    for name in ("context", "impressions", "ance-tele", "cluster"):
        assert not obstacles(load_corpus("sample:lab"), preset(name).recipe)


def the_log() -> Impressions:
    rows = [(0, 3, 1, 0, 0), (0, 4, 2, 1, 0), (0, 6, 3, 0, 0), (0, 7, 1, 0, 1), (0, 4, 2, 0, 1)]
    rows += [(2, 9, 4, 0, 2), (2, 8, 2, 0, 2), (0, 6, 1, 0, 3), (0, 9, 2, 1, 3)]
    return Impressions.of(*np.array(rows).T, 6)


def test_non_clicked_impressions_equal_a_plain_loop():
    corpus = logged(impressions=the_log())
    found, _, _ = mined(NotClicked(), corpus)
    assert found == [[3, 6, 7], [], [8, 9], [], [], []], "4 and 9 were clicked in some session of query 0; best position first"
    above, _, _ = mined(NotClicked(above_click=True), corpus)
    assert above == [[3, 6], [], [], [], [], []], "6 stood above a click in session 3 only; session 1 and 2 saw no click"
    lab = load_corpus("sample:lab")
    found, _, _ = mined(NotClicked(), lab, rows=range(40))
    log = lab.impressions
    rows = list(zip(*(array.tolist() for array in log.arrays()), strict=True))
    for q in range(40):
        clicked = {d for a, d, _, c, _ in rows if a == q and c}
        assert set(found[q]) == {d for a, d, *_ in rows if a == q} - clicked


def test_neighbours_of_the_positive_equal_a_plain_loop(context):
    found, _, table = mined(LookAhead(), context, last=7)
    vectors = context.vectors()
    for q in range(6):
        best = {d: max(cosine(vectors.documents[p], vectors.documents[d]) for a, p in PAIRS if a == q) for d in range(30)}
        ranked = [sorted(best, key=lambda d, p=p: -cosine(vectors.documents[p], vectors.documents[d])) for a, p in PAIRS if a == q]
        mentioned = {d for of in ranked for d in of[:7]}
        assert found[q] == sorted(mentioned, key=lambda d: (-best[d], d))[:7]
    assert table.scores[1, 3] == pytest.approx(cosine(vectors.queries[1], vectors.documents[found[1][3]]), abs=1e-6)


def test_momentum_repeats_the_last_refresh_and_begins_with_bm25(context):
    found, _, _ = mined(Momentum(), context, last=5)
    hits = context.bm25.search(QUERIES, 5).doc_rows
    assert found == [row[row >= 0].tolist() for row in hits]
    context.earlier = {"dense": (np.arange(6), np.arange(6)[:, None] + np.arange(8))}
    found, _, _ = mined(Momentum(), context, last=5, rows=[1, 4])
    assert found == [[1, 2, 3, 4, 5], [4, 5, 6, 7, 8]]


@pytest.mark.parametrize("per_query", [1, 3])
def test_popularity_follows_its_law(per_query):
    pairs = [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (5, 2), (5, 3)]
    context = make_context(make_corpus(TEXTS[:6], QUERIES, pairs), seed=1)
    source = Popularity(power=0.5, smoothing=1.0)
    weights = np.sqrt(1 + np.array([1, 2, 3, 1, 0, 0]))
    weights[0] = 0  # the positive of query 0
    law = {}

    def draw(taken, share):
        if len(taken) == per_query:
            law[taken] = law.get(taken, 0) + share
            return
        left = [d for d in range(6) if weights[d] and d not in taken]
        for d in left:
            draw((*taken, d), share * weights[d] / weights[left].sum())

    draw((), 1.0)
    counts = dict.fromkeys(law, 0)
    rows = Popularity.retrieve(source, context, np.zeros(6000, np.int64), per_query, np.random.default_rng(3)).doc_rows
    for row in rows.tolist():
        counts[tuple(row)] += 1
    assert chisquare(list(counts.values()), [6000 * law[key] for key in counts]).pvalue > 1e-4
    only = mined(Popularity(), context, rows=[0], per_query=2)[2].doc_rows
    assert set(only[0].tolist()) <= {1, 2, 3}, "without smoothing nobody's positive is never drawn"


def test_mns_is_one_softmax_over_the_batch_and_a_uniform_sample():
    recipe = preset("mns").recipe
    assert recipe.batch.shares_mined and [lane.source for lane in recipe.mined] == [RandomCorpus()]
    star = preset("star").recipe
    assert star.batch.shares_mined and not star.mined[0].source.is_dynamic and star.schedule.key == "once"
    seeds = {"cluster", "impressions"}
    assert {name for name in seeds | {"context", "mns", "popularity", "star", "ance-tele"} if PRESETS[name].is_seed_named} == seeds


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_a_source_that_scores_by_the_model_is_not_scored_twice(similarity):
    corpus = logged(impressions=the_log())
    context = make_context(corpus, seed=5, similarity=similarity)
    rows = np.array([0, 1, 2, 5])
    for source in (Dense(), RandomCorpus(), Popularity(), LookAhead(), Momentum(), Context(), NotClicked()):
        table = mine_lane(Lane(source=source, per_query=4), context, rows, np.random.default_rng(0))
        vectors = context.vectors("current")
        assert np.array_equal(table.model_scores, vectors.score_pairs(rows, table.doc_rows))
        assert np.array_equal(table.model_positive_scores, vectors.score_pairs(rows, table.positive_rows))
