"""Texts as token ids: one flat array and offsets, so that a batch is a gather and never a Python loop."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

# Texts split at a time: bounds the strings alive at once to those of one block.
BLOCK_TEXTS = 8192


@dataclass(frozen=True)
class Tokens:
    """The token ids of N texts.

    ``ids``: int64, all texts one after the other. ``offsets``: int64 (N + 1,); text ``i`` owns
    ``ids[offsets[i]:offsets[i + 1]]``. A text without tokens owns an empty stretch.

    >>> tokens = Tokens.from_lists([[5, 6], [], [7]])
    >>> tokens.take([2, 0]).ids
    array([7, 5, 6])
    """

    ids: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_lists(cls, lists: Sequence[Sequence[int]]) -> Tokens:
        """Tokens of one list of ids a text."""
        offsets = _offsets(np.fromiter(map(len, lists), np.int64, len(lists)))
        return cls(np.fromiter(chain.from_iterable(lists), np.int64, int(offsets[-1])), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each text, int64 (N,)."""
        return np.diff(self.offsets)

    def take(self, rows: Any) -> Tokens:
        """The tokens of texts ``rows`` in that order; rows may repeat. Raises IndexError outside [0, N)."""
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and rows.min() < 0:
            raise IndexError("Tokens.take: rows must be >= 0 (-1 marks 'no text': drop it first).")
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        offsets = _offsets(lengths)
        # Position p of the result lies in text i at p - offsets[i], in the source at starts[i] + that.
        source = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Tokens(self.ids[source], offsets)

    def followed_by(self, other: Tokens) -> Tokens:
        """The texts of both, those of ``other`` behind."""
        return Tokens(np.concatenate([self.ids, other.ids]), np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]]))

    def part(self, first: int, last: int) -> Tokens:
        """Texts ``first`` to ``last`` (exclusive); the ids are a view."""
        offsets = self.offsets[first : last + 1]
        return Tokens(self.ids[offsets[0] : offsets[-1]], offsets - offsets[0])


def _offsets(lengths: np.ndarray) -> np.ndarray:
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def tokenize_by_pieces(
    texts: Sequence[str],
    split: Callable[[str], list[str]],
    tokenize_pieces: Callable[[list[str]], Tokens],
) -> Tokens:
    """Tokens of texts whose ids are those of their pieces, one after the other.

    Each distinct piece is tokenised once: words repeat, so a corpus costs about as much as its vocabulary.
    """
    seen: defaultdict[str, int] = defaultdict()
    seen.default_factory = seen.__len__  # a new piece gets the next number
    lengths, piece_rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for first in range(0, len(texts), BLOCK_TEXTS):
        pieces = [split(text) for text in texts[first : first + BLOCK_TEXTS]]
        lengths.append(np.fromiter(map(len, pieces), np.int64, len(pieces)))
        numbers = map(seen.__getitem__, chain.from_iterable(pieces))
        piece_rows.append(np.fromiter(numbers, np.int64, int(lengths[-1].sum())))
    found = tokenize_pieces(list(seen)).take(np.concatenate(piece_rows))
    return Tokens(found.ids, found.offsets[_offsets(np.concatenate(lengths))])
