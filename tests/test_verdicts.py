"""Verdicts in the database: history, undo, claims, majority, and two processes that judge at once."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa

from core.errors import ParameterError
from core.lab import verdict_claims
from core.lab.store import Store
from core.lab.tables import CLAIM, META, VERDICT
from core.lab.verdicts import KINDS, Verdicts
from core.lab.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
F = "f" * 16
PAIRS = [(f"q{i // 4}", f"d{i}") for i in range(20)]


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(Workspace(tmp_path / "work"))
    yield opened
    opened.close()


@pytest.fixture
def verdicts(store: Store) -> Verdicts:
    return Verdicts(store)


def test_a_newer_verdict_replaces_and_undo_brings_the_older_back(verdicts: Verdicts):
    first = verdicts.record(F, "q", "d", "ann", "unsure", note=" why\0 ")
    second = verdicts.record(F, "q", "d", "ann", "false-negative")
    assert (first.kind, first.note, first.source, first.undone) == ("unsure", "why", "page", None)
    assert second.replaces == first.id and verdicts.list(F) == [second]
    assert [v.kind for v in verdicts.history(F, "q", "d")] == ["unsure", "false-negative"]
    undone = verdicts.undo(F, "ann")
    assert undone.id == second.id and undone.undone is not None
    assert [v.id for v in verdicts.list(F)] == [first.id]
    assert verdicts.undo(F, "ann").id == first.id and verdicts.undo(F, "ann") is None
    assert verdicts.list(F) == [] and len(verdicts.history(F, "q", "d")) == 2  # nothing is ever erased


def test_undo_is_the_judges_own_latest(verdicts: Verdicts):
    verdicts.record(F, "q", "d0", "ann", "unsure")
    verdicts.record(F, "q", "d1", "bob", "unsure")
    assert verdicts.undo(F, "ann").doc_id == "d0"
    assert [v.judge for v in verdicts.list(F)] == ["bob"] and verdicts.list(F, judge="ann") == []


def test_a_second_press_does_not_judge_twice(verdicts: Verdicts):
    first = verdicts.record(F, "q", "d", "ann", "unsure", only_new=True)
    assert verdicts.record(F, "q", "d", "ann", "false-negative", only_new=True) == first
    assert verdicts.record(F, "q", "d", "ann", "unsure") == first  # the same again is no new verdict
    assert len(verdicts.history(F, "q", "d")) == 1


@pytest.mark.parametrize(
    "values",
    [
        ("", "d", "ann", "unsure"),
        ("q", "", "ann", "unsure"),
        ("q", "d", " \n", "unsure"),
        ("q", "d", "a" * 61, "unsure"),
        ("q", "d", "ann", "fn"),
    ],
)
def test_what_is_no_verdict_is_refused(verdicts: Verdicts, values):
    with pytest.raises(ParameterError):
        verdicts.record(F, *values)
    assert verdicts.list(F) == []


def test_workspaces_and_corpora_do_not_mix(verdicts: Verdicts):
    verdicts.record(F, "q", "d", "ann", "unsure")
    verdicts.record("e" * 16, "q", "d", "ann", "true-negative")
    verdicts.record(F, "q1", "d", "ann", "unsure")
    verdicts.record(F, "q", "1d", "ann", "unsure")  # ids that run into each other
    assert len(verdicts.list(F)) == 3 and verdicts.decided("e" * 16) == {("q", "d"): "true-negative"}
    verdicts.home = "other"
    assert verdicts.list(F) == [] and verdicts.undo(F, "ann") is None


def test_the_majority_decides_and_people_outvote_models(verdicts: Verdicts):
    votes = {
        "d0": [("ann", "false-negative"), ("bob", "false-negative"), ("eve", "true-negative")],
        "d1": [("ann", "false-negative"), ("bob", "true-negative")],
        "d2": [("ann", "unsure")],
        "d3": [("ann", "near-duplicate"), ("bob", "unsure"), ("eve", "near-duplicate")],
    }
    for doc_id, given in votes.items():
        for judge, kind in given:
            verdicts.record(F, "q", doc_id, judge, kind)
    for model in ("m1", "m2", "m3"):
        verdicts.record(F, "q", "d2", model, "false-negative", source="llm")
        verdicts.record(F, "q", "d4", model, "true-negative", source="llm")
    decided = {doc_id: kind for (_, doc_id), kind in verdicts.decided(F).items()}
    assert decided == {"d0": "false-negative", "d1": "unsure", "d2": "unsure", "d3": "near-duplicate", "d4": "true-negative"}


def test_withdraw_takes_all_of_one_judge_back(verdicts: Verdicts):
    for doc_id in ("d0", "d1"):
        for judge in ("ann", "bob"):
            verdicts.record(F, "q", doc_id, judge, "unsure")
    assert verdicts.withdraw(F, "ann") == 2 and {v.judge for v in verdicts.list(F)} == {"bob"}


# Claims ---------------------------------------------------------------------------------------------
def test_two_judges_get_different_pairs_and_their_own_again(verdicts: Verdicts):
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[:1]
    assert verdicts.claim(F, "bob", PAIRS, n=2) == PAIRS[1:3]
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[:1]  # a refresh
    verdicts.record(F, *PAIRS[0], "ann", "unsure")
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[3:4]
    assert verdicts.claim(F, "bob", PAIRS, n=3) == [*PAIRS[1:3], PAIRS[4]]
    verdicts.undo(F, "ann")
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[:1]  # what was undone comes next
    assert verdicts.claim(F, "ann", PAIRS[:0]) == []


def test_a_lease_that_ran_out_is_anybodys(verdicts: Verdicts):
    assert verdicts.claim(F, "ann", PAIRS, seconds=-1) == PAIRS[:1]
    assert verdicts.claim(F, "ann", PAIRS, seconds=-1) == PAIRS[:1]  # still hers while nobody took it
    assert verdicts.claim(F, "bob", PAIRS) == PAIRS[:1]
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[1:2]
    verdicts.record(F, *PAIRS[0], "ann", "unsure", only_new=True)  # she had it on her screen: not lost
    verdicts.record(F, *PAIRS[0], "bob", "unsure")
    assert len(verdicts.of_pair(F, *PAIRS[0])) == 2


def test_skipped_pairs_go_to_others_and_come_back(verdicts: Verdicts):
    verdicts.claim(F, "ann", PAIRS)
    verdicts.skip(F, "ann", *PAIRS[0])
    verdicts.skip(F, "ann", *PAIRS[1])
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[2:3]
    assert verdicts.claim(F, "bob", PAIRS) == PAIRS[:1]
    assert set(verdicts.skipped(F, "ann")) == set(PAIRS[:2])
    assert verdicts.unskip(F, "ann", only_last=True) == 1
    assert verdicts.claim(F, "ann", PAIRS) == PAIRS[1:2]
    verdicts.record(F, *PAIRS[3], "ann", "unsure")
    verdicts.skip(F, "ann", *PAIRS[3])  # a press that came late
    before = verdicts.skipped(F, "ann")
    verdicts.skip(F, "ann", *PAIRS[0])
    assert verdicts.skipped(F, "ann") == before and set(before) == {PAIRS[0]}
    assert verdicts.unskip(F, "ann") == 1 and verdicts.unskip(F, "ann", only_last=True) == 0


def test_overlap_gives_that_share_to_a_second_judge_and_none_to_a_third(verdicts: Verdicts):
    many = [(f"q{i}", f"d{i}") for i in range(300)]
    twice = {pair for pair in many if verdict_claims.share_of(pair) < 0.25}
    assert 50 < len(twice) < 100
    for judge, expected in (("ann", set(many)), ("bob", twice), ("eve", set())):
        got = verdicts.claim(F, judge, many, n=300, overlap=0.25)
        assert set(got) == expected
        verdicts.import_rows(F, [{"query_id": q, "doc_id": d, "verdict": "unsure"} for q, d in got], judge)


def test_an_older_database_gets_the_new_tables(tmp_path: Path):
    workspace = Workspace(tmp_path / "old")
    store = Store(workspace)
    store.submit({"corpus": "sample:x"}, "kept")
    META.drop_all(store.database.engine, tables=[VERDICT, CLAIM])
    store.close()
    again = Store(workspace)
    assert [row.name for row in again.list()] == ["kept"]
    Verdicts(again).record(F, "q", "d", "ann", "unsure")
    again.close()


def test_the_tables_are_made_on_postgresql_too():
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    text = str(CreateTable(VERDICT).compile(dialect=postgresql.dialect()))
    index = str(CreateIndex(next(i for i in VERDICT.indexes)).compile(dialect=postgresql.dialect()))
    assert "id BIGSERIAL" in text and "WHERE undone IS NULL" in index and "UNIQUE" in index
    assert str(CreateTable(CLAIM).compile(dialect=postgresql.dialect()))


# At once ------------------------------------------------------------------------------------------------
HAMMER = """
import random, sys, time
from core.lab.store import Store
from core.lab.verdicts import KINDS, Verdicts
from core.lab.workspace import Workspace
folder, judge, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
verdicts = Verdicts(Store(Workspace(folder)))
pairs = [(f"q{i}", f"d{i}") for i in range(n)]
print("ready", flush=True)
sys.stdin.readline()
while True:
    got = verdicts.claim("f" * 16, judge, pairs, n=random.choice((1, 1, 4)))
    if not got:
        break
    for pair in got:
        verdicts.record("f" * 16, *pair, judge, random.choice(KINDS), only_new=True)
        if random.random() < .1:
            verdicts.undo("f" * 16, judge)
    time.sleep(random.random() / 100)  # a person looks at a pair first; SQLite's locks promise nobody a turn
"""


def test_two_processes_judge_every_pair_once(tmp_path: Path):
    n = 150
    Store(Workspace(tmp_path / "shared")).close()
    command = [sys.executable, "-c", HAMMER, str(tmp_path / "shared")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    running = [subprocess.Popen([*command, judge, str(n)], **pipes) for judge in ("ann", "bob")]
    assert [process.stdout.readline() for process in running] == ["ready\n"] * 2
    started = time.monotonic()
    for process in running:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in running:
        process.communicate(timeout=60)
        assert process.returncode == 0
    print(f"{n} pairs by two processes in {time.monotonic() - started:.1f} s")
    store = Store(Workspace(tmp_path / "shared"))
    found = Verdicts(store).list(F)
    assert Counter(v.pair for v in found) == Counter((f"q{i}", f"d{i}") for i in range(n))
    by_judge = Counter(v.judge for v in found)
    assert set(by_judge) == {"ann", "bob"}, "they did not judge at the same time"
    assert {v.kind for v in found} == set(KINDS)
    with store.database.read() as connection:  # nobody is left holding anything
        assert connection.scalar(sa.select(sa.func.count()).where(CLAIM.c.home == store.home)) == 0
    store.close()
