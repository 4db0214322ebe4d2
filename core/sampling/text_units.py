"""A text in words and sentences whose place in it is known, so that a span is cut out exactly as it was written."""

from __future__ import annotations

import re
from array import array

import numpy as np

# Scripts that write no spaces between words count a character as a word.
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])")

#: Common English words: a span that begins or ends with one is seldom a thing.
STOP_WORDS = frozenset(
    "a about after all also an and any are as at be because been before being between both but by can could did do does "
    "during each few for from had has have he her here him his how i if in into is it its just like many may me more most "
    "much must my no nor not of off on once one only or other our out over own same she should since so some such than that "
    "the their them then there these they this those through to too two under until up us very was we were what when where "
    "which while who whom whose why will with would you your".split()
)


class Units:
    """The words of one text; ``len`` is how many there are."""

    __slots__ = ("text", "starts", "ends")

    def __init__(self, text: str):
        found = [match.span() for match in _WORD.finditer(text)]
        self.text = text
        # Four bytes a place: a corpus of 200,000 documents is held in this form.
        self.starts = array("i", [start for start, _ in found])
        self.ends = array("i", [end for _, end in found])

    def __len__(self) -> int:
        return len(self.starts)

    def cut(self, first: int, last: int) -> str:
        """Words ``first`` to ``last`` (exclusive) exactly as they stand in the text.

        >>> Units("Red,  green and blue.").cut(0, 2)
        'Red,  green'
        """
        return self.text[self.starts[first] : self.ends[last - 1]] if last > first else ""

    def without(self, first: int, last: int, instead: str = "") -> str:
        """The text with words ``first`` to ``last`` (exclusive) taken out, ``instead`` in their place.

        >>> Units("Red, green and blue.").without(1, 3)
        'Red, blue.'
        """
        before, after = self.text[: self.starts[first]].rstrip(), self.text[self.ends[last - 1] :].lstrip()
        return " ".join(part for part in (before, instead, after) if part).strip()

    def words(self) -> list[str]:
        """Each word as it is written."""
        return [self.text[start:end] for start, end in zip(self.starts, self.ends, strict=True)]

    def joined(self, words: list[str | None]) -> str:
        """The text with other words in the places of its own, None = left out; spaces stay where they were."""
        parts: list[str] = []
        for i, word in enumerate(words):
            if word is None:
                continue
            is_apart = i > 0 and self.starts[i] > self.ends[i - 1]
            parts.append((" " if parts and is_apart else "") + word)
        return "".join(parts)


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence, by its final mark; a text without one is a single sentence.

    >>> [ "It rains. It pours."[a:b] for a, b in sentences("It rains. It pours.") ]
    ['It rains.', 'It pours.']
    """
    found, start = [], 0
    for match in _SENTENCE.finditer(text):
        found.append((start, match.start() + len(match.group().rstrip())))
        start = match.end()
    found.append((start, len(text)))
    trimmed = []
    for start, end in found:
        own = text[start:end]
        left = len(own) - len(own.lstrip())
        if own.strip():
            trimmed.append((start + left, start + len(own.rstrip())))
    return trimmed


def bare(word: str) -> str:
    """A word in lower case without the marks around it.

    >>> bare('("Rivers,')
    'rivers'
    """
    return re.sub(r"^\W+|\W+$", "", word.lower())


def titled(title: str, text: str) -> str:
    """A document as encoders read it: title and text in one line of words."""
    return f"{title} {text}".strip()


def share_of(n: int, low: float, high: float, rng: np.random.Generator) -> int:
    """A length drawn between two shares of ``n`` words; at least one word, at most all."""
    return min(n, max(1, int(n * rng.uniform(low, high))))
