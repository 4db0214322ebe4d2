"""Mined negatives of the catalogue against plain loops; random ones against their exact law."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from core.sampling.mine import mine_lane, pick
from core.sampling.pickers import TriSampler, Uniform
from core.sampling.recipe import Lane
from core.sampling.sources import BM25Source, Dense
from core.sampling.windows import RankWindow
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
