"""The BEIR reader: every route and every form of the files gives the same corpus."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus.faults import Faults
from core.corpus.fields import DOCUMENTS
from core.corpus.jsonl import read_flawless
from core.corpus.limits import Limits
from core.corpus.lines import LineReader
from core.corpus.load import load_corpus, load_uploads
from tests.corpus_files import (
    N_DOCUMENTS,
    N_QUERIES,
    document,
    flawless,
    lines,
    load,
    query,
    same_content,
    tsv,
    with_files,
    write,
    zipped,
)


def test_flawless_corpus_is_read_whole_and_without_notes():
    corpus = load(flawless())
    assert corpus.notes == ()
    assert (corpus.name, corpus.n_documents, corpus.n_queries) == ("mine", N_DOCUMENTS, N_QUERIES)
    assert list(corpus.splits) == ["test", "train"] and corpus.truth is None
    assert corpus.document_texts([3, 0]) == ["Title 3 text of document 3", "Title 0 text of document 0"]
    assert corpus.query_texts([2]) == ["question 2"]
    assert corpus.doc_ids([1, 1]) == ["d1", "d1"] and corpus.query_ids()[-1] == "q11"
    assert corpus.doc_rows(["d5", "nowhere", "d0"]).tolist() == [5, -1, 0]
    assert corpus.query_rows(["q7"]).tolist() == [7] and corpus.doc_rows(["nowhere"]).tolist() == [-1]
    assert corpus.doc_rows([]).dtype == np.int64 and len(corpus.doc_rows([])) == 0
    assert corpus.split_query_rows("test").tolist() == [8, 9, 10, 11]
    assert corpus.split_query_rows("unheard").tolist() == []
    assert corpus.positives.n_pairs == N_QUERIES


def test_every_route_gives_the_same_corpus(tmp_path):
    files = with_files(truth=tsv(("q0", "d0", 1), ("q0", "d1", 2)))
    reference = load(files)
    folder = write(files, tmp_path / "folder")
    write(files, tmp_path / "outer" / "inner")
    for name, prefix in (("flat.zip", ""), ("nested.zip", "inner/"), ("dotted.ZIP", "./")):
        (tmp_path / name).write_bytes(zipped(files, prefix))
    flat = {name.removeprefix("qrels/"): io.BytesIO(data) for name, data in files.items()}
    for stream in flat.values():
        stream.read()  # a stream that somebody has read already
    routes = [
        load_corpus(folder),
        load_corpus(str(tmp_path / "outer")),
        load_corpus(tmp_path / "flat.zip"),
        load_corpus(tmp_path / "nested.zip"),
        load_corpus(tmp_path / "dotted.ZIP"),
        load_uploads(flat, "flat"),
        load_uploads({"mine.zip": zipped(files, "inner/")}, "zip"),
        load_uploads({"stream.zip": io.BytesIO(zipped(files))}, "zip"),
        load_uploads({f"C\\{name}".replace("/", "\\"): data for name, data in files.items()}, "backslashes"),
    ]
    assert all(same_content(reference, corpus) for corpus in routes)
    assert [corpus.name for corpus in routes[:4]] == ["folder", "outer", "flat", "nested"]


def test_fingerprint_changes_with_any_content_and_with_nothing_else():
    seen = {load(flawless()).fingerprint}
    assert load_uploads(flawless(), "another name").fingerprint in seen
    changes = [
        {"corpus": lines(*(document(i) for i in range(N_DOCUMENTS + 1)))},
        {"corpus": lines(*(document(i) for i in reversed(range(N_DOCUMENTS))))},
        {"corpus": lines(*(document(i, place="here") for i in range(N_DOCUMENTS)))},
        {"queries": lines(*(query(i + (i == 11)) for i in range(N_QUERIES)))},
        {"test": tsv(*((f"q{i}", f"d{i}", 2) for i in range(8, N_QUERIES)))},
        {"dev": tsv(("q8", "d3", 0))},
        {"truth": tsv(("q8", "d3", 1))},
    ]
    for change in changes:
        seen.add(load(with_files(**change)).fingerprint)
    assert len(seen) == 1 + len(changes)


@pytest.mark.parametrize("name", ["tldr", "stackfaq", "scifact", "medquad_liveqa", "wordnet_examples"])
def test_real_collections_load_with_the_documented_sizes(shared_data, name):
    if not (shared_data / name).is_dir():
        pytest.skip(f"{name} is not in {shared_data}")
    corpus = load_corpus(shared_data / name)
    expected = {
        "tldr": (7408, 28314, 24122, 5957, False),
        "stackfaq": (719, 1249, 959, 1620, True),
        "scifact": (5183, 1109, 919, 339, False),
        "medquad_liveqa": (17808, 14448, 14345, 943, True),
        "wordnet_examples": (117659, 42500, 38393, 4193, False),
    }[name]
    splits = corpus.splits
    assert expected == (
        corpus.n_documents,
        corpus.n_queries,
        splits["train"].n_pairs,
        splits["test"].n_pairs,
        corpus.truth is not None,
    )
    with (shared_data / name / "corpus.jsonl").open(encoding="utf-8") as file:
        for row, line in zip(range(500), file, strict=False):
            record = json.loads(line)
            assert corpus.document_texts([row]) == [f"{record['title']} {record['text']}".strip()]


def test_marks_line_ends_blank_lines_and_headers_do_not_matter():
    reference = load(flawless())
    files = flawless()
    variants = {
        "BOM": {name: b"\xef\xbb\xbf" + data for name, data in files.items()},
        "CRLF": {name: data.replace(b"\n", b"\r\n") for name, data in files.items()},
        "BOM and CRLF": {name: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n") for name, data in files.items()},
        "blank lines": {name: data.replace(b"\n", b"\n \n\n") for name, data in files.items()},
        "no last newline": {name: data.rstrip(b"\n") for name, data in files.items()},
        "no header": {n: d.split(b"\n", 1)[1] if n.endswith(".tsv") else d for n, d in files.items()},
        "scores as 1.0": {n: d.replace(b"\t1\n", b"\t1.0\n") for n, d in files.items()},
    }
    for name, variant in variants.items():
        corpus = load(variant)
        assert same_content(reference, corpus), name
        assert corpus.notes == (), name


def test_numeric_ids_and_missing_titles():
    corpus = load(
        {
            "corpus.jsonl": lines({"_id": 1, "text": "one"}, {"_id": 2, "text": "two", "title": None}),
            "queries.jsonl": lines({"_id": 7, "text": "which"}, {"_id": 8, "text": "what"}),
            "train.tsv": tsv((7, 1, 1)),
            "test.tsv": tsv((8, 2, 1), header=False),
        }
    )
    assert corpus.doc_ids() == ["1", "2"] and corpus.document_texts() == ["one", "two"]
    assert corpus.splits["test"].positives(1).tolist() == [1] and corpus.notes == ()


def test_further_fields_become_text_columns():
    records = [
        document(0, place="Oslo", year=1999, open=True, tags=["a"], metadata={"url": "u0", "deep": {"x": 1}}),
        document(1, year=1.5, place=None, metadata={"url": "u1", "title": "inner", "place": "Rome"}),
        document(2, doc_id="own", metadata=None, date="2020-01-01"),
    ]
    corpus = load(with_files(corpus=lines(*records, *(document(i) for i in range(3, N_DOCUMENTS)))))
    table = corpus.documents.slice(0, 3).to_pydict()
    assert list(table)[:3] == ["doc_id", "title", "text"]
    assert {name: table[name] for name in list(table)[3:]} == {
        "date": ["", "", "2020-01-01"],
        "extra.doc_id": ["", "", "own"],
        "metadata.title": ["", "inner", ""],
        "open": ["true", "", ""],
        "place": ["Oslo", "Rome", ""],
        "url": ["u0", "u1", ""],
        "year": ["1999", "1.5", ""],
    }
    assert [note for note in corpus.notes if "left out" in note] == [
        "corpus.jsonl: field 'tags' holds a JSON list and is left out; texts and numbers are kept.",
        "corpus.jsonl: field 'deep' holds a JSON object and is left out; texts and numbers are kept.",
    ]


def test_a_field_on_every_line_cannot_blow_up_the_table():
    files = with_files(corpus=lines(*(document(i, **{f"field{i}": "x"}) for i in range(N_DOCUMENTS))))
    corpus = load(files, limits=Limits(fields=3))
    assert corpus.documents.num_columns == 6
    assert "corpus.jsonl: field 'field3' is left out; at most 3 further fields are kept." in corpus.notes


JSON_VALUES = st.one_of(
    st.text(max_size=5), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False), st.just("2020-01-01")
)
RECORDS = st.fixed_dictionaries(
    {"_id": st.one_of(st.text(max_size=3), st.integers(0, 99)), "text": st.text(max_size=9)},
    optional={
        "title": JSON_VALUES,
        "a": JSON_VALUES,
        "doc_id": JSON_VALUES,
        "metadata": st.dictionaries(st.sampled_from(["a", "b", "title"]), JSON_VALUES, max_size=2),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4), st.booleans(), st.integers(1, 4))
def test_the_fast_reader_answers_as_the_careful_one_or_not_at_all(records, escapes, n_times):
    data = "".join(json.dumps(r, ensure_ascii=escapes) + "\n" for r in records * n_times).encode()
    fast = read_flawless(data, DOCUMENTS, Limits())
    faults = Faults()
    careful, numbers = LineReader("f", DOCUMENTS, Limits(broken_share=1.0), faults).read(data)
    if fast is not None:
        assert (
            fast.select(sorted(fast.column_names)).to_pydict()
            == careful.select(sorted(careful.column_names)).to_pydict()
        )
        assert numbers.tolist() == list(range(1, fast.num_rows + 1)) and faults.notes() == ()


def test_the_fast_reader_takes_flawless_files_and_survives_null():
    assert read_flawless(flawless()["corpus.jsonl"], DOCUMENTS, Limits()).num_rows == N_DOCUMENTS
    # Arrow's own parser crashes the process on the first of these.
    for data in (b"null\n", b"", b"\n", b"{", b'{"_id": "a",\n"text": "b"}\n', b'{"_id":"a","text":"b"} {}\n'):
        assert read_flawless(data, DOCUMENTS, Limits()) is None
