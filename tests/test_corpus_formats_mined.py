"""Mined sets keep their negatives: in each library's own shape, ranks, scores and order against plain loops."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from core.audit.imported import imported_candidates
from core.corpus.corpus import Corpus
from core.corpus.load import load_corpus
from core.corpus.write import write_beir
from core.errors import CorpusError
from tests import corpus_exports as out

N, K = 12, 3


def passages(i: int) -> tuple[str, str, list[str]]:
    """Query, positive and negatives of item i; the negatives of item 5 hold its own positive."""
    negatives = [f"passage {(i + j) % N}" for j in range(1, K + 1)]
    return f"question {i}", f"passage {i}", negatives if i != 5 else ["passage 5", *negatives[:2]]


def shapes() -> dict[str, tuple[str, list[dict]]]:
    """By library's shape: the name that its negatives get, and the records."""
    items = [passages(i) for i in range(N)]
    return {
        "triplet": ("triplet", [{"anchor": q, "positive": p, "negative": n} for q, p, ns in items for n in ns]),
        "n-tuple": ("n-tuple", [{"anchor": q, "positive": p} | {f"negative_{j + 1}": n for j, n in enumerate(ns)} for q, p, ns in items]),
        "n-tuple scores": (
            "n-tuple",
            [
                {"query": q, "answer": p} | {f"negative_{j + 1}": n for j, n in enumerate(ns)} | {"scores": [0.9, 0.8, 0.5, 0.25]}
                for q, p, ns in items
            ],
        ),
        "labeled-pair": (
            "labeled pair",
            [{"anchor": q, "positive": text, "label": int(j == 0)} for q, p, ns in items for j, text in enumerate([p, *ns])],
        ),
        "labeled-list": ("labeled list", [{"anchor": q, "positive": [p, *ns], "labels": [1, 0, 0, 0]} for q, p, ns in items]),
        "labeled-list scores": (
            "labeled list",
            [{"anchor": q, "positive": [p, *ns], "scores": [0.9, 0.8, 0.5, 0.25]} for q, p, ns in items],
        ),
        "FlagEmbedding": (
            "FlagEmbedding",
            [
                {"query": q, "pos": [p], "neg": ns, "pos_scores": [0.9], "neg_scores": [0.8, 0.5, 0.25], "type": "normal"}
                for q, p, ns in items
            ],
        ),
        "Tevatron": (
            "Tevatron",
            [
                {
                    "query_id": str(i),
                    "query": q,
                    "positive_passages": [{"docid": p.split()[1], "title": "", "text": p}],
                    "negative_passages": [{"docid": n.split()[1], "title": "", "text": n} for n in ns],
                }
                for i, (q, p, ns) in enumerate(items)
            ],
        ),
        "DPR": (
            "DPR",
            [
                {"question": q, "positive_ctxs": [{"title": "", "text": p}], "hard_negative_ctxs": [{"text": n} for n in ns]}
                for q, p, ns in items
            ],
        ),
    }


@pytest.mark.parametrize("shape", list(shapes()))
def test_negatives_come_along_in_order(shape, tmp_path):
    source, records = shapes()[shape]
    corpus = load_corpus(out.write_jsonl(records, tmp_path / "mined.jsonl"), cache=tmp_path / "cache")
    found = corpus.imported
    assert found is not None and found.source == source and corpus.n_queries == corpus.n_documents == N
    for i in range(N):
        question, positive, negatives = passages(i)
        row = corpus.query_texts().index(question)
        is_own = found.query_rows == row
        assert corpus.document_texts(found.doc_rows[is_own]) == negatives and found.ranks[is_own].tolist() == [1, 2, 3]
        assert corpus.document_texts(corpus.positives.positives(row)) == [positive]
        if "scores" in shape or shape == "FlagEmbedding":
            assert np.allclose(found.scores[is_own], [0.8, 0.5, 0.25]) and np.isclose(found.positive_scores[row], 0.9)
        else:
            assert np.isnan(found.scores[is_own]).all()
    assert not any(table.grades.min(initial=1) < 1 for table in corpus.splits.values())  # mined is not judged
    again = load_corpus(write_beir(corpus, tmp_path / "beir"))
    assert again.fingerprint == corpus.fingerprint and again.imported == found


def test_parquet_and_jsonl_agree(tmp_path):
    records = shapes()["Tevatron"][1]
    a = load_corpus(out.write_jsonl(records, tmp_path / "m.jsonl"))
    assert a.fingerprint == load_corpus(out.write_parquet(records, tmp_path / "m.parquet")).fingerprint


def test_the_fingerprint_tells_them_and_only_them(tmp_path):
    corpus = load_corpus(out.write_jsonl(shapes()["triplet"][1], tmp_path / "m.jsonl"))
    bare = Corpus("x", corpus.documents, corpus.queries, corpus.splits)
    assert bare.fingerprint != corpus.fingerprint
    corpus.save(tmp_path / "saved")
    assert Corpus.open(tmp_path / "saved").imported == corpus.imported


