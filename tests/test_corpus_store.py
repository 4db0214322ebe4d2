"""Saved corpora, the cache and the samples."""

from __future__ import annotations

import json
import os
import time

import pyarrow as pa
import pytest

from core.corpus import formats, sample
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.corpus.load import load_corpus, load_uploads, sample_names
from core.errors import CorpusError
from tests.corpus_files import document, flawless, lines, load, same_content, tsv, with_files, write


@pytest.fixture
def corpus() -> Corpus:
    files = with_files(
        corpus=lines(*(document(i, place=f"p{i}", text="äöü" * i) for i in range(20))),
        truth=tsv(("q0", "d0", 1), ("q0", "d1", 2)),
        dev=tsv(("q0", "d3", 0)),
    )
    return load(files)


def test_a_saved_corpus_comes_back_equal(corpus, tmp_path):
    corpus.save(tmp_path / "saved")
    back = Corpus.open(tmp_path / "saved")
    assert same_content(corpus, back)
    assert (back.name, back.notes) == (corpus.name, corpus.notes)
    assert back._fingerprint() == corpus.fingerprint
    assert same_content(load_corpus(tmp_path / "saved"), corpus)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["saved"]


def test_texts_are_mapped_not_read(tmp_path):
    data = lines(*(document(i, text="word " * 2000) for i in range(2000)))
    load(with_files(corpus=data)).save(tmp_path / "saved")
    before = pa.total_allocated_bytes()
    back = Corpus.open(tmp_path / "saved")
    assert pa.total_allocated_bytes() - before < 100_000 < 10_000_000 < back.documents.nbytes
    assert back.document_texts([1999])[0].startswith("Title 1999 word")


def test_fingerprint_is_blind_to_chunks_and_slices(corpus):
    cut = pa.concat_tables([corpus.documents.slice(i, 3) for i in range(0, 20, 3)])
    assert cut.column(0).num_chunks > 1
    assert Corpus("x", cut, corpus.queries, corpus.splits, corpus.truth).fingerprint == corpus.fingerprint
    shifted = pa.table({"doc_id": ["ab", "c"], "title": ["", ""], "text": ["", ""]})
    other = pa.table({"doc_id": ["a", "bc"], "title": ["", ""], "text": ["", ""]})
    queries = pa.table({"query_id": ["q"], "text": ["t"]})
    assert Corpus("x", shifted, queries, {}).fingerprint != Corpus("x", other, queries, {}).fingerprint


def test_corpus_refuses_what_does_not_fit(corpus):
    with pytest.raises(ValueError, match="column 'title' is missing"):
        Corpus("x", corpus.documents.drop_columns(["title"]), corpus.queries, {})
    with pytest.raises(ValueError, match="judgements of 3 queries for a corpus of 12"):
        Corpus("x", corpus.documents, corpus.queries, {"train": Judgements.empty(3)})
    beyond = Judgements.from_pairs([0], [20], [1], 12)
    with pytest.raises(ValueError, match="beyond the 20 documents"):
        Corpus("x", corpus.documents, corpus.queries, {}, truth=beyond)


def test_saving_replaces_a_corpus_and_nothing_else(corpus, tmp_path):
    target = tmp_path / "saved"
    load(flawless()).save(target)
    still_open = Corpus.open(target)
    corpus.save(target)
    assert Corpus.open(target).fingerprint == corpus.fingerprint
    assert still_open.document_texts([0]) == ["Title 0 text of document 0"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(CorpusError, match="holds other files"):
        corpus.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


@pytest.mark.parametrize("damage", ["documents.arrow", "qrels.arrow", "corpus.json"])
def test_a_damaged_corpus_is_a_user_error(corpus, tmp_path, damage):
    corpus.save(tmp_path / "saved")
    path = tmp_path / "saved" / damage
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CorpusError, match="is not a whole saved corpus"):
        Corpus.open(tmp_path / "saved")
    with pytest.raises(CorpusError):
        Corpus.open(tmp_path / "nowhere")


