"""Reading and writing verdicts: every shape of text, synonyms, faults with lines, the same file twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from core.lab.store import Store
from core.lab.verdict_export import decided_jsonl, verdicts_csv, verdicts_jsonl
from core.lab.verdict_import import SYNONYMS, kind_of, known_rows, read_verdicts
from core.lab.verdicts import KINDS, Verdicts
from core.lab.workspace import Workspace

TWO = [("q1", "d1", "false-negative"), ("q1", "d2", "true-negative")]
CHAT = """Sure! Here is the first batch:

```json
[
  {"query_id": "q1", "doc_id": "d1", "verdict": "relevant", "reason": "same question"},
  {"query_id": "q1", "doc_id": "d2", "verdict": "Not relevant"}
]
```
and nothing else."""


def triples(found):
    return [(row["query_id"], row["doc_id"], row["verdict"]) for row in found.rows]


@pytest.mark.parametrize(
    "text",
    [
        "query_id,doc_id,verdict\nq1,d1,fn\nq1,d2,tn\n",
        "\ufeffqid\tpid\tlabel\r\nq1\td1\t1\r\n\r\nq1\td2\t0\r\n",
        '"query-id";"corpus-id";"relevance"\n"q1";"d1";"2"\n"q1";"d2";"-1"',
        "q1 0 d1 1\nq1 0 d2 0\n",
        '{"query_id": "q1", "doc_id": "d1", "relevant": true}\n{"query_id": "q1", "doc_id": "d2", "relevant": false}',
        '{"verdicts": [{"qid": "q1", "docid": "d1", "answer": "Yes"}, {"qid": "q1", "docid": "d2", "answer": "NO."}]}',
        '{\n "query_id": "q1",\n "doc_id": "d1", "verdict": "false_negative"},\n{"qid": "q1", "pid": "d2", "verdict": "True Negative"}',
        CHAT,
        "Here you are:\n" + "\n".join(line.strip().rstrip(",") for line in CHAT.split("\n")[4:6]) + "\nHope this helps.",
    ],
)
def test_every_shape_gives_the_same_two_verdicts(text):
    for data in (text, text.encode()):
        found = read_verdicts(data)
        assert triples(found) == TWO and found.faults == []


def test_notes_and_judges_are_kept():
    (row,) = read_verdicts('query_id,doc_id,verdict,comment,annotator\nq1,d1,dup,"a, b\nc",ann\n').rows
    assert (row["note"], row["judge"], row["verdict"]) == ("a, b\nc", "ann", "near-duplicate")
    assert read_verdicts(CHAT).rows[0]["note"] == "same question"


def test_every_synonym_is_understood():
    for kind, words in SYNONYMS.items():
        for word in words.split():
            assert kind_of(word) == kind_of(word.upper().replace("-", " ")) == kind, word
    assert {kind_of(value) for value in (1, 3, True, "1.0")} == {"false-negative"}
    assert {kind_of(value) for value in (0, -1, False, "-2")} == {"true-negative"}
    assert [kind_of(value) for value in (0.5, None, [], "perhaps not")] == ["unsure", None, None, None]


@pytest.mark.parametrize(
    ("text", "expected", "n_good"),
    [
        ("query_id,doc_id,verdict\nq1,d1,fn\nq1,d2,banana\n", ":3: 'banana' is no verdict. Use false-negative", 1),
        ("query_id,doc_id,verdict\nq1,d1,fn\nq1,d2\n", ":3: has 2 columns, the first line 3", 1),
        ("query_id,doc_id,verdict\nq1,,fn\n", ":2: has no doc_id. Give all three", 0),
        ("query_id,doc_id,verdict\nq1,d1,fn\nq1,d1,tn\n", ":3: says true-negative where line 2 says false-negative", 1),
        ("query,passage\nq1,d1\n", ":1: the first line names no column doc_id, verdict", 0),
        ("q1 0 d1 1\nq1 d2 1\n", ":2: has 3 columns. A line of TREC qrels has four", 1),
        ('{"query_id": "q1", "doc_id": "d1", "verdict": 1}\n{"query_id": "q1", oops}\n{"query_id": "q2", "doc_id": "d1", "verdict": 0}',
         ":2: is no JSON object", 2),
        ('[1, {"query_id": "q1", "doc_id": {"a": 1}, "verdict": 1}]', ":1: is no JSON object", 0),
        ("x\n\n```json\n{}\n```", ":4: has no query_id and no doc_id and no verdict", 0),
        ("", "holds no verdict", 0),
        (b"query_id,doc_id,verdict\nq1,d\xff,fn", ":2: is not UTF-8", 0),
        ("[" * 100_000, "holds no verdict", 0),
        ('{"a":' * 100_000, "is no JSON object", 0),
    ],
)  # fmt: skip
def test_faults_name_line_rule_and_remedy(text, expected, n_good):
    found = read_verdicts(text, "v.csv")
    assert len(found.rows) == n_good and any(expected in fault and fault.startswith("v.csv") for fault in found.faults), found.faults


@settings(max_examples=150, deadline=None)
@given(some.one_of(some.text(max_size=200), some.binary(max_size=200), some.text('{}[]",:\n qrels_id01`', max_size=120)))
def test_nothing_that_is_pasted_raises(data):
    found = read_verdicts(data)
    assert found.rows or found.faults or found.n_repeated


def test_unknown_ids_are_told_once_each(tiny_corpus):
    query, doc = tiny_corpus.query_ids([0])[0], tiny_corpus.doc_ids([0])[0]
    text = f"query_id,doc_id,verdict\n{query},{doc},1\n{query},nowhere,1\nnobody,{doc},0\nnobody,nowhere,0\n"
    found = known_rows(read_verdicts(text), tiny_corpus)
    assert triples(found) == [(query, doc, "false-negative")]
    assert len(found.faults) == 2 and "'nobody' is not in this corpus (2 verdicts)" in found.faults[0]


def test_importing_twice_changes_nothing_and_a_changed_file_replaces(tmp_path: Path):
    store = Store(Workspace(tmp_path / "w"))
    verdicts, f = Verdicts(store), "f" * 16
    found = read_verdicts("query_id,doc_id,verdict,judge\nq1,d1,fn,eve\nq1,d1,fn,\nq1,d2,tn,\nq1,d2,tn,\n")
    rows = found.rows
    assert found.n_repeated == 1 and len(rows) == 3
    counts = verdicts.import_rows(f, rows, "ann")
    assert (counts.n_added, counts.n_replaced, counts.n_unchanged) == (3, 0, 0)
    assert {(v.judge, v.doc_id) for v in verdicts.list(f)} == {("eve", "d1"), ("ann", "d1"), ("ann", "d2")}
    assert {v.source for v in verdicts.list(f)} == {"import"}
    assert verdicts.import_rows(f, rows, "ann").n_unchanged == 3 and len(verdicts.list(f)) == 3
    changed = verdicts.import_rows(f, [{"query_id": "q1", "doc_id": "d1", "verdict": "unsure"}], "ann")
    assert (changed.n_added, changed.n_replaced) == (0, 1)
    assert {v.doc_id: v.kind for v in verdicts.list(f, judge="ann")} == {"d1": "unsure", "d2": "true-negative"}
    assert len(verdicts.history(f, "q1", "d1")) == 3
    many = [{"query_id": f"q{i}", "doc_id": "d", "verdict": KINDS[i % 4]} for i in range(3000)]
    assert verdicts.import_rows(f, many, "bob").n_added == 3000
    again = [{**row, "verdict": "unsure"} for row in many]
    assert verdicts.import_rows(f, again, "bob").n_replaced == 2250
    store.close()


def test_what_is_written_is_read_again(tmp_path: Path):
    store = Store(Workspace(tmp_path / "w"))
    verdicts, f = Verdicts(store), "f" * 16
    odd = ['a,"b"', "=1+1", "ü ł 日本", "tab\tand\nline"]
    for i, (kind, note) in enumerate(zip(KINDS, odd, strict=True)):
        verdicts.record(f, f"q,{i}", f'd"{i}', "ann", kind, note=note)
    saved = verdicts.list(f)
    for text in (verdicts_csv(saved), verdicts_jsonl(saved)):
        found = read_verdicts(text)
        assert found.faults == [] and [(r["query_id"], r["doc_id"], r["verdict"], r["note"], r["judge"]) for r in found.rows] == [
            (v.query_id, v.doc_id, v.kind, v.note, v.judge) for v in saved
        ]
    lines = [json.loads(line) for line in decided_jsonl(verdicts.decided(f)).splitlines()]
    assert [set(line) for line in lines] == [{"query_id", "doc_id", "verdict"}] * 4
    store.close()
