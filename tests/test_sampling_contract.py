"""The contract of every piece: shapes, ranges, padding, seeds, untouched inputs, declared bounds; none is forgotten."""

from __future__ import annotations

import dataclasses
import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus.corpus import Corpus
from core.errors import ParameterError
from core.params import Citation, Piece
from core.sampling import (
    augmented,
    batch,
    batch_mined,
    distilled,
    filters,
    guided,
    order,
    passes,
    perturbation,
    pickers,
    positives,
    positives_extract,
    positives_log,
    positives_passages,
    positives_queries,
    positives_spans,
    positives_written,
    queues,
    schedule,
    signal,
    sources,
    sources_mined,
    weighting,
    windows,
    written,
)
from core.sampling.context import MiningContext, Vectors
from core.sampling.filters import FILTERS
from core.sampling.mine import mine_lane, pick, rows_at
from core.sampling.pickers import PICKERS
from core.sampling.presets import PRESETS
from core.sampling.recipe import FAMILIES, Lane, Recipe
from core.sampling.sources import SOURCES
from core.sampling.windows import RankWindow
from tests.small import make_context, make_corpus

ALL = [piece for pieces in FAMILIES.values() for piece in pieces]


MODULES = [
    augmented, batch, batch_mined, distilled, filters, guided, order, passes, perturbation, pickers, positives, positives_extract,
    positives_log, positives_passages, positives_queries, positives_spans, positives_written, queues, schedule, signal,
    sources, sources_mined, weighting, windows, written,
]


@pytest.mark.parametrize("module", MODULES)
def test_every_piece_of_a_module_is_in_its_tuple(module):
    found = {
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, Piece) and cls.__module__ == module.__name__ and dataclasses.is_dataclass(cls)
    }
    listed = {piece for piece in ALL if piece.__module__ == module.__name__}
    assert found == listed


@pytest.mark.parametrize("piece", ALL, ids=lambda p: f"{p.family}-{p.key}")
def test_a_piece_declares_title_lesson_source_and_bounds(piece):
    assert piece.key and piece.title and piece.family
    assert isinstance(piece.source, Citation) and piece.source.url.startswith("https://") and 1950 < piece.source.year < 2100
    assert piece.idea().endswith(".") and len(piece.lesson()) > len(piece.idea()) + 20
    made = piece()
    for spec in piece.params():
        assert spec.help
        for bound, beyond in ((spec.ge, -1), (spec.le, 1)):
            if bound is None:
                continue
            at = spec.type(bound)
            try:
                made.but(**{spec.name: at})
            except ParameterError as error:  # a rule that joins two parameters may still refuse the bound
                assert "must be" in str(error) and ">=" in str(error)
            with pytest.raises(ParameterError, match=f"{piece.__name__}.{spec.name} must be"):
                made.but(**{spec.name: at + beyond})
    with pytest.raises(ParameterError, match="has no parameter"):
        made.but(nonsense=1)


def test_keys_are_distinct_in_a_family():
    for pieces in FAMILIES.values():
        keys = [piece.key for piece in pieces]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("preset", PRESETS.values(), ids=lambda p: p.name)
def test_a_preset_survives_its_dictionary(preset):
    again = Recipe.from_dict(preset.recipe.to_dict())
    assert again == preset.recipe and again.key == preset.recipe.key
    assert preset.idea.endswith(".") and preset.source.url.startswith("https://")


def test_presets_are_different_recipes():
    assert len({preset.recipe.key for preset in PRESETS.values()}) == len(PRESETS)