def test_another_format_is_refused(corpus, tmp_path):
    corpus.save(tmp_path / "saved")
    facts = tmp_path / "saved" / "corpus.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 99}))
    with pytest.raises(CorpusError, match="format 99"):
        Corpus.open(tmp_path / "saved")


@pytest.fixture
def reads(monkeypatch) -> list[str]:
    """The names of the corpora that were read from their source."""
    names: list[str] = []
    real = formats.read_beir

    def counting(members, name, *rest):
        names.append(name)
        return real(members, name, *rest)

    monkeypatch.setattr(formats, "read_beir", counting)
    return names


def test_the_cache_reads_a_source_once_until_it_changes(tmp_path, reads):
    folder, cache = write(flawless(), tmp_path / "folder"), tmp_path / "cache"
    first = load_corpus(folder, cache=cache)
    assert same_content(first, load_corpus(folder, cache=cache)) and reads == ["folder"]
    (folder / "corpus.jsonl").write_bytes(flawless()["corpus.jsonl"].replace(b"text of", b"TEXT of"))  # same size
    changed = load_corpus(folder, cache=cache)
    assert reads == ["folder"] * 2 and changed.fingerprint != first.fingerprint
    write({"qrels/dev.tsv": tsv(("q8", "d3", 0))}, folder)
    assert "dev" in load_corpus(folder, cache=cache).splits and len(reads) == 3


def test_uploads_are_cached_by_content(tmp_path, reads):
    for files in (flawless(), flawless(), with_files(dev=tsv(("q8", "d3", 0)))):
        load_uploads(files, "mine", cache=tmp_path)
    assert len(reads) == 2


def test_a_damaged_cache_is_made_anew_and_old_remains_are_swept(tmp_path, reads):
    folder, cache = write(flawless(), tmp_path / "folder"), tmp_path / "cache"
    load_corpus(folder, cache=cache)
    (entry,) = cache.iterdir()
    (entry / "queries.arrow").write_bytes(b"")
    stale, fresh = cache / ".new-stale", cache / ".new-fresh"
    for path in (stale, fresh):
        path.mkdir()
    os.utime(stale, (time.time() - 7200,) * 2)
    assert load_corpus(folder, cache=cache).n_queries == 12
    assert len(reads) == 2 and not stale.exists() and fresh.exists()
    assert load_corpus(folder, cache=cache).n_queries == 12 and len(reads) == 2


def test_faults_leave_no_cache(tmp_path):
    folder = write(with_files(corpus=b""), tmp_path / "folder")
    with pytest.raises(CorpusError):
        load_corpus(folder, cache=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_samples_are_found_by_name_only(tmp_path, monkeypatch):
    about = {"title": "T", "description": "One sentence.", "licence": "MIT"}
    write(flawless() | {"about.json": json.dumps(about).encode()}, tmp_path / "demo")
    (tmp_path / "templates").mkdir()
    assert sample.sample_abouts(tmp_path) == {"demo": about}
    assert sample.sample_folder("demo", tmp_path) == tmp_path / "demo"
    for name in ("nope", "templates", "../demo", ""):
        with pytest.raises(CorpusError, match="no such sample. There is: demo."):
            sample.sample_folder(name, tmp_path)
    (tmp_path / "demo" / "about.json").write_text('{"title": "T"}')
    with pytest.raises(CorpusError, match=r"sample_data/demo/about.json: missing 'description'"):
        sample.sample_abouts(tmp_path)


def test_every_installed_sample_loads_without_notes():
    with pytest.raises(CorpusError, match="sample:nope: no such sample"):
        load_corpus("sample:nope")
    if not sample_names():
        pytest.skip("no sample is installed yet")
    for name in sample.sample_abouts():  # the harvested one has tests of its own
        description = sample_names()[name]
        corpus = load_corpus(f"sample:{name}")
        assert corpus.name == name and description.endswith(".")
        assert len(corpus.split_query_rows("train")) and len(corpus.split_query_rows("test"))
