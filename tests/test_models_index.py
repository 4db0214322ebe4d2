"""Indexes: one contract for all, exact when they look at everything, recall that grows with effort, equal bytes, and mining."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import ParameterError
from core.sampling.mine import mine_lane
from core.sampling.presets import preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import Dense, StaticDense
from core.sampling.windows import RankWindow
from core.search import index_kinds
from core.search.exact import top_k
from core.search.index import Index
from core.search.index_kinds import INDEXES, IVFPQ, Flat, Scann, ScannStyle, make_index
from tests.small import make_context, make_corpus
from tests.test_sampling_contract import assert_contract, worlds

HERE = [piece for piece in INDEXES if not piece.missing()]
APPROXIMATE = [piece for piece in HERE if piece is not Flat]


def vectors(n: int, dim: int, seed: int = 0) -> np.ndarray:
    """Random vectors in a few clusters, as texts lie."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(20, dim))
    return (centres[rng.integers(0, 20, n)] + 0.6 * rng.normal(size=(n, dim))).astype(np.float32)


def light(piece: type[Index]) -> Index:
    """The index with its defaults; product codes few enough to be learnt in a moment."""
    return piece(codes=6) if piece is IVFPQ else piece()


def everything(piece: type[Index]) -> Index:
    """The index with an effort at which it looks at every document of a few hundred."""
    made = piece().but(**{piece.effort: 1000}) if piece.effort else piece()
    if piece in (ScannStyle, Scann):
        return made.but(rerank=100)
    return made


@pytest.mark.parametrize("piece", INDEXES, ids=lambda p: p.key)
def test_a_piece_declares_lesson_source_and_bounds(piece):
    assert piece.family == "index" and piece.title and piece.source.url.startswith("https://")
    assert "How:" in piece.lesson() and "Fails" in piece.lesson() and piece.idea().endswith(".")
    for spec in piece.params():
        for bound, beyond in ((spec.ge, -1), (spec.le, 1)):
            piece().but(**{spec.name: spec.type(bound)})
            with pytest.raises(ParameterError, match=f"{piece.__name__}.{spec.name} must be"):
                piece().but(**{spec.name: spec.type(bound) + beyond})
    assert not piece.effort or set(piece.efforts) <= set(range(1, 20_001)) and len(piece.efforts) > 3
    assert len({index.key for index in INDEXES}) == len(INDEXES)


@pytest.mark.parametrize("similarity", ["dot", "cosine", "l2"])
@pytest.mark.parametrize("piece", HERE, ids=lambda p: p.key)
@given(n=st.integers(1, 40), k=st.integers(1, 50), dim=st.integers(1, 9), tied=st.booleans())
@settings(max_examples=6, deadline=None)
def test_hits_keep_the_contract(piece, similarity, n, k, dim, tied):
    documents = np.ones((n, dim), np.float32) if tied else vectors(n, dim, 1)
    queries = np.vstack([vectors(4, dim, 2), np.zeros((1, dim), np.float32)])
    before = documents.copy(), queries.copy()
    hits = piece().build(documents, similarity).search(queries, k)
    assert hits.doc_rows.shape == hits.scores.shape == (5, k) and hits.doc_rows.dtype == np.int64 and hits.scores.dtype == np.float32
    exact = top_k(queries, documents, n, similarity=similarity)
    for rows, scores, all_rows, all_scores in zip(hits.doc_rows, hits.scores, exact.doc_rows, exact.scores, strict=True):
        n_found = int((rows >= 0).sum())
        assert 1 <= n_found <= min(k, n) and (rows[n_found:] == -1).all() and np.isneginf(scores[n_found:]).all()
        found = rows[:n_found].tolist()
        assert len(set(found)) == n_found
        of = dict(zip(all_rows.tolist(), all_scores.tolist(), strict=True))
        assert [of[row] for row in found] == scores[:n_found].tolist(), "the exact scores, to the last bit"
        assert found == sorted(found, key=lambda row: (-of[row], row)), "best first, ties by document row"
    assert (documents == before[0]).all() and (queries == before[1]).all()


