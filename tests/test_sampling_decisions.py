"""The file of verdicts and what a configuration says about it: equal bytes for equal verdicts, faults named, old trials as ever."""

from __future__ import annotations

import json

import pytest

from core.corpus.judgements import Judgements
from core.errors import ParameterError
from core.sampling.decisions import Decisions, decided_bytes, digest_of, read_decided
from core.sampling.presets import preset
from core.train.config import TrialConfig


def test_a_configuration_without_verdicts_is_written_as_before_and_an_old_one_opens():
    config = TrialConfig(corpus="x", recipe=preset("ance").recipe.to_dict())
    assert not {"verdicts", "verdict_use", "verdict_weight", "like"} & set(config.to_dict())
    assert TrialConfig.from_dict(config.to_dict()) == config
    full = TrialConfig(corpus="x", recipe={}, verdicts="ab", verdict_use="down-weight", verdict_weight=0.5, like="t")
    assert TrialConfig.from_dict(json.loads(json.dumps(full.to_dict()))) == full
    with pytest.raises(ParameterError, match="verdict_use must be one of 'drop', 'down-weight', 'promote'"):
        TrialConfig(corpus="x", recipe={}, verdict_use="ignore")


def test_a_file_of_verdicts_comes_back_equal_and_in_any_order(tmp_path, tiny_corpus):
    decided = {("train-1", "bread-7"): "false-negative", ("train-2", 'a,"b'): "unsure", ("ü", "bread-1"): "near-duplicate"}
    data = decided_bytes(decided)
    assert data == decided_bytes(dict(reversed(decided.items()))) and digest_of(b"") == "" != digest_of(data)
    (tmp_path / "v.jsonl").write_bytes(data)
    assert read_decided(tmp_path / "v.jsonl") == decided
    rows = 'false-negative,train-1,bread-7\nunsure,train-2,"a,""b"\nnear-duplicate,ü,bread-1\n'
    (tmp_path / "v.csv").write_text("verdict,query_id,doc_id\n" + rows, encoding="utf-8")
    assert read_decided(tmp_path / "v.csv") == decided
    found = Decisions.read(tmp_path / "v.csv", tiny_corpus)
    assert (len(found), found.n_unknown, found.digest) == (1, 2, digest_of(data))
    found.write(tmp_path / "again.jsonl")
    assert read_decided(tmp_path / "again.jsonl") == {("train-1", "bread-7"): "false-negative"}
    assert isinstance(found.relevant(), Judgements) and found.relevant().n_pairs == 1 and found.near_duplicates().n_pairs == 0


def test_several_judges_lines_count_by_majority(tmp_path):
    lines = [("q", "d", k) for k in ("false-negative", "unsure", "false-negative")] + [("q", "e", "unsure"), ("q", "e", "true-negative")]
    (tmp_path / "v.tsv").write_text("query_id\tdoc_id\tverdict\n" + "".join("\t".join(line) + "\n" for line in lines))
    assert read_decided(tmp_path / "v.tsv") == {("q", "d"): "false-negative", ("q", "e"): "unsure"}


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("v.jsonl", '{"query_id": "q", "doc_id": "d", "verdict": "wrong"}', "v.jsonl:1: verdict must be one of"),
        ("v.jsonl", '\n{"query_id": "q", "doc_id": "d"}', "v.jsonl:2: no verdict"),
        ("v.jsonl", "[1, 2]", "v.jsonl:1: not a JSON object"),
        ("v.csv", "query_id,doc_id\nq,d\n", "v.csv:2: no verdict"),
    ],
)
def test_a_line_that_is_no_verdict_is_named(tmp_path, name, text, says):
    (tmp_path / name).write_text(text)
    with pytest.raises(ParameterError, match=says):
        read_decided(tmp_path / name)
    with pytest.raises(ParameterError, match="cannot be read"):
        read_decided(tmp_path / "nothing.csv")
