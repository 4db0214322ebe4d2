"""Splits: made where they are missing, the same everywhere, and never shared."""

from __future__ import annotations

import hashlib

import pytest

from tests.corpus_files import N_DOCUMENTS, load, tsv, with_files

ALL = [(f"q{i}", f"d{i}", 1) for i in range(10)]


def smallest_hashes(query_ids: list[str], n: int) -> list[str]:
    return sorted(sorted(query_ids, key=lambda query_id: hashlib.sha256(query_id.encode()).hexdigest())[:n])


def ids_in(corpus, split: str) -> list[str]:
    return corpus.query_ids(corpus.split_query_rows(split))


@pytest.mark.parametrize("name, missing", [("train", "test"), ("qrels", "test"), ("test", "train"), ("all", "test")])
def test_one_table_is_divided_by_the_hash_of_the_ids(name, missing):
    corpus = load(with_files(**{"train": None, "test": None} | {name: tsv(*ALL)}))
    expected = smallest_hashes([q for q, _, _ in ALL], 2)
    assert sorted(corpus.splits) == ["test", "train"]
    assert sorted(ids_in(corpus, "test")) == expected
    assert sorted(ids_in(corpus, "train")) == sorted({q for q, _, _ in ALL} - set(expected))
    assert corpus.positives.n_pairs == len(ALL)
    assert corpus.notes[0] == (
        f"qrels/{name}.tsv: there is no {missing} split, so 2 of 10 queries with a positive "
        "(the smallest SHA-256 of their ids) are the test split and the others the train split."
    )


def test_the_choice_does_not_hang_on_the_order_of_the_rows():
    one = load(with_files(train=tsv(*ALL), test=None))
    other = load(with_files(train=tsv(*reversed(ALL)), test=None))
    assert one.splits == other.splits and one.fingerprint == other.fingerprint


def test_a_single_query_is_evaluated_not_trained_on():
    corpus = load(with_files(train=tsv(("q3", "d3", 1)), test=None))
    assert ids_in(corpus, "test") == ["q3"] and ids_in(corpus, "train") == []
    assert "qrels/train.tsv: no query is left to train on. Add judged queries." in corpus.notes


def test_a_dev_split_stays_apart():
    dev = [(f"q{i}", f"d{i}", 1) for i in range(5)]
    corpus = load(with_files(train=tsv(*ALL[5:]), test=None, valid=tsv(*dev)))
    assert ids_in(corpus, "dev") == [q for q, _, _ in dev]
    assert len(ids_in(corpus, "test")) == 1 and len(ids_in(corpus, "train")) == 4
    shared = load(with_files(train=tsv(*ALL), test=None, dev=tsv(*dev)))
    assert ids_in(shared, "dev") == [q for q, _, _ in dev]
    assert not set(ids_in(shared, "dev")) & set(ids_in(shared, "train") + ids_in(shared, "test"))


def test_a_query_in_train_and_test_stays_in_test_only():
    train = [(f"q{i}", f"d{i}", 1) for i in range(8)] + [("q9", "d0", 1), ("q9", "d1", 0)]
    corpus = load(with_files(train=tsv(*train)))
    assert "q9" not in ids_in(corpus, "train") and "q9" in ids_in(corpus, "test")
    assert corpus.splits["train"].judged(9).tolist() == []
    assert corpus.notes == ("qrels/train.tsv: query 'q9' is in test, too; it stays in test only.",)


def test_truth_is_no_split():
    rows = [(f"q{i}", f"d{j}", 1) for i in range(12) for j in range(N_DOCUMENTS)]
    corpus = load(with_files(truth=tsv(*rows)))
    assert sorted(corpus.splits) == ["test", "train"]
    assert corpus.truth.n_pairs == len(rows) and corpus.positives.n_pairs == 12
