"""Bundles: whole, equal bytes, opened elsewhere with the same pages behind them, and refused when they are hostile."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from core.corpus.limits import Limits
from core.corpus.load import load_corpus
from core.errors import CorpusError, TrialError, UserError
from core.lab import adoption
from core.lab.bundle import bring_in, open_bundle, portable_spec, write_bundle
from core.lab.bundle_check import MANIFEST
from core.lab.corpora import add_corpus, list_corpora, spec_of_corpus
from core.lab.store import Store
from core.lab.workspace import Workspace
from core.train.results import TrialResults
from tests.trained import train_tiny


@pytest.fixture(scope="module")
def trial(tiny_corpus, tiny_folder, tmp_path_factory):
    """A finished trial as the workspace's own way makes one."""
    folder = tmp_path_factory.mktemp("origin") / "trials" / "20261121-abc123"
    train_tiny(tiny_corpus, tiny_folder, folder, "ance", encoder={"key": "char-ngram", "dim": 8, "buckets": 256})
    (folder / "checkpoint").mkdir(exist_ok=True)
    (folder / "checkpoint" / "big.npz").write_bytes(b"x")
    (folder / "worker.log").write_text("/home/somebody/secret")
    about = json.loads((folder / "trial.json").read_text())
    (folder / "trial.json").write_text(json.dumps(about | {"owner": "0123", "created": 1000.0, "recipe_title": "ANCE"}))
    return folder


