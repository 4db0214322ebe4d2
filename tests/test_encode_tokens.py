"""Tokens, subword and n-gram ids against plain loops."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.encode.char_ngram import NgramTokenizer
from core.encode.subwords import SubwordTokenizer, wordllama_tokenizer, wordllama_vectors
from core.encode.tokens import Tokens, tokenize_by_pieces

AWKWARD = [
    "", " ", "  ", "hello world", " leading", "trailing ", "two  spaces", "tabs\tand\nlines\r\n", "日本語 😀 ü",
    "</s> x", "a<unk>b <s>", "literal ▁ mark", "▁▁", "\x00", "e\u0301", "x" * 300, "code:   if a:\n    b()", "é" * 3,
]  # fmt: skip


def lists(tokens: Tokens) -> list[list[int]]:
    return [tokens.ids[a:b].tolist() for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 99), max_size=5), min_size=1, max_size=8),
    st.lists(st.integers(0, 7), max_size=12),
)
def test_take_equals_a_loop(texts, rows):
    rows = [row % len(texts) for row in rows]
    taken = Tokens.from_lists(texts).take(np.array(rows, np.int64))
    assert lists(taken) == [texts[row] for row in rows]
    assert len(taken) == len(rows) and taken.lengths.tolist() == [len(texts[row]) for row in rows]
    assert taken.ids.dtype == taken.offsets.dtype == np.int64


def test_take_refuses_rows_outside():
    tokens = Tokens.from_lists([[1], [2]])
    for row in (-1, 2):
        with pytest.raises(IndexError):
            tokens.take([row])


def test_part_is_the_same_as_take():
    tokens = Tokens.from_lists([[1], [], [2, 3], [4]])
    assert lists(tokens.part(1, 3)) == lists(tokens.take([1, 2])) == [[], [2, 3]]


def test_pieces_are_tokenised_once_across_blocks(monkeypatch):
    monkeypatch.setattr("core.encode.tokens.BLOCK_TEXTS", 2)
    asked = []

    def tokenize(words):
        asked.extend(words)
        return Tokens.from_lists([[len(w)] * len(w) for w in words])

    tokens = tokenize_by_pieces(["a bb", "", "bb", "a a", "ccc"], str.split, tokenize)
    assert lists(tokens) == [[1, 2, 2], [], [2, 2], [1, 1], [3, 3, 3]]
    assert asked == ["a", "bb", "ccc"]


@pytest.fixture(scope="module")
def subwords() -> SubwordTokenizer:
    return wordllama_tokenizer()


def static_embedding_ids(subwords: SubwordTokenizer, texts: list[str]) -> list[list[int]]:
    """What StaticEmbedding.preprocess computes before it flattens."""
    return [e.ids for e in subwords.tokenizer.encode_batch(texts, add_special_tokens=False)]


def test_subword_ids_equal_whole_texts(subwords):
    assert subwords._marks is not None, "the word-by-word path must be on for this tokenizer"
    assert lists(subwords.tokenize(AWKWARD)) == static_embedding_ids(subwords, AWKWARD)
    assert lists(subwords.tokenize([])) == []


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab cé▁ \n😀</s>1.\u00a0") | st.characters(codec="utf-8")), max_size=4))
def test_subword_ids_equal_whole_texts_anywhere(subwords, texts):
    assert lists(subwords.tokenize(texts)) == static_embedding_ids(subwords, texts)


def test_a_tokenizer_of_another_kind_reads_whole_texts():
    from tokenizers import Tokenizer, models, pre_tokenizers

    other = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    other.pre_tokenizer = pre_tokenizers.Whitespace()
    other.enable_truncation(1)
    other.enable_padding(length=9)
    tokenizer = SubwordTokenizer(other)
    assert tokenizer._marks is None
    assert lists(tokenizer.tokenize(["a b c", ""])) == [[0, 1, 2], []]


def test_wordllama_vectors_cover_the_tokenizer(subwords):
    vectors = wordllama_vectors()
    assert vectors.shape == (subwords.n_ids, 256) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def loop_ngrams(text: str, buckets: int, n_min: int, n_max: int) -> list[int]:
    """The documented hash, one n-gram at a time in Python's own integers."""
    ids = []
    for word in re.findall(r"\w+|[^\w\s]+", text.lower()):
        marked = f"<{word}>"
        grams = [marked[i : i + n] for n in range(n_min, n_max + 1) for i in range(len(marked) - n + 1)]
        for gram in grams or [marked]:
            h = 0xCBF29CE484222325
            for letter in gram:
                h = ((h ^ ord(letter)) * 0x100000001B3) % 2**64
            ids.append((h ^ (h >> 32)) % buckets)
    return ids


@pytest.mark.parametrize(("n_min", "n_max"), [(1, 1), (3, 5), (3, 3), (5, 6), (10, 10)])
def test_ngram_ids_equal_a_loop(n_min, n_max):
    tokenizer = NgramTokenizer(1009, n_min, n_max)
    expected = [loop_ngrams(text, 1009, n_min, n_max) for text in AWKWARD]
    assert lists(tokenizer.tokenize(AWKWARD)) == expected
    assert lists(tokenizer.tokenize([])) == [] and lists(tokenizer.tokenize([""])) == [[]]


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=4))
def test_ngram_ids_equal_a_loop_anywhere(texts):
    assert lists(NgramTokenizer(256, 2, 4).tokenize(texts)) == [loop_ngrams(text, 256, 2, 4) for text in texts]


def test_ngram_ids_never_change():
    # Saved models depend on these numbers: they must hold in every process and version.
    assert NgramTokenizer(32768, 3, 5).tokenize(["Cat"]).ids.tolist() == [3891, 9278, 20539, 14452, 3051, 31144]
