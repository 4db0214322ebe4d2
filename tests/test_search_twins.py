"""Near-duplicates against sets in a double loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.search import twins
from core.search.bm25 import tokenize
from core.search.twins import twin_matrix

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=8).map(" ".join), min_size=1, max_size=9)


def shingles(text, size):
    words = tokenize(text)
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def plain_twins(texts, rows, threshold, size):
    result = np.zeros((len(rows), len(texts)), bool)
    for i, row in enumerate(rows):
        for j, text in enumerate(texts):
            a, b = shingles(texts[row], size), shingles(text, size)
            result[i, j] = j != row and len(a & b) >= threshold * len(a | b) - 1e-9
    return result


@given(TEXTS, st.data(), st.sampled_from([0.1, 0.5, 0.6, 0.8, 1.0]), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_twins_equal_sets_in_a_double_loop(texts, data, threshold, size):
    rows = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=6))
    found = twin_matrix(texts, rows, threshold=threshold, shingle=size)
    assert found.dtype == bool and found.shape == (len(rows), len(texts))
    assert (found.toarray() == plain_twins(texts, rows, threshold, size)).all()


def test_blocks_do_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abc"), 5)) for _ in range(80)]
    whole = twin_matrix(texts, np.arange(80), threshold=0.5).toarray()
    monkeypatch.setattr(twins, "BLOCK_PAIRS", 50)
    assert whole.any() and (twin_matrix(texts, np.arange(80), threshold=0.5).toarray() == whole).all()


def test_numbering_the_beginnings_of_shingles_does_not_change_the_answer(monkeypatch):
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcd"), 9)) for _ in range(60)]
    whole = twin_matrix(texts, np.arange(60), threshold=0.3, shingle=4).toarray()
    monkeypatch.setattr(twins, "LARGEST", 10)
    assert whole.any() and (twin_matrix(texts, np.arange(60), threshold=0.3, shingle=4).toarray() == whole).all()


def test_short_and_empty_texts_are_one_shingle():
    texts = ["", "a b", "A, b!", "a b c", "..."]
    assert twin_matrix(texts, [0, 1, 3]).toarray().astype(int).tolist() == [
        [0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]


def test_a_share_of_exactly_the_threshold_counts():
    # 8 of 10 shingles: 10 words each side of the same 10-word start
    a = " ".join(f"w{i}" for i in range(10)) + " x"
    b = " ".join(f"w{i}" for i in range(10)) + " y"
    assert twin_matrix([a, b], [0], threshold=0.8).nnz == 1  # 8 common, 10 in all
    assert twin_matrix([a, b], [0], threshold=0.81).nnz == 0


def test_wrong_settings_are_refused():
    for arguments in ({"threshold": 0}, {"threshold": 1.1}, {"shingle": 0}, {"rows": [2]}, {"rows": [-1]}):
        with pytest.raises(ValueError):
            twin_matrix(["a", "b"], **{"rows": [0], **arguments})
    assert twin_matrix([], []).shape == (0, 0)