@pytest.fixture(scope="module")
def bundle(trial, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "trial.zip"
    write_bundle(trial, out, with_corpus=True)
    return out


@pytest.fixture
def store(tmp_path):
    found = Store(Workspace(tmp_path / "elsewhere"))
    yield found
    found.close()


def rewritten(bundle, changes=None, *, drop=(), manifest=None, digests=True, more=()) -> io.BytesIO:
    """The bundle with some members changed or added, its manifest made to fit unless that is the fault."""
    with zipfile.ZipFile(bundle) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    about = json.loads(members.pop(MANIFEST))
    members = {name: data for name, data in members.items() if name not in drop} | (changes or {})
    if digests:
        about["files"] = {n: {"bytes": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in members.items()}
    about |= manifest or {}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [*members.items(), (MANIFEST, json.dumps(about).encode()), *more]:
            archive.writestr(name, data)
    buffer.seek(0)
    return buffer


def nothing_is_left(store) -> bool:
    workspace = store.workspace
    return not store.list() and not [*workspace.trials.iterdir(), *workspace.uploads.iterdir()] and not list_corpora(store)


def test_a_bundle_is_whole_and_always_the_same(trial, bundle, tmp_path):
    with zipfile.ZipFile(bundle) as archive:
        names, manifest = archive.namelist(), json.loads(archive.read(MANIFEST))
        for name, about in manifest["files"].items():
            data = archive.read(name)
            assert (about["bytes"], about["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        told = archive.read("trial.json").decode()
    assert set(names) == {*manifest["files"], MANIFEST} and manifest["version"] == 1 and "torch" in manifest["libraries"]
    parts = ("events.jsonl", "result.json", "per_query.parquet", "run.parquet", "model/model.safetensors", "corpus/corpus.jsonl")
    assert set(parts) <= set(names) and any(name.startswith("candidates/") for name in names)
    assert not any("checkpoint" in name or "worker" in name for name in names)
    assert str(trial.parent) not in told and "0123" not in told and "/" not in json.loads(told)["config"]["corpus"]
    told_shares: list[float] = []
    write_bundle(trial, tmp_path / "again.zip", with_corpus=True, tell=told_shares.append)
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()
    assert told_shares == sorted(told_shares) and told_shares[-1] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"]


def same(a, b) -> bool:
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def test_what_the_pages_show_is_identical(trial, bundle, store, tiny_corpus):
    from core.audit.trial_table import read_trial_table
    from core.lab.view import TrialView
    from core.sampling.context import CorpusIndex

    row = open_bundle(store, bundle)
    corpus = load_corpus(row.corpus)
    assert (row.id, row.name, row.state, row.corpus_name) == (trial.name, "ance, tiny", "finished", tiny_corpus.name)
    assert row.created == 1000.0 and row.recipe_title == "ANCE"
    assert corpus.fingerprint == tiny_corpus.fingerprint == row.corpus_fingerprint and corpus.name == tiny_corpus.name
    assert corpus.documents.equals(tiny_corpus.documents) and corpus.splits == tiny_corpus.splits and corpus.truth == tiny_corpus.truth
    a, b = TrialResults(trial), TrialResults(row.folder)
    tables = [read_trial_table(r, c, CorpusIndex(c).twins(0.8)) for r, c in ((a, tiny_corpus), (b, corpus))]
    for name, value in vars(tables[0]).items():
        if name != "tables":
            assert same(value, getattr(tables[1], name)), name
    assert [(i.number, i.lane, i.source, i.step) for i in a.tables()] == [(i.number, i.lane, i.source, i.step) for i in b.tables()]
    assert a.result == b.result and a.per_query().equals(b.per_query()) and a.run().equals(b.run())
    assert a.snapshots() == b.snapshots()
    for step in a.snapshots():
        assert same(np.asarray(a.snapshot(step).documents), np.asarray(b.snapshot(step).documents))
        assert same(np.asarray(a.snapshot(step).queries), np.asarray(b.snapshot(step).queries))
    assert same(a.vectors(tiny_corpus).documents, b.vectors(corpus).documents)
    assert TrialView(trial).events() == TrialView(row.folder).events()
    assert row.headline == adoption.finished_values(TrialView(trial))["headline"]
    config, other = a.config.to_dict(), b.config.to_dict()
    assert {k for k in config if config[k] != other[k]} == {"corpus"}
    assert spec_of_corpus(store, corpus.fingerprint) == row.corpus


def test_opening_twice_gives_another_id_and_one_corpus(bundle, store):
    first, second = open_bundle(store, bundle), open_bundle(store, io.BytesIO(bundle.read_bytes()), name="upload.zip", owner="me")
    assert first.id != second.id and second.owner == "me" and first.corpus == second.corpus
    assert json.loads((second.folder / "trial.json").read_text())["id"] == second.id
    assert len(list(store.workspace.uploads.iterdir())) == 1 and len(list_corpora(store)) == 1
    assert not [path for path in store.workspace.trials.iterdir() if path.name.startswith(".")]
    assert bring_in(store, bundle).id not in (first.id, second.id)


def test_a_corpus_that_is_known_here_is_used(trial, tmp_path, store, tiny_corpus, tiny_folder):
    write_bundle(trial, tmp_path / "bare.zip")
    with zipfile.ZipFile(tmp_path / "bare.zip") as archive:
        assert not any(name.startswith("corpus/") for name in archive.namelist())
    unknown = open_bundle(store, tmp_path / "bare.zip")
    assert unknown.corpus == tiny_folder.name and unknown.corpus_fingerprint == tiny_corpus.fingerprint
    counts = {"n_documents": tiny_corpus.n_documents, "n_queries": tiny_corpus.n_queries}
    add_corpus(store, spec=str(tiny_folder), name="mine", fingerprint=tiny_corpus.fingerprint, **counts)
    assert open_bundle(store, tmp_path / "bare.zip").corpus == str(tiny_folder)


@pytest.mark.parametrize(
    ("spec", "portable"),
    [
        ("sample:lab", "sample:lab"),
        ("/home/me/my corpus", "my corpus"),
        ("csv:/data/faq.csv?query=q&positive=a", "faq.csv"),
        ("planted:0.3:1:/data/faq", "planted:0.3:1:faq"),
        ("planted:0.3:1:sample:lab", "planted:0.3:1:sample:lab"),
        ("irds:beir/scifact", "irds:beir/scifact"),
        ("hf:/data/set", "set"),
        ("C:\\Users\\me\\faq", "faq"),
        ("/", "corpus"),
    ],
)
def test_an_address_names_no_folder_of_this_machine(spec, portable):
    assert portable_spec(spec) == portable


def test_verdicts_and_failures_travel_without_traceback(trial, tmp_path, store):
    import shutil

    folder = shutil.copytree(trial, tmp_path / "t1")
    (folder / "result.json").unlink()
    (folder / "verdicts.jsonl").write_text('{"query_id": "train-1", "doc_id": "bread-7", "verdict": "false-negative"}\n')
    (folder / "failure.json").write_text(json.dumps({"message": "no", "is_user_error": False, "traceback": "/home/me/x.py"}))
    write_bundle(folder, tmp_path / "f.zip")
    row = open_bundle(store, tmp_path / "f.zip")
    assert row.state == "failed" and row.message == "no" and (row.folder / "verdicts.jsonl").is_file()
    assert "traceback" not in (row.folder / "failure.json").read_text()


def test_what_cannot_be_bundled_is_said(trial, tmp_path, monkeypatch, tiny_folder):
    with pytest.raises(TrialError, match="no trial.json"):
        write_bundle(tmp_path, tmp_path / "x.zip")
    monkeypatch.setattr("core.lab.bundle.live_worker", lambda folder: object())
    with pytest.raises(TrialError, match="is training"):
        write_bundle(trial, tmp_path / "x.zip")
    monkeypatch.undo()
    from tests.small import make_corpus

    with pytest.raises(TrialError, match="has changed"):
        write_bundle(trial, tmp_path / "x.zip", with_corpus=True, corpus=make_corpus(["a"], ["b"], [(0, 0)]))
    assert list(tmp_path.iterdir()) == []


def table_with(**columns) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def array_of(values) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


RUN = {"rank": [1], "score": [1.0]}
HOSTILE: dict[str, tuple] = {
    "up": ({"../evil.txt": b"x"}, {}, "leads out of the archive"),
    "absolute": ({"/etc/evil": b"x"}, {}, "leads out of the archive"),
    "code": ({"model/evil.py": b"x"}, {}, "no file of a trial"),
    "worker": ({"worker.json": b"{}"}, {}, "no file of a trial"),
    "control": ({"corpus/qrels/a\nb.tsv": b"x"}, {}, "no file of a trial"),
    "no trial": ({}, {"drop": ("trial.json",)}, "'trial.json' is missing"),
    "list": ({"trial.json": b"[]"}, {}, "no JSON object"),
    "no config": ({"trial.json": b"{}"}, {}, "cannot read its trial"),
    "strange config": ({"trial.json": b'{"config": 7}'}, {}, "cannot read its trial"),
    "newer recipe": (
        {"trial.json": b'{"config": {"corpus": "x", "recipe": {"signal": {"key": "magic"}}}}'},
        {},
        "signal.key must be one of",
    ),
    "result": ({"result.json": b'"7"'}, {}, "'result.json' is no JSON object"),
    "events": ({"events.jsonl": b'{"kind": "refresh", "t": 1, "step": 0, "lanes": [{"lane": "x"}]}\n'}, {}, "no trial writes"),
    "object array": ({"snapshots/0000000-queries.npy": array_of(np.array([{}], object))}, {}, "holds no vectors"),
    "flat": ({"snapshots/0000000-queries.npy": array_of(np.zeros(7, np.float16))}, {}, "holds no vectors"),
    "other size": ({"snapshots/0000000-queries.npy": array_of(np.zeros((7, 3), np.float16))}, {}, "different sizes"),
    "no parquet": ({"run.parquet": b"PAR1 not"}, {}, "no table that can be read"),
    "no column": ({"run.parquet": table_with(query_row=[1])}, {}, "lacks a column"),
    "row below": ({"run.parquet": table_with(query_row=[-1], doc_row=[0], **RUN)}, {}, "a row that no corpus has"),
    "null row": ({"run.parquet": table_with(query_row=[None], doc_row=[0], **RUN)}, {}, "row that no corpus has"),
    "row beyond": ({"run.parquet": table_with(query_row=[0], doc_row=[10**6], **RUN)}, {}, "beyond its corpus"),
    "bomb": ({"events.jsonl": b" " * 9_000_000}, {}, "times its size"),
    "unlisted": ({}, {"more": [("extra.json", b"{}")]}, "is not in its manifest"),
    "other kind": ({}, {"manifest": {"kind": "holiday photos"}}, "no bundle of this product"),
    "newer format": ({}, {"manifest": {"version": 2}}, "Update Negative Space"),
    "files is a list": ({}, {"manifest": {"files": []}}, "no bundle of this product"),
    "changed": ({"result.json": b"{}"}, {"digests": False}, "is not as the manifest says"),
    "missing": ({}, {"drop": ("result.json",), "digests": False}, "'result.json' is missing"),
    "other corpus": ({"corpus/corpus.jsonl": b'{"_id": "a", "text": "b"}\n'}, {}, ""),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_bundle_is_one_sentence_and_leaves_nothing(bundle, store, name):
    changes, more, says = HOSTILE[name]
    with pytest.raises(UserError) as caught:
        open_bundle(store, rewritten(bundle, changes, **more), name="evil.zip")
    text = str(caught.value)
    assert says in text and "Traceback" not in text
    if name != "other corpus":
        assert "evil.zip" in text and "\n" not in text
    assert nothing_is_left(store) and list(store.workspace.folder.parent.iterdir()) == [store.workspace.folder]


def test_links_doubles_encryption_and_damage(bundle, store):
    def refused(data: bytes, says: str, limits: Limits | None = None) -> None:
        with pytest.raises(UserError, match=says):
            open_bundle(store, io.BytesIO(data), name="evil.zip", limits=limits or Limits())
        assert nothing_is_left(store)

    buffer = rewritten(bundle)
    with zipfile.ZipFile(buffer, "a") as archive:
        link = zipfile.ZipInfo("run2.parquet")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    refused(buffer.getvalue(), "is a link")
    buffer = rewritten(bundle)
    with pytest.warns(UserWarning), zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("result.json", b"{}")
    refused(buffer.getvalue(), "holds a file twice")
    refused(b"no zip at all", "is not a zip that can be read")
    good = bundle.read_bytes()
    refused(good[: len(good) // 2], "is not a zip that can be read|no bundle of this product")  # an .npz inside is a zip, too
    refused(good, "more than 3", Limits(archive_entries=3))
    refused(good, "unpacks to", Limits(archive_bytes=1000))
    refused(good, "more than 1000 bytes", Limits(file_bytes=1000))
    spoilt = bytearray(good)
    at = good.index(b"PK\x03\x04") + 200
    spoilt[at : at + 40] = bytes(40)
    with pytest.raises(UserError):
        open_bundle(store, io.BytesIO(bytes(spoilt)), name="evil.zip")
    assert nothing_is_left(store)


def test_one_changed_byte_is_seen(bundle, store):
    with zipfile.ZipFile(bundle) as archive:
        result = archive.read("result.json")
    changed = result.replace(b'"RR@10": 0.', b'"RR@10": 1.', 1)
    assert changed != result and len(changed) == len(result)
    with pytest.raises(TrialError, match="'result.json' is not as the manifest says"):
        open_bundle(store, rewritten(bundle, {"result.json": changed}, digests=False))
    assert nothing_is_left(store)


def test_a_changed_corpus_is_named_by_its_fingerprint(bundle, store):
    with zipfile.ZipFile(bundle) as archive:
        text = archive.read("corpus/corpus.jsonl").decode()
    with pytest.raises(CorpusError, match="was changed"):
        open_bundle(store, rewritten(bundle, {"corpus/corpus.jsonl": text.replace("flour", "flower").encode()}))
    assert nothing_is_left(store)


@pytest.mark.parametrize("wanted", ["../../evil", ".hidden", "", "a/b", "x" * 200])
def test_an_id_that_is_no_plain_name_is_replaced(bundle, store, wanted):
    row = open_bundle(store, rewritten(bundle, manifest={"trial": {"id": wanted}}))
    assert row.folder.parent == store.workspace.trials and row.id[:2] == "20" and row.state == "finished"


def test_no_file_and_a_folder_above(store, tmp_path):
    with pytest.raises(TrialError, match="no such file"):
        open_bundle(store, tmp_path / "gone.zip")
    with pytest.raises(TrialError, match="there is no trial.json"):
        bring_in(store, tmp_path)
