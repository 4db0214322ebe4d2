"""Words of texts as numbers."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

WORD = re.compile(r"\w+")


def tokenize(text: str) -> list[str]:
    r"""The words of a text: the maximal runs of Unicode word characters (``\w+``) of the lower-cased text.

    Nothing is stemmed and no word is left out.

    >>> tokenize("BM25's k1, Über-alles")
    ['bm25', 's', 'k1', 'über', 'alles']
    """
    return WORD.findall(text.lower())


def number_words(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """``(terms, starts, vocabulary)``: the words of all texts one after another, as numbers.

    terms: int32 (N,), the words of text i are ``terms[starts[i]:starts[i + 1]]``; starts: int64 (len(texts) + 1,);
    vocabulary: word -> number, in the order of first occurrence.
    """
    vocabulary: defaultdict[str, int] = defaultdict()
    vocabulary.default_factory = vocabulary.__len__
    number = vocabulary.__getitem__
    terms = array("i")
    starts = np.zeros(len(texts) + 1, np.int64)
    for row, text in enumerate(texts, 1):
        terms.extend(map(number, tokenize(text)))
        starts[row] = len(terms)
    return np.array(terms, dtype=np.int32), starts, dict(vocabulary)
