"""The log of impressions: reading, faults, the store, round trips, and what is asked of it."""

from __future__ import annotations

import numpy as np
import pytest

from core.corpus import store
from core.corpus.corpus import Corpus
from core.corpus.load import load_corpus
from core.corpus.planted import hide_positives
from core.corpus.write import write_beir
from tests.corpus_files import faults_of, flawless, load, write

HEAD = b"query-id\tdoc-id\tposition\tclicked\tsession\n"
ROWS = b"q1\td5\t1\t0\ts9\nq0\td3\t1\t1\ts2\nq0\td4\t2\t0\ts2\nq1\td1\t1\t1\ts4\nq1\td5\t2\t1\ts4\nq0\td7\t1\t0\t\n"


def with_log(data: bytes) -> dict[str, bytes]:
    return {**flawless(), "impressions.tsv": data}


def columns(corpus: Corpus) -> list[list]:
    return [array.tolist() for array in corpus.impressions.arrays()]


EXPECTED = [[0, 0, 0, 1, 1, 1], [3, 4, 7, 5, 1, 5], [1, 2, 1, 1, 1, 2], [True, False, False, False, True, True], [0, 0, -1, 1, 2, 2]]


def test_a_log_is_read_by_query_and_keeps_its_order(tmp_path):
    corpus = load(with_log(HEAD + ROWS))
    assert columns(corpus) == EXPECTED and not corpus.notes
    folder = load_corpus(write(with_log(HEAD + ROWS), tmp_path / "c"), cache=tmp_path / "cache")
    assert columns(folder) == EXPECTED and folder.fingerprint == corpus.fingerprint
    flat = {name.removeprefix("qrels/"): data for name, data in with_log(HEAD + ROWS).items()}
    assert columns(load(flat)) == EXPECTED and set(load(flat).splits) == {"train", "test"}


def test_names_may_stand_in_any_order_or_not_at_all():
    plain = load(with_log(b"q0\td3\t1\nq0\td4\t0\n"))
    assert columns(plain) == [[0, 0], [3, 4], [0, 0], [True, False], [-1, -1]]
    swapped = load(with_log(b"\xef\xbb\xbfclicked\tcorpus-id\tquery-id\ntrue\td3\tq0\n0\td4\tq0\n"))
    assert columns(swapped) == columns(plain)


def test_the_log_is_part_of_the_fingerprint_and_its_absence_changes_none():
    plain, logged = load(flawless()), load(with_log(HEAD + ROWS))
    assert plain.impressions is None and not plain.has_impressions
    assert len({plain.fingerprint, logged.fingerprint, load(with_log(HEAD + ROWS[: ROWS.rindex(b"q0")])).fingerprint}) == 3
    assert Corpus("x", logged.documents, logged.queries, logged.splits).fingerprint == plain.fingerprint


def test_faults_are_collected_with_their_lines():
    data = HEAD + ROWS * 12 + b"q0\td3\t1\nq0\t\t1\t0\ts\nq0\td3\t1\tmaybe\ts\nq0\td3\tx\t1\ts\nq99\td3\t1\t1\ts\nq0\td99\t1\t1\ts\n"
    corpus = load(with_log(data))
    notes = "\n".join(corpus.notes)
    assert len(corpus.impressions) == 72
    assert ":74: 3 tab-separated cells" in notes and ":75: an empty id" in notes
    assert ":76: clicked must be 0 or 1; got 'maybe'" in notes and ":77: position must be a whole number" in notes
    assert ":78: query 'q99' is not in queries.jsonl" in notes and ":79: document 'd99' is not in corpus.jsonl" in notes
    assert "impressions.tsv:1: no column 'clicked'" in faults_of(with_log(b"query-id\tdoc-id\nq0\td1\n"))[0]
    assert "of 3 lines are broken" in faults_of(with_log(b"q0\td3\t1\nq0\nq1\n"))[0]
    empty = load(with_log(HEAD))
    assert empty.impressions is None and "holds no impression" in empty.notes[0]


def test_saved_exported_and_planted_corpora_keep_their_log(tmp_path):
    corpus = load(with_log(HEAD + ROWS))
    corpus.save(tmp_path / "saved")
    back = Corpus.open(tmp_path / "saved")
    assert "impressions" not in vars(back) and back.has_impressions, "read when first asked for"
    assert back.impressions == corpus.impressions and back._fingerprint() == corpus.fingerprint
    assert load_corpus(write_beir(corpus, tmp_path / "beir")).fingerprint == corpus.fingerprint
    assert hide_positives(load_corpus("sample:lab"), 0.5).impressions is not None
    (tmp_path / "saved" / "impressions.arrow").write_bytes(b"cut")
    with pytest.raises(store.CorpusError, match="its impressions are not whole"):
        Corpus.open(tmp_path / "saved").impressions  # noqa: B018


def test_what_is_asked_of_the_lab_log_equals_a_plain_loop():
    corpus = load_corpus("sample:lab")
    log = corpus.impressions
    rows = list(zip(*(array.tolist() for array in log.arrays()), strict=True))
    assert (len(rows), len({r[4] for r in rows}), sum(r[3] for r in rows)) == (16_299, 1_631, 1_041)
    ever = {(q, d): any(c for a, b, _, c, _ in rows[:2000] if (a, b) == (q, d)) for q, d, *_ in rows[:200]}
    for (q, d), clicked in ever.items():
        assert log.shown.contains(q, d) and bool(log.clicked.contains(q, d)) == clicked
    clicked_sessions = {s for *_, c, s in rows if c}
    assert log.in_failed_session.tolist() == [s not in clicked_sessions for *_, s in rows]
    moved = log.moved(np.where(np.arange(corpus.n_documents) % 2, -1, np.arange(corpus.n_documents) // 2))
    assert len(moved) == sum(r[1] % 2 == 0 for r in rows) and moved.sessions.max() + 1 == len(np.unique(moved.sessions))