@pytest.mark.parametrize("similarity", ["cosine", "l2"])
@pytest.mark.parametrize("piece", [p for p in HERE if p is not IVFPQ], ids=lambda p: p.key)
def test_with_enough_effort_nothing_is_missed(piece, similarity):
    documents, queries = vectors(400, 16), vectors(30, 16, 5)
    found = everything(piece).build(documents, similarity).search(queries, 7)
    exact = top_k(queries, documents, 7, similarity=similarity)
    assert np.array_equal(found.doc_rows, exact.doc_rows) and np.array_equal(found.scores, exact.scores)


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.mean([len(set(a.tolist()) & set(b.tolist())) / len(b) for a, b in zip(found, exact, strict=True)]))


@pytest.mark.parametrize("piece", APPROXIMATE, ids=lambda p: p.key)
def test_recall_grows_with_effort_and_one_structure_serves_all(piece):
    documents, queries = vectors(1500, 24), vectors(60, 24, 5)
    exact = top_k(queries, documents, 10, similarity="cosine").doc_rows
    built = light(piece).build(documents, "cosine")
    assert built.n_bytes > 0 and built.seconds > 0
    little, much = (recall(built.at(effort).search(queries, 10).doc_rows, exact) for effort in (1, 256))
    assert little <= much and much > {"ivf-pq": 0.4, "scann-style": 0.75, "scann": 0.85}.get(piece.key, 0.95)
    if piece is Scann:  # its training takes no seed: no two structures are the same
        return
    alone = light(piece).but(**{piece.effort: 2}).build(documents, "cosine").search(queries, 10)
    assert np.array_equal(alone.doc_rows, built.at(2).search(queries, 10).doc_rows)
    with pytest.raises(ParameterError):
        built.at(0)


@pytest.mark.parametrize("piece", [p for p in APPROXIMATE if p is not Scann], ids=lambda p: p.key)  # whose training takes no seed
def test_equal_vectors_give_equal_structures_on_any_number_of_threads(piece):
    import faiss

    documents, queries = vectors(800, 16), vectors(20, 16, 5)
    one, other = (light(piece).build(documents, "cosine") for _ in range(2))
    assert np.array_equal(faiss.serialize_index(one.structure), faiss.serialize_index(other.structure))
    former = faiss.omp_get_max_threads()
    lists = [one.search(queries, 9, threads=n).doc_rows for n in (1, 2)]
    assert np.array_equal(*lists) and faiss.omp_get_max_threads() == former


def test_codes_are_smaller_than_vectors():
    documents = vectors(2000, 64)
    size = {piece.key: light(piece).build(documents, "cosine").n_bytes for piece in HERE}
    assert size["ivf-pq"] < size["flat"] / 2 < size["flat"] == documents.nbytes
    assert size["flat"] < size["ivf-flat"] < size["hnsw"] and size["scann-style"] > size["flat"]


@pytest.mark.parametrize("piece", HERE, ids=lambda p: p.key)
@given(world=worlds(), depth=st.integers(1, 12))
@settings(max_examples=6, deadline=None)
def test_a_lane_that_mines_by_an_index_keeps_the_contract(piece, world, depth):
    documents, queries, pairs, is_tied = world
    corpus = make_corpus(documents, queries, pairs)
    context = make_context(corpus, seed=1, tied=is_tied)
    for source in (Dense(index=piece.key), StaticDense(index=piece.key)):
        assert_contract(corpus, context, Lane(source=source, window=RankWindow(last=depth)))


def test_flat_is_the_search_of_before_and_leaves_recipes_as_they_were():
    recipe = preset("ance").recipe
    assert "index" not in recipe.to_dict()["mined"][0]["source"] and Recipe.from_dict(recipe.to_dict()) == recipe
    changed = Recipe(mined=(Lane(source=Dense(index="ivf-flat", index_settings="probes=2")),))
    assert changed.to_dict()["mined"][0]["source"] == {"key": "dense", "index": "ivf-flat", "index_settings": "probes=2"}
    assert Recipe.from_dict(changed.to_dict()) == changed and changed.key != Recipe(mined=(Lane(source=Dense()),)).key


