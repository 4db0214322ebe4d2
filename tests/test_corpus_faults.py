"""Every fault of a corpus file is mended and noted, or ends the reading and is named."""

from __future__ import annotations

import json

import pytest

from core.corpus.limits import Limits, size_words
from core.corpus.load import load_corpus
from core.errors import CorpusError
from tests.corpus_files import (
    N_DOCUMENTS,
    N_QUERIES,
    document,
    documents_but,
    faults_of,
    flawless,
    lines,
    load,
    query,
    tsv,
    with_files,
    write,
)

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
