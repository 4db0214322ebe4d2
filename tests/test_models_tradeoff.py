"""The index trade-off: figures against plain loops, the negatives against a real lane, the command, the page in its states."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.audit.index_tradeoff import advice, as_dict, kept_negatives, measure_index, tradeoff, yardstick
from core.cli import main
from core.errors import CorpusError, ParameterError
from core.sampling.context import CorpusIndex, MiningContext, Vectors
from core.sampling.mine import mine_lane
from core.sampling.recipe import Lane
from core.sampling.sources import Dense
from core.sampling.windows import RankWindow
from core.search.exact import top_k
from core.search.index_kinds import HNSW, INDEXES, Flat, IVFFlat, Scann
from tests.small import make_corpus
from tests.test_page_negatives import _clean, corpus_link, train, words  # noqa: F401


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(3)
    pairs = [(q, q) for q in range(40)] + [(q, 100 + q) for q in range(20)]
    corpus = make_corpus([f"text {i % 350}" for i in range(400)], [f"q {i}" for i in range(50)], pairs)
    documents = rng.normal(size=(400, 12)).astype(np.float32)
    return corpus, Vectors(rng.normal(size=(50, 12)).astype(np.float32), documents, "cosine", "random")


def test_figures_equal_plain_loops_and_a_real_lane(small):
    corpus, vectors = small
    stick = yardstick(corpus, vectors, k=20, first=3, last=30, n_queries=25)
    assert len(stick.query_rows) == 25 and stick.depth == 30 and set(stick.query_rows) <= set(range(40))
    own = next(one for one in measure_index(stick, IVFFlat(probes=2)) if one.is_default)
    assert (own.key, own.effort, own.value, own.label) == ("ivf-flat", "probes", 2, "IVF-Flat, probes 2")
    queries = vectors.queries[stick.query_rows]
    found = IVFFlat(probes=2).build(vectors.documents, "cosine").search(queries, 30).doc_rows
    exact = top_k(queries, vectors.documents, 30, similarity="cosine").doc_rows
    of_10 = [len(set(a.tolist()) & set(b[:10].tolist())) / 10 for a, b in zip(found, exact, strict=True)]
    of_20 = [len(set(a[:20].tolist()) & set(b[:20].tolist())) / 20 for a, b in zip(found, exact, strict=True)]
    assert own.recall_10 == pytest.approx(np.mean(of_10)) and own.recall_k == pytest.approx(np.mean(of_20)) and own.recall_k < 1
    context = MiningContext(corpus, lambda which: vectors)
    sets = []
    for source in (Dense(index="ivf-flat", index_settings="probes=2"), Dense()):
        table = mine_lane(Lane(source=source, window=RankWindow(first=3, last=30)), context, stick.query_rows, np.random.default_rng(0))
        sets.append([set(rows[kept].tolist()) for rows, kept in zip(table.doc_rows, table.is_kept, strict=True)])
    assert own.jaccard == pytest.approx(np.mean([len(a & b) / len(a | b) for a, b in zip(*sets, strict=True)]))
    assert own.n_short == sum((row < 0).any() for row in found)


def test_flat_is_the_measure_of_all_and_effort_pays(small):
    corpus, vectors = small
    stick = yardstick(corpus, vectors, k=10, last=20)
    figures = tradeoff(stick, [Flat(), HNSW(), IVFFlat()])
    flat = figures[0]
    assert (flat.recall_10, flat.recall_k, flat.jaccard, flat.n_short) == (1, 1, 1, 0) and flat.query_ms == stick.flat_ms
    assert flat.n_bytes == vectors.documents.nbytes
    for key in ("hnsw", "ivf-flat"):
        own = [one for one in figures if one.key == key]
        assert [one.value for one in own] == sorted({one.value for one in own}) and sum(one.is_default for one in own) == 1
        assert own[0].recall_k <= own[-1].recall_k and own[-1].jaccard == pytest.approx(1, abs=0.02)
        assert len({one.build_seconds for one in own}) == 1 and all(one.query_ms > 0 for one in own)
    assert json.loads(json.dumps(as_dict(stick, figures)))["indexes"][0]["key"] == "flat"
    assert advice(stick, figures).endswith(".") and advice(stick, [flat]).startswith("No setting")


@pytest.fixture
def without_scann(monkeypatch):
    monkeypatch.setattr(Scann, "missing", classmethod(lambda cls: "The package scann is not installed."))


def test_what_is_missing_is_told_and_left_out(small, without_scann):
    lines: list[str] = []
    assert tradeoff(yardstick(*small), [Scann()], lines.append) == []
    assert "left out: The package scann is not installed" in lines[0]


def test_numbers_and_corpora_that_cannot_be_measured_are_refused(small):
    corpus, vectors = small
    for changes in ({"k": 0}, {"n_queries": 0}, {"first": 5, "last": 4}):
        with pytest.raises(ParameterError):
            yardstick(corpus, vectors, **changes)
    with pytest.raises(CorpusError, match="qrels/train.tsv"):
        yardstick(make_corpus(["a"], ["b"], []), vectors)


def test_kept_negatives_are_no_positive_no_copy_and_inside_the_window(small):
    corpus, vectors = small
    rows = np.arange(10)
    hits = top_k(vectors.queries[rows], vectors.documents, 400, similarity="cosine")
    kept = kept_negatives(hits, rows, CorpusIndex(corpus), RankWindow(first=2, last=399))
    assert (kept[:, [0, -1]] == -1).all()
    for q, row in enumerate(kept):
        assert not set(row.tolist()) & {q, 350 + q}, "the positive and the document with its text"


def test_the_command_prints_a_table_and_json(capsys, tiny_folder, workspace):
    code = main(["index", str(tiny_folder), "--k", "10", "--last", "20", "--indexes", "flat,ivf-flat", "--json"])
    out = capsys.readouterr().out
    answer = json.loads(out.strip().splitlines()[-1])
    assert code == 0 and answer["documents"] == 60 and answer["window"] == [1, 20]
    assert {one["key"] for one in answer["indexes"]} == {"flat", "ivf-flat"} and "* IVF-Flat, probes 8" in out
    assert main(["index", str(tiny_folder), "--indexes", "faiss"]) == 2
    assert "index.key must be one of flat" in capsys.readouterr().err


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/indexes.py"), default_timeout=60)
    for key, value in params.items():
        at.query_params[key] = value
    at.run()
    return at


def test_without_a_corpus_the_way_is_offered(root):
    at = page(root)
    assert not at.exception and "Choose a corpus" in {b.label for b in at.button}


def test_the_page_measures_once_and_keeps_the_figures(root, corpus_link, train, without_scann):  # noqa: F811
    trial = train("in-batch")
    at = page(root, corpus=corpus_link, by=trial, k="10", last="10")
    assert not at.exception and not at.error and not at.dataframe
    assert sum("Not here: The package scann" in c.value for c in at.caption) == 1
    next(b for b in at.button if b.label == "Measure the indexes").click().run()
    assert not at.exception and not at.error
    shown = at.dataframe[0].value
    assert set(shown["index"]) == {index.title for index in INDEXES if not index.missing()}
    assert shown[shown["index"] == Flat.title]["Jaccard"].tolist() == [1.0]
    again = page(root, corpus=corpus_link, by=trial, k="10", last="10")
    assert again.dataframe[0].value.equals(shown), "kept on this server"
    assert not {"Measure the indexes", "Go on measuring"} & {b.label for b in again.button}
    assert not page(root, corpus=corpus_link, by=trial, k="50", last="10").dataframe, "another depth is another measurement"


def test_a_page_that_was_left_goes_on_where_it_was(root, corpus_link, train):  # noqa: F811
    from pages.ui.indexes_data import _kept

    trial = train("in-batch")
    at = page(root, corpus=corpus_link, by=trial, k="10", last="10")
    at.button(key="indexes.measure").click().run()
    found = list(_kept().values())[-1]
    del found.figures["hnsw"]
    at = page(root, corpus=corpus_link, by=trial, k="10", last="10")
    assert len(at.dataframe[0].value) >= 4 and at.button(key="indexes.measure").label == "Go on measuring"
    at.button(key="indexes.measure").click().run()
    assert not at.exception and found.is_complete


@pytest.mark.parametrize("params", [{"k": "7", "by": "../x", "first": "0"}, {"first": "90", "last": "10", "k": "<b>"}])
def test_hostile_links_never_break_the_page(root, corpus_link, params):  # noqa: F811
    at = page(root, corpus=corpus_link, **params)
    assert not at.exception
    at.button(key="indexes.measure").click().run()
    assert not at.exception
