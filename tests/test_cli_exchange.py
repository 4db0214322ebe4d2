"""negspace export, bundle and open, as a script uses them."""

from __future__ import annotations

import json

import pytest

from core.cli import EXPORTS, main
from core.lab.export import FORMATS
from tests.trained import train_tiny


def run(capsys, *arguments) -> tuple[int, dict, str]:
    """(exit code, JSON of the last line, stderr)."""
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    lines = captured.out.strip().splitlines()
    return code, json.loads(lines[-1]) if code == 0 else {}, captured.err


@pytest.fixture(scope="module")
def place(tiny_corpus, tiny_folder, tmp_path_factory):
    """A workspace with one finished trial, t1."""
    folder = tmp_path_factory.mktemp("ws")
    train_tiny(tiny_corpus, tiny_folder, folder / "trials" / "t1", "bm25", encoder={"key": "char-ngram", "dim": 8, "buckets": 256})
    return folder


def test_the_help_names_every_format():
    assert [name.split(" (")[0] for name in EXPORTS.split(", ")] == list(FORMATS)


def test_export_writes_what_was_asked(capsys, place, tmp_path):
    out = tmp_path / "m.jsonl"
    choice = ["--of", "kept", "--per-query", "3", "--workspace", place]
    code, answer, _ = run(capsys, "export", "t1", "--format", "flagembedding", "--out", out, *choice)
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert code == 0 and answer["rows"] == len(rows) and max(len(row["neg"]) for row in rows) == 3
    (tmp_path / "v.csv").write_text("query_id,doc_id,verdict\ntrain-1,bread-7,false-negative\n")
    options = ["--verdicts", tmp_path / "v.csv", "--workspace", place]
    code, answer, _ = run(capsys, "export", "t1", "--format", "qrels-corrected", "--out", tmp_path / "q.txt", *options)
    assert code == 0 and answer["promoted"] == 1 and "train-1 0 bread-7 1\n" in (tmp_path / "q.txt").read_text()


def test_a_bundle_opens_in_another_workspace(capsys, place, tmp_path):
    code, answer, _ = run(capsys, "bundle", place / "trials" / "t1", "--with-corpus", "--out", tmp_path / "b.zip", "--workspace", place)
    assert code == 0 and answer["corpus"]["is_carried"] and answer["bytes"] == (tmp_path / "b.zip").stat().st_size
    code, opened, _ = run(capsys, "open", tmp_path / "b.zip", "--workspace", tmp_path / "other")
    assert code == 0 and opened["id"] == "t1" and opened["state"] == "finished"
    code, again, _ = run(capsys, "export", "t1", "--format", "triplet", "--out", tmp_path / "m.parquet", "--workspace", tmp_path / "other")
    assert code == 0 and again["rows"] > 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "t1", "--format", "magic", "--out", "{tmp}/x.jsonl"], "--format must be one of triplet"),
        (["export", "t1", "--format", "triplet", "--out", "{tmp}/x.txt"], "must end in .parquet or .jsonl"),
        (["export", "t1", "--format", "triplet", "--out", "{tmp}/x.jsonl", "--of", "most"], "Export.of must be one of"),
        (["export", "t1", "--format", "triplet", "--out", "{tmp}/x.jsonl", "--refresh", "9"], "There is no mining 9"),
        (["export", "t1", "--format", "verdicts", "--out", "{tmp}/x.jsonl"], "Nobody has judged"),
        (["export", "t1", "--format", "verdicts", "--out", "{tmp}/x.jsonl", "--from-judges"], "Nobody has judged"),
        (["export", "t2", "--format", "triplet", "--out", "{tmp}/x.jsonl"], "t2 is neither"),
        (["bundle", "t1", "--out", "{tmp}/b.tar"], "must end in .zip"),
        (["bundle", "t1", "--out", "{tmp}/no/b.zip"], "does not exist"),
        (["open", "{tmp}/none.zip"], "no such file"),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(capsys, place, tmp_path, arguments, says):
    code, _, told = run(capsys, *(a.replace("{tmp}", str(tmp_path)) for a in arguments), "--workspace", place)
    assert code == 2 and says in told and told.count("\n") == 1 and not list(tmp_path.iterdir())
