"""Texts that are wrong on purpose: a positive with a name, a date or a number exchanged, by rule and without any model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

from core.sampling.positives_extract import salient_spans
from core.sampling.text_units import bare

_NUMBER = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)*(?![\w])")
_MONTH = re.compile(r"[A-Za-z]+")


def swappable(text: str) -> list[tuple[int, int]]:
    """(start, end) of the names, dates and numbers of a text, in order, none inside another.

    >>> text = "In 1932 Anna Keel paid 40 crowns."
    >>> [text[a:b] for a, b in swappable(text)]
    ['1932', 'Anna Keel', '40']
    """
    found = salient_spans(text) + [match.span() for match in _NUMBER.finditer(text)]
    kept: list[tuple[int, int]] = []
    for span in sorted(set(found), key=lambda s: (s[0], -s[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def shape(span: str) -> str:
    """What a span may be exchanged for: names of as many words, dates and numbers written alike.

    >>> shape("Anna Keel"), shape("1932"), shape("3 March 1932"), shape("40")
    ('name 2', '0000', '0 month 0000', '00')
    """
    if not any(character.isdigit() for character in span):
        return f"name {len(span.split())}"
    return re.sub(r"\d", "0", _MONTH.sub("month", span))


class Exchange:
    """The names, dates and numbers of a corpus, by shape, to be put in the place of others; ``parts``: its titles and its texts.

    Title and text are read apart: joined, a text's first word would stand inside a sentence and pass for a name.
    """

    def __init__(self, parts: Iterable[str]):
        pools: dict[str, set[str]] = {}
        for text in parts:
            for start, end in swappable(text):
                pools.setdefault(shape(text[start:end]), set()).add(text[start:end])
        self.pools = {key: sorted(pool) for key, pool in pools.items()}

    def other(self, span: str, text: str, rng: np.random.Generator) -> str | None:
        """Something of the span's shape that does not stand in the text; None where there is nothing."""
        pool = self.pools.get(shape(span), [])
        for i in rng.permutation(len(pool))[:32]:
            if pool[i].lower() not in text.lower():
                return pool[i]
        return None

    def counterfactual(self, parts: Sequence[str], query: str, swap: str, rng: np.random.Generator) -> str | None:
        """Title and text in one line, with one span or all exchanged, everywhere that they stand; None where nothing can be.

        ``swap``: "one" takes a span that the query names where there is one, so that the text speaks of something else, otherwise
        any; "all" takes every one.
        """
        text = " ".join(parts).strip()
        spans = list(dict.fromkeys(part[a:b] for part in parts for a, b in swappable(part)))
        asked = {bare(word) for word in query.split()}
        named = [span for span in spans if asked & {bare(word) for word in span.split()}]
        chosen = spans
        if swap == "one":
            order = [*(named[i] for i in rng.permutation(len(named)))]
            rest = [span for span in spans if span not in named]
            chosen = order + [rest[i] for i in rng.permutation(len(rest))]
        n_changed, made = 0, text
        for span in chosen:
            other = self.other(span, text, rng)
            if other is None:
                continue
            made = re.sub(rf"(?<!\w){re.escape(span)}(?!\w)", lambda _, other=other: other, made)
            n_changed += 1
            if swap == "one":
                break
        return made if n_changed and made != text else None
