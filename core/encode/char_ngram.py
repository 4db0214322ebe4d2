"""Hashed character n-grams: each word's letters as ids, whether or not the word was ever seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from core.encode.tokens import Tokens, tokenize_by_pieces

# A run of letters and digits, or a run of signs ("++", "->"): both tell documents apart.
_WORDS = re.compile(r"\w+|[^\w\s]+")
_FNV_BASIS, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


class NgramTokenizer:
    """Ids of the character n-grams of each lower-cased word between ``<`` and ``>``.

    A marked word shorter than ``n_min`` is one n-gram, so that no word vanishes. The id of an n-gram is
    the 64-bit FNV-1a hash over its code points, folded (``h ^ h >> 32``), modulo ``buckets``: the same in
    every process and on every machine.
    """

    def __init__(self, buckets: int, n_min: int, n_max: int):
        self.n_ids, self.n_min, self.n_max = buckets, n_min, n_max

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The n-gram ids of ``texts``; an empty text has none."""
        return tokenize_by_pieces(texts, lambda text: _WORDS.findall(text.lower()), self._encode)

    def spans(self, text: str) -> np.ndarray:
        """The characters of the whole word that each of the text's n-grams belongs to, from and to: int64 (n, 2)."""
        lowered = text.lower()
        places = [found.span() for found in _WORDS.finditer(lowered)]
        if len(lowered) != len(text):  # a letter became two: each place is found again by lowering what stands before it
            lengths = np.cumsum([0, *(len(letter.lower()) for letter in text)])
            places = [tuple(np.searchsorted(lengths, place, "left")) for place in places]
        n_each = self.tokenize(_WORDS.findall(lowered)).lengths
        return np.repeat(np.array(places, np.int64).reshape(-1, 2), n_each, axis=0)

    def _encode(self, words: list[str]) -> Tokens:
        """n-gram ids of each word: by length, then by place."""
        letters = np.frombuffer("".join(f"<{w}>" for w in words).encode("utf-32-le", "surrogatepass"), np.uint32)
        sizes = np.fromiter(map(len, words), np.int64, len(words)) + 2
        ends = np.cumsum(sizes)
        end_of = np.repeat(ends, sizes)
        word_of = np.repeat(np.arange(len(words)), sizes)
        is_start = np.arange(len(letters)) == end_of - np.repeat(sizes, sizes)

        hashes = np.full(len(letters), _FNV_BASIS)
        found_ids, found_words = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for n in range(1, self.n_max + 1):
            # hashes[i] covers letters[i:i + n]; places too near the end of all letters fall away.
            hashes = (hashes[: len(letters) - n + 1] ^ letters[n - 1 :]) * _FNV_PRIME
            first = np.arange(len(hashes))
            fits = first + n <= end_of[: len(hashes)]
            if n < self.n_min:
                fits &= is_start[: len(hashes)] & (first + n == end_of[: len(hashes)])
            first = first[fits]
            folded = hashes[first] ^ (hashes[first] >> np.uint64(32))
            found_ids.append((folded % np.uint64(self.n_ids)).astype(np.int64))
            found_words.append(word_of[first])
        words_of_ids = np.concatenate(found_words)
        order = np.argsort(words_of_ids, kind="stable")
        offsets = np.zeros(len(words) + 1, np.int64)
        np.cumsum(np.bincount(words_of_ids, minlength=len(words)), out=offsets[1:])
        return Tokens(np.concatenate(found_ids)[order], offsets)