def test_the_table_for_inspection(tmp_path):
    records = [r | {"negative_2": r["negative_1"]} for r in shapes()["n-tuple"][1]]  # a repeat counts once
    corpus = load_corpus(out.write_jsonl(records, tmp_path / "m.jsonl"))
    table = imported_candidates(corpus)
    assert table.doc_rows.shape == (N, 2) and dict(table.funnel()) == {
        "looked at": 24, "known-positive": 1, "identical-to-positive": 0, "kept": 23,
    }  # fmt: skip
    five = corpus.query_texts().index("question 5")
    assert table.verdicts[five].tolist() == [1, 0] and table.ranks[five].tolist() == [1, 2]
    assert (table.positive_rows == [corpus.positives.positives(q)[0] for q in range(N)]).all()
    assert table.table().num_rows == 24
    some = imported_candidates(corpus, np.array([five, 0]))
    assert some.doc_rows.tolist() == table.doc_rows[[five, 0]].tolist()


def test_a_copy_of_a_positive_under_another_id_is_named(tmp_path):
    records = [dict(r, negative_passages=[{"docid": f"copy{i}", "text": f"passage {i}"}]) for i, r in enumerate(shapes()["Tevatron"][1])]
    table = imported_candidates(load_corpus(out.write_jsonl(records, tmp_path / "m.jsonl")))
    assert dict(table.funnel()) == {"looked at": N, "known-positive": 0, "identical-to-positive": N, "kept": 0}


def test_a_corpus_without_negatives_has_nothing_to_inspect(tiny_corpus):
    with pytest.raises(CorpusError, match="came without negatives"):
        imported_candidates(tiny_corpus)


def test_labels_must_fit(tmp_path):
    records = [{"anchor": "a", "positive": ["x", "y"], "labels": [1]}, {"anchor": "a", "positive": "x", "label": "maybe"}]
    for i, record in enumerate(records):
        with pytest.raises(CorpusError, match="labels for 2 passages|must be a whole number"):
            load_corpus(out.write_jsonl([record], tmp_path / f"{i}.jsonl"))


class FakeDataset:
    """The calls of an ir_datasets data set that the reader makes, as ir_datasets 0.6 has them."""

    def __init__(self, docs=(), queries=(), qrels=()):
        self.docs, self.queries, self.qrels = docs, queries, qrels

    def __getattr__(self, name):
        kind = name.removeprefix("has_").removesuffix("_iter")
        return (lambda: bool(self.__dict__[kind])) if name.startswith("has_") else (lambda: iter(self.__dict__[kind]))


def test_ir_datasets_through_its_calls(monkeypatch, tmp_path):
    docs = [SimpleNamespace(doc_id=f"d{i}", title=f"t{i}", text=f"text {i}", _fields=("doc_id", "title", "text")) for i in range(8)]
    queries = [SimpleNamespace(query_id=f"q{i}", text=f"question {i}", _fields=("query_id", "text")) for i in range(8)]
    qrels = [SimpleNamespace(query_id=f"q{i}", doc_id=f"d{i}", relevance=1, iteration="0") for i in range(8)]
    sets = {
        "mine": FakeDataset(docs),
        "mine/train": FakeDataset(docs, queries[:5], qrels[:5]),
        "mine/test": FakeDataset(docs, queries[5:], qrels[5:]),
    }
    fake = ModuleType("ir_datasets")
    fake.load, fake.registry = sets.__getitem__, list(sets)
    monkeypatch.setitem(sys.modules, "ir_datasets", fake)
    corpus = load_corpus("irds:mine", cache=tmp_path)
    assert out.split_sizes(corpus) == {"train": 5, "test": 3} and corpus.document_texts([0]) == ["t0 text 0"]
    assert out.split_sizes(load_corpus("irds:mine/train")) == {"train": 4, "test": 1}
    with pytest.raises(CorpusError, match="knows no such data set"):
        load_corpus("irds:other")


def test_ir_datasets_itself_reads_local_files(tmp_path):
    ir_datasets = pytest.importorskip("ir_datasets")
    (tmp_path / "docs.tsv").write_text("".join(f"d{i}\ttext {i}\n" for i in range(8)))
    (tmp_path / "queries.tsv").write_text("".join(f"q{i}\tquestion {i}\n" for i in range(8)))
    (tmp_path / "qrels").write_text("".join(f"q{i} 0 d{i} 1\n" for i in range(8)))
    made = ir_datasets.create_dataset(str(tmp_path / "docs.tsv"), str(tmp_path / "queries.tsv"), str(tmp_path / "qrels"))
    ir_datasets.registry.register("negspace-test", made)
    corpus = load_corpus("irds:negspace-test")
    assert corpus.document_texts([3]) == ["text 3"] and out.split_sizes(corpus) == {"train": 6, "test": 2}


def test_hub_data_sets_from_a_local_folder(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    data = tmp_path / "set"
    data.mkdir()
    records = shapes()["n-tuple scores"][1]
    out.write_jsonl(records[:8], data / "train.jsonl")
    out.write_jsonl(records[8:], data / "test.jsonl")
    corpus = load_corpus(f"hf:{data}", cache=tmp_path / "corpora")
    assert out.split_sizes(corpus) == {"train": 8, "test": 4} and len(corpus.imported) == N * K
    with pytest.raises(CorpusError, match="cannot be loaded"):
        load_corpus("hf:nobody/no-such-data-set")


@pytest.mark.parametrize(("spec", "extra"), [("irds:beir/scifact", "irds"), ("hf:squad", "hub")])
def test_a_missing_library_is_one_sentence(monkeypatch, spec, extra):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(CorpusError) as caught:
        load_corpus(spec)
    assert f"pip install 'negspace[{extra}]'" in str(caught.value) and "\n" not in str(caught.value)
