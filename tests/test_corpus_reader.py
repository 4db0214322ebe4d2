"""The BEIR reader: every route gives the same corpus, every fault is mended or named."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.fields import DOCUMENTS
from core.corpus.jsonl import read_flawless
from core.corpus.limits import Limits, size_words
from core.corpus.lines import LineReader
from core.corpus.load import load_corpus, load_uploads
from core.errors import CorpusError

N_DOCUMENTS, N_QUERIES = 20, 12


def lines(*records) -> bytes:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def document(i: int, **more) -> dict:
    return {"_id": f"d{i}", "title": f"Title {i}", "text": f"text of document {i}", **more}


def query(i: int, **more) -> dict:
    return {"_id": f"q{i}", "text": f"question {i}", **more}


def tsv(*rows, header: bool = True) -> bytes:
    head = "query-id\tcorpus-id\tscore\n" if header else ""
    return (head + "".join("\t".join(map(str, row)) + "\n" for row in rows)).encode()


def flawless() -> dict[str, bytes]:
    return {
        "corpus.jsonl": lines(*(document(i) for i in range(N_DOCUMENTS))),
        "queries.jsonl": lines(*(query(i) for i in range(N_QUERIES))),
        "qrels/train.tsv": tsv(*((f"q{i}", f"d{i}", 1) for i in range(8))),
        "qrels/test.tsv": tsv(*((f"q{i}", f"d{i}", 1) for i in range(8, N_QUERIES))),
    }


def with_files(**changes: bytes | None) -> dict[str, bytes]:
    """The flawless files with some replaced, or taken out by None; named by their stem."""
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl"}
    files = flawless()
    for stem, data in changes.items():
        name = names.get(stem, f"qrels/{stem}.tsv")
        if data is None:
            del files[name]
        else:
            files[name] = data
    return files


def load(files: dict[str, bytes], **options) -> Corpus:
    return load_uploads(files, "mine", **options)


def faults_of(files: dict[str, bytes], **options) -> list[str]:
    with pytest.raises(CorpusError) as caught:
        load(files, **options)
    return caught.value.faults


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(files: dict[str, bytes], prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return buffer.getvalue()


def same_content(a: Corpus, b: Corpus) -> bool:
    return (
        a.documents.equals(b.documents)
        and a.queries.equals(b.queries)
        and (a.splits, a.truth, a.fingerprint) == (b.splits, b.truth, b.fingerprint)
    )


# Routes


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


# Forms of one and the same corpus


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


# Faults that are mended


def documents_but(row: int, line: bytes) -> bytes:
    """Twenty documents, of which one line is replaced."""
    all_lines = flawless()["corpus.jsonl"].splitlines(keepends=True)
    all_lines[row] = line + b"\n"
    return b"".join(all_lines)


BROKEN_LINES = [
    (b'{"_id": "d16", "text": "x"', "broken JSON at column 27 (Expecting ',' delimiter). Write one whole JSON object"),
    (b'{"_id": "d16"}', "missing 'text'. Each line needs _id and text."),
    (b'{"text": "x"}', "missing '_id'. Each line needs _id and text."),
    (b'{"_id": "", "text": "x"}', "'_id' is empty. Give each line an id of its own."),
    (b'{"_id": "d16", "text": ["x"]}', "'text' is a JSON list, not a text. Each line needs _id and text."),
    (b'{"_id": true, "text": "x"}', "'_id' is a JSON true/false, not a text. Each line needs _id and text."),
    (b'["d16", "x"]', "a JSON list where an object must be. Each line needs _id and text."),
    (b"null", "a JSON null where an object must be. Each line needs _id and text."),
    (b"[" * 100_000, "broken JSON (too deep, or a number too long). Write plain values."),
    (b'{"_id": "d16", "text": ' + b"9" * 5000 + b"}", "broken JSON (too deep, or a number too long)."),
    (
        b'{"_id": "d16", "text": "caf\xe9"}',
        "byte 0xE9 at position {at} of the file is not UTF-8. Save the file as UTF-8.",
    ),
    (
        b'{"_id": "d16", "text": "' + b"x" * 200_000 + b'"}',
        "the line has 195.3 KiB, more than 128 KiB. Split the text.",
    ),
]


@pytest.mark.parametrize("line, expected", BROKEN_LINES, ids=[text[:30] for _, text in BROKEN_LINES])
def test_a_broken_line_is_skipped_and_named_with_rule_and_remedy(line, expected):
    data = documents_but(16, line)
    corpus = load(with_files(corpus=data), limits=Limits(line_bytes=128 * 1024))
    assert corpus.n_documents == N_DOCUMENTS - 1 and corpus.doc_rows(["d16", "d17"]).tolist() == [-1, 16]
    assert len(corpus.notes) == 1
    assert corpus.notes[0].startswith("corpus.jsonl:17: " + expected.format(at=f"{data.find(bytes([0xE9])):,}"))


def test_byte_position_counts_the_mark():
    data = b"\xef\xbb\xbf" + documents_but(0, b'{"_id": "d\xff", "text": "x"}')
    notes = load(with_files(corpus=data)).notes
    assert notes[0].startswith(f"corpus.jsonl:1: byte 0xFF at position {data.index(bytes([0xFF]))} of")


def test_nul_and_halved_characters_are_replaced_and_noted():
    data = documents_but(2, b'{"_id": "d2", "text": "a\\u0000b\x00c"}').replace(b"document 5", b"cut \\ud83d")
    corpus = load(with_files(corpus=data))
    assert corpus.document_texts([2]) == ["a b c"] and corpus.document_texts([5]) == ["Title 5 text of cut ?"]
    assert corpus.notes == (
        "corpus.jsonl:3: NUL characters were replaced. Clean the text if they mattered.",
        "corpus.jsonl:6: halved characters were replaced. Clean the text if they mattered.",
    )


def test_the_first_of_two_documents_with_one_id_is_kept():
    data = flawless()["corpus.jsonl"] + lines(document(3, text="again"))
    corpus = load(with_files(corpus=data))
    assert corpus.n_documents == N_DOCUMENTS and corpus.document_texts([3]) == ["Title 3 text of document 3"]
    assert corpus.notes == (
        "corpus.jsonl:21: _id 'd3' is already on line 4; the first is kept. Give each line an id of its own.",
    )
    shifted = b"\n" + data  # the careful reader must name the same lines
    assert load(with_files(corpus=shifted)).notes[0].startswith("corpus.jsonl:22: _id 'd3' is already on line 5;")


def test_dangling_judgements_are_dropped_with_line_and_count():
    rows = [(f"q{i}", f"d{i}", 1) for i in range(8)] + [("q0", "gone", 1), ("gone", "d0", 1)]
    corpus = load(with_files(train=tsv(*rows)))
    assert corpus.splits["train"].n_pairs == 8
    assert corpus.notes == (
        "qrels/train.tsv:10: document 'gone' is not in corpus.jsonl; the row was dropped. Add it or take the row out.",
        "qrels/train.tsv:11: query 'gone' is not in queries.jsonl; the row was dropped. Add it or take the row out.",
    )
    many = load(with_files(train=tsv(*rows, *(("q1", f"gone{i}", 1) for i in range(90)))))
    assert len(many.notes) == 21
    assert many.notes[-1] == (
        "qrels/train.tsv: ... and 72 more rows that point nowhere (92 of 100 were dropped, 92.0%)."
    )


def test_score_zero_is_judged_non_relevant_and_the_highest_of_repeats_counts():
    rows = [("q8", "d8", 1), ("q8", "d9", 0), ("q8", "d10", -1), ("q9", "d9", 1), ("q9", "d9", 3)]
    corpus = load(with_files(test=tsv(*rows)))
    test = corpus.splits["test"]
    assert test.judged(8).tolist() == [8, 9, 10] and test.positives(8).tolist() == [8]
    assert test.grade_of(9, 9) == 3
    assert "qrels/test.tsv: 1 rows repeat a pair; its highest score counts." in corpus.notes


BROKEN_ROWS = [
    (b"q1 d1 1", "1 tab-separated cells where 3 must be. Each line needs query-id, corpus-id and score, with tabs"),
    (b"q1\t0\td1\t1", "4 tab-separated cells where 3 must be."),
    (b"q1\td1\t0.5", "score must be a whole number in [-32768, 32767]; got '0.5'."),
    (b"q1\td1\tyes", "score must be a whole number in [-32768, 32767]; got 'yes'."),
    (b"q1\td1\t40000", "score must be a whole number in [-32768, 32767]; got '40000'."),
    (b"q1\td1\tnan", "score must be a whole number in [-32768, 32767]; got 'nan'."),
    (b"\td1\t1", "an empty id."),
    (b"q\xff\td1\t1", "byte 0xFF at position"),
]


@pytest.mark.parametrize("row, expected", BROKEN_ROWS, ids=[text[:30] for _, text in BROKEN_ROWS])
def test_a_broken_judgement_is_skipped_and_named(row, expected):
    good = tsv(*((f"q{i % 8}", f"d{i}", 1) for i in range(15)))
    corpus = load(with_files(train=good + row + b"\n"))
    assert corpus.splits["train"].n_pairs == 15
    assert len(corpus.notes) == 1 and corpus.notes[0].startswith("qrels/train.tsv:17: " + expected)


def test_empty_texts_and_queries_without_a_positive_are_kept_and_noted():
    queries = lines(*(query(i, text="" if i == 2 else f"question {i}") for i in range(N_QUERIES + 1)))
    corpus = load(with_files(corpus=documents_but(4, b'{"_id": "d4", "text": "  "}'), queries=queries))
    assert corpus.n_documents == N_DOCUMENTS and corpus.n_queries == N_QUERIES + 1
    assert corpus.document_texts([4]) == [""]
    assert corpus.notes == (
        "corpus.jsonl: 1 of 20 texts are empty; they are kept.",
        "queries.jsonl: 1 of 13 texts are empty; they are kept.",
        "queries.jsonl: 1 of 13 queries have no positive in any split ('q12'); "
        "they are kept, but neither trained on nor evaluated.",
    )


# Faults that end the reading


def test_all_fatal_faults_of_all_files_are_told_at_once():
    found = faults_of({"corpus.jsonl": b"", "queris.jsonl": lines(query(0))})
    assert found == [
        "corpus.jsonl: holds no line to read. Each line needs _id and text.",
        "queries.jsonl: is missing (found: corpus.jsonl, queris.jsonl). "
        "A corpus holds corpus.jsonl, queries.jsonl and qrels/*.tsv.",
        "qrels/*.tsv: is missing. Add qrels/train.tsv and qrels/test.tsv: query-id, corpus-id, score.",
    ]


def test_more_than_a_tenth_of_broken_lines_is_fatal_and_a_tenth_is_not():
    good = flawless()["corpus.jsonl"].splitlines(keepends=True)
    assert load(with_files(corpus=b"".join(good[:18]) + b"x\n" * 2)).n_documents == 18
    found = faults_of(with_files(corpus=b"".join(good[:17]) + b"x\n" * 3))
    assert found[0] == "corpus.jsonl: 3 of 20 lines are broken, more than 10%. Mend the lines named below."
    assert [fault.split(": ")[0] for fault in found[1:]] == [f"corpus.jsonl:{n}" for n in (18, 19, 20)]
    comma = faults_of(with_files(train=flawless()["qrels/train.tsv"].replace(b"\t", b",")))
    assert comma[0].startswith("qrels/train.tsv: 9 of 9 lines are broken")


def test_utf16_is_named_with_file_and_byte():
    found = faults_of(with_files(corpus=flawless()["corpus.jsonl"].decode().encode("utf-16")))
    assert found == ["corpus.jsonl:1: byte 0xFF at position 0 marks UTF-16. Save the file as UTF-8."]
    unmarked = faults_of(with_files(corpus=flawless()["corpus.jsonl"].decode().encode("utf-16-le")))
    assert unmarked[0].startswith("corpus.jsonl: 2")
    latin = "".join(json.dumps(document(i, text="café"), ensure_ascii=False) + "\n" for i in range(20)).encode(
        "latin-1"
    )
    assert "byte 0xE9 at position 46" in faults_of(with_files(corpus=latin))[1]


def test_no_positive_at_all_is_fatal_and_says_why():
    only_dangling = tsv(("q0", "gone", 1))
    found = faults_of(with_files(train=only_dangling, test=tsv(("q1", "d1", 0))))
    assert found[0].startswith("qrels/*.tsv: no query has a positive.")
    assert found[1].startswith("qrels/train.tsv:2: document 'gone' is not in corpus.jsonl")
    only_truth = with_files(train=None, test=None, truth=tsv(("q0", "d0", 1)))
    assert faults_of(only_truth)[0].startswith("qrels/*.tsv: is missing.")
    assert faults_of(with_files(train=b"", test=b"\n"))[0].startswith("qrels/*.tsv: no query has a positive.")


@pytest.mark.parametrize(
    "limits, expected",
    [
        (Limits(file_bytes=900), "corpus.jsonl: 1.2"),
        (Limits(documents=19), "corpus.jsonl: 20 lines, more than 19. Take a sample."),
        (Limits(queries=11), "queries.jsonl: 12 lines, more than 11. Take a sample."),
        (Limits(judgements=7), "qrels/train.tsv: 8 rows, more than 7. Cut the file."),
    ],
)
def test_limits_are_enforced_and_named(limits, expected):
    assert any(fault.startswith(expected) for fault in faults_of(flawless(), limits=limits))


def test_paths_that_are_no_corpus(tmp_path):
    (tmp_path / "corpus.jsonl").write_bytes(b"{}")
    with pytest.raises(CorpusError, match="no such folder or zip"):
        load_corpus(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match="neither a folder nor a zip"):
        load_corpus(tmp_path / "corpus.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"found: none of the files"):
        load_corpus(tmp_path / "empty")
    for inner in ("a", "b"):
        write(flawless(), tmp_path / "two" / inner)
    with pytest.raises(CorpusError, match=r"two: holds several corpora \(a, b\). Name one of them."):
        load_corpus(tmp_path / "two")


def test_sizes_in_words():
    assert [size_words(n) for n in (17, 1024, 1536 * 1024, 3 * 1024**3)] == ["17 bytes", "1 KiB", "1.5 MiB", "3 GiB"]
