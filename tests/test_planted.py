"""Hidden positives: how many, whose, the same for the same seed, and known to a worker by the spec alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.cli import main
from core.corpus.load import absolute_spec, load_corpus
from core.corpus.planted import hide_positives, n_hideable, planted_spec, read_spec
from core.errors import CorpusError, ParameterError
from core.evaluate.metrics import MEASURES
from tests.corpus_files import load, tsv, with_files


def corpus_of(counts: list[int]):
    """Training query i has counts[i] positives; one more test query."""
    rows = [(f"q{i}", f"d{(i * 7 + j) % 20}", 1 + j % 2) for i, n in enumerate(counts) for j in range(n)]
    rows += [("q0", "d19", 0)] * (counts[0] < 10)
    return load(with_files(train=tsv(*rows), test=tsv(("q11", "d3", 1), ("q11", "d4", 1))))


def pairs(table) -> set:
    return set(zip(*(column.tolist() for column in table.pairs()), strict=True))


@settings(deadline=None)
@given(st.lists(st.integers(1, 8), min_size=1, max_size=10), st.floats(0.01, 1.0), st.integers(0, 5))
def test_laws_of_hiding(counts, share, seed):
    corpus = corpus_of(counts)
    most, possible = n_hideable(corpus)
    assert possible == sum(n for n in counts if n > 1) and most == sum(n - 1 for n in counts)
    if not possible:
        with pytest.raises(CorpusError, match="no training query has two positives"):
            hide_positives(corpus, share, seed)
        return
    planted = hide_positives(corpus, share, seed)
    before, after = pairs(corpus.splits["train"]), pairs(planted.splits["train"])
    hidden = before - after
    assert after < before and len(hidden) == min(most, max(1, round(share * possible)))
    assert all(grade >= 1 for _, _, grade in hidden)
    assert planted.split_query_rows("train").tolist() == corpus.split_query_rows("train").tolist()  # each keeps one
    assert planted.splits["test"] == corpus.splits["test"]
    assert pairs(planted.truth) == before | pairs(corpus.splits["test"])
    assert not any(planted.positives.contains([q], [d])[0] for q, d, _ in hidden)  # nothing masks what is hidden
    assert hide_positives(corpus, share, seed).fingerprint == planted.fingerprint != corpus.fingerprint
    larger = hide_positives(corpus, min(1.0, share + 0.3), seed)
    assert hidden <= before - pairs(larger.splits["train"])


def test_seeds_choose_differently_and_evenly():
    corpus = corpus_of([5] * 4)
    kept = np.zeros(20)
    for seed in range(400):
        kept[hide_positives(corpus, 1.0, seed).splits["train"].only_positive().positives(0)] += 1
    rows = corpus.splits["train"].positives(0)
    assert kept.sum() == 400 and (kept[rows] > 50).all()  # 80 expected of each of the five


def test_name_and_note_say_what_is_hidden(tiny_corpus):
    planted = hide_positives(tiny_corpus, 0.5, 3)
    assert planted.name == f"{tiny_corpus.name}, 50% of positives hidden (seed 3)"
    assert "chosen by seed 3" in planted.notes[-1] and "Each query keeps one" in planted.notes[-1]
    assert pairs(tiny_corpus.truth) <= pairs(planted.truth)  # its own truth is not lost


def test_the_spec_gives_the_same_corpus(tiny_folder, tiny_corpus, tmp_path, monkeypatch):
    spec = planted_spec(str(tiny_folder), 0.5, 3)
    assert read_spec(spec) == (0.5, 3, str(tiny_folder))
    for cache in (None, tmp_path):
        assert load_corpus(spec, cache=cache).fingerprint == hide_positives(tiny_corpus, 0.5, 3).fingerprint
    monkeypatch.chdir(tiny_folder.parent)
    assert absolute_spec(f"planted:0.5:3:{tiny_folder.name}") == planted_spec(str(tiny_folder.resolve()), 0.5, 3)
    assert absolute_spec("planted:0.5:3:sample:lab") == "planted:0.5:3:sample:lab"


@pytest.mark.parametrize(
    "spec", ["planted:", "planted:0.3", "planted:0.3:0:", "planted:x:0:a", "planted:0:0:a", "planted:1.1:0:a", "planted:nan:0:a",
             "planted:0.3:-1:a", "planted:0.3:0.5:a"]
)  # fmt: skip
def test_a_wrong_spec_is_told(spec):
    with pytest.raises(ParameterError):
        load_corpus(spec)


def test_the_command_trains_and_mines_with_hidden_positives(capsys, tiny_folder, tmp_path):
    import pyarrow.parquet as parquet

    hiding = ["--hide-positives", "1", "--hide-seed", "2", "--workspace", str(tmp_path), "--json"]
    train = ["train", str(tiny_folder), "--recipe", "bm25", "--epochs", "1", "--batch-size", "8"]
    assert main(train + hiding) == 0
    answer = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert set(answer["truth_metrics"]) >= set(MEASURES)
    config = json.loads((tmp_path / "trials" / answer["trial"].rsplit("/", 1)[-1] / "trial.json").read_text())["config"]
    assert config["corpus"] == f"planted:1:2:{tiny_folder.resolve()}"
    planted = load_corpus(config["corpus"])
    assert planted.fingerprint == config["corpus_fingerprint"]
    hidden = pairs(load_corpus(tiny_folder).splits["train"]) - pairs(planted.splits["train"])
    out = tmp_path / "mined.parquet"
    mine = ["mine", str(tiny_folder), "--recipe", "bm25", "--set", "window.last=60", "--out", str(out)]
    assert main(mine + hiding) == 0
    table = parquet.read_table(out)
    mined = set(zip(table["query_id"].to_pylist(), table["doc_id"].to_pylist(), strict=True))
    asked = {(planted.query_ids([q])[0], planted.doc_ids([d])[0]) for q, d, _ in hidden}
    assert asked & mined  # what is hidden can be mined as a negative
    assert main(["doctor", str(tiny_folder), "--hide-positives", "2", "--workspace", str(tmp_path)]) == 2
    assert "must be a number in (0, 1]" in capsys.readouterr().err