def test_an_index_changes_which_negatives_are_mined_and_is_built_once_a_refresh(monkeypatch):
    corpus = make_corpus([f"text {i}" for i in range(300)], [f"q{i}" for i in range(20)], [(i, i) for i in range(20)])
    context = make_context(corpus, dim=8)
    made = []
    monkeypatch.setattr(index_kinds.IVFFlat, "build", lambda self, *a, _build=Index.build: made.append(self) or _build(self, *a))
    rows = np.arange(20)
    chosen = [Dense(), *(Dense(index="ivf-flat", index_settings="probes=1") for _ in range(2))]
    lanes = [Lane(source=source) for source in chosen]
    flat, few, again = (mine_lane(lane, context, rows, np.random.default_rng(0)).doc_rows for lane in lanes)
    assert len(made) == 1 and np.array_equal(few, again) and not np.array_equal(flat, few)
    everywhere = Lane(source=Dense(index="ivf-flat", index_settings="probes=60000"))
    assert np.array_equal(mine_lane(everywhere, context, rows, np.random.default_rng(0)).doc_rows, flat)


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("faiss", "", "index.key must be one of flat"),
        ("ivf-flat", "probes", "name=value"),
        ("ivf-flat", "ef_search=3", "has lists, probes"),
        ("hnsw", "ef_search=0", "HNSW.ef_search must be an int"),
        ("flat", "probes=1", "has no parameter"),
    ],
)
def test_settings_are_refused_with_the_rule(key, text, says):
    with pytest.raises(ParameterError, match=says):
        make_index(key, text)
    if key != "faiss":
        with pytest.raises(ParameterError, match=says):
            Dense(index=key, index_settings=text)


class FakeSearcher:
    """What the pybind builder of the scann package gives, by brute force, with its not-a-number for what it did not find."""

    def __init__(self, documents, metric):
        self.documents, self.metric, self.calls = documents, metric, []

    def __getattr__(self, name):
        def step(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return self

        return step

    def search_batched(self, queries, final_num_neighbors, pre_reorder_num_neighbors, leaves_to_search):
        assert leaves_to_search >= 1 and pre_reorder_num_neighbors >= final_num_neighbors
        hits = top_k(queries, self.documents, final_num_neighbors, similarity={"squared_l2": "l2"}.get(self.metric, "dot"))
        rows, scores = hits.doc_rows.astype(np.uint32), hits.scores.copy()
        scores[:, -1] = np.nan
        return rows, scores

    search_batched_parallel = search_batched


def test_the_scann_package_is_asked_as_it_wants_and_missed_with_the_remedy(monkeypatch):
    """By a stand-in, so that this is tested where the package has no build, too; the tests above use the package itself."""
    monkeypatch.setitem(sys.modules, "scann", None)
    monkeypatch.setattr(index_kinds.importlib.util, "find_spec", lambda name: sys.modules.get(name) and sys.modules[name].__spec__)
    assert Scann.missing().startswith("The package scann is not installed. Install it with pip install")
    with pytest.raises(ParameterError, match="scann-style"):
        Scann().build(vectors(10, 4), "cosine")
    from core.audit.doctor_fit import obstacles

    corpus = make_corpus(["a", "b"], ["x", "y"], [(0, 0)], [(1, 1)])
    recipe = Recipe(mined=(Lane(source=Dense(index="scann")),))
    assert any("Lane 1: The package scann" in sentence for sentence in obstacles(corpus, recipe))

    builder = types.SimpleNamespace(builder=lambda documents, k, metric: FakeSearcher(documents, metric))
    module = types.ModuleType("scann")
    module.scann_ops_pybind = builder
    module.__spec__ = types.SimpleNamespace(name="scann")
    monkeypatch.setitem(sys.modules, "scann", module)
    documents, queries = vectors(50, 6), vectors(5, 6, 3)
    built = Scann(rerank=3).build(documents, "cosine")
    hits = built.search(queries, 8, threads=1)
    exact = top_k(queries, documents, 8, similarity="cosine")
    assert np.array_equal(hits.doc_rows[:, :7], exact.doc_rows[:, :7]) and (hits.doc_rows[:, 7] == -1).all()
    names = [name for name, _, _ in built.structure[0].calls]
    assert names == ["set_n_training_threads", "tree", "score_ah", "reorder", "build"]
    assert not obstacles(corpus, recipe)