def assert_contract(corpus: Corpus, context: MiningContext, lane: Lane) -> None:
    query_rows = corpus.split_query_rows("train")
    before = [a.copy() for a in (context.vectors().queries, context.vectors().documents)]
    table = mine_lane(lane, context, query_rows, np.random.default_rng(3))
    again = mine_lane(lane, context, query_rows, np.random.default_rng(3))
    assert np.array_equal(table.doc_rows, again.doc_rows), "same seed, same rows"
    q, c = table.doc_rows.shape
    assert q == len(query_rows) and c == lane.depth and table.doc_rows.dtype == np.int64
    is_real = table.doc_rows >= 0
    assert (np.diff(is_real.astype(int), axis=1) <= 0).all(), "-1 only at the end"
    assert table.doc_rows.max(initial=-1) < corpus.n_documents
    for row in table.doc_rows:
        real = row[row >= 0]
        assert len(set(real.tolist())) == len(real), "no repeat in a row"
    columns = pick(lane, table, np.random.default_rng(4))
    assert np.array_equal(columns, pick(lane, table, np.random.default_rng(4)))
    assert columns.shape == (q, lane.per_query)
    picked = rows_at(table, columns)
    assert (np.diff((picked >= 0).astype(int), axis=1) <= 0).all()
    for i, query_row in enumerate(query_rows):
        mine = set(picked[i][picked[i] >= 0].tolist())
        assert len(mine) == (picked[i] >= 0).sum(), "no repeat among the picks"
        assert not mine & set(corpus.positives.positives(query_row).tolist()), "never a known positive"
        n_free = int(table.is_kept[i].sum())
        assert len(mine) == min(lane.per_query, n_free), "as many as asked, or all that are left"
    assert sum(n for name, n in table.funnel() if name not in ("looked at",)) == dict(table.funnel())["looked at"]
    assert all(np.array_equal(a, b) for a, b in zip(before, (context.vectors().queries, context.vectors().documents), strict=True))
    assert table.table().num_rows == int(is_real.sum())


@st.composite
def worlds(draw):
    n_documents = draw(st.integers(1, 12))
    n_queries = draw(st.integers(1, 5))
    words = ["red", "blue", "green", "stone", "river", ""]
    documents = [" ".join(draw(st.lists(st.sampled_from(words), max_size=4))) for _ in range(n_documents)]
    queries = [" ".join(draw(st.lists(st.sampled_from(words), max_size=3))) for _ in range(n_queries)]
    pairs = [
        (q, d)
        for q in range(n_queries)
        for d in draw(st.lists(st.integers(0, n_documents - 1), min_size=1, max_size=n_documents, unique=True))
    ]
    is_tied = draw(st.booleans())
    return documents, queries, pairs, is_tied


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.key)
@given(world=worlds(), depth=st.integers(1, 20), k=st.integers(1, 4), which=st.integers(0, 11))
@settings(max_examples=25, deadline=None)
def test_every_source_filter_and_picker_keeps_the_contract(source, world, depth, k, which):
    documents, queries, pairs, is_tied = world
    corpus = make_corpus(documents, queries, pairs)
    context = make_context(corpus, seed=1, tied=is_tied)
    chosen = FILTERS[which % len(FILTERS)]()
    picker = PICKERS[which % len(PICKERS)]()
    last = max(depth, k)
    assert_contract(corpus, context, Lane(source=source(), window=RankWindow(last=last), filters=(chosen,), picker=picker, per_query=k))
    assert_contract(corpus, context, Lane(source=source(), window=RankWindow(last=last), picker=picker, per_query=k))


def test_a_lane_and_a_recipe_refuse_what_cannot_work():
    with pytest.raises(ParameterError, match="Lane.per_query must be an int"):
        Lane(per_query=0)
    with pytest.raises(ParameterError, match="Widen RankWindow.last"):
        Lane(source=sources.BM25Source(), window=RankWindow(first=5, last=6), per_query=3)
    with pytest.raises(ParameterError, match="RankWindow.last must be >= RankWindow.first"):
        RankWindow(first=9, last=8)
    with pytest.raises(ParameterError, match="Recipe has no negatives"):
        Recipe(batch=batch.NoBatch())
    with pytest.raises(ParameterError, match="source.key must be one of"):
        Recipe.from_dict({"mined": [{"source": {"key": "magic"}}]})
    with pytest.raises(ParameterError, match="no part 'extra'"):
        Recipe.from_dict({"extra": 1})


def test_vectors_score_padded_pairs_as_minus_infinity():
    vectors = Vectors(np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), "dot", "x")
    scores = vectors.score_pairs(np.array([0, 1]), np.array([[0, -1], [1, 0]]))
    assert scores.tolist() == [[1.0, -np.inf], [1.0, 0.0]]
