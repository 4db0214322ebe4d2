"""Which documents are passages of one source: the fields ``source`` and ``passage``."""

from __future__ import annotations

import numpy as np

from core.corpus.corpus import Corpus

SOURCE, PASSAGE = "source", "passage"


def has_passages(corpus: Corpus) -> bool:
    """Whether documents name the source that they are a passage of."""
    return SOURCE in corpus.documents.column_names


def articles(corpus: Corpus) -> list[np.ndarray]:
    """The document rows of each source with two passages or more, in the order of their numbers, int64.

    Documents without a source stand alone and are in none. Without numbers, or where they are equal, the order of the rows counts.
    """
    if not has_passages(corpus):
        return []
    named: dict[str, list[tuple[float, int]]] = {}
    numbers = corpus.documents[PASSAGE].to_pylist() if PASSAGE in corpus.documents.column_names else [""] * corpus.n_documents
    for row, (source, number) in enumerate(zip(corpus.documents[SOURCE].to_pylist(), numbers, strict=True)):
        if source.strip():
            named.setdefault(source, []).append((_number(number), row))
    return [np.array([row for _, row in sorted(own)], np.int64) for own in named.values() if len(own) > 1]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("inf")
