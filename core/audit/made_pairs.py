"""Pairs that a recipe's positives would train on, before anything is trained: what a page shows, and what they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.sampling.context import MiningContext
from core.sampling.positive_base import MadePairs, PositiveBuilder, Positives
from core.sampling.text_units import STOP_WORDS
from core.search.words import tokenize

SHOWN = 20
MEASURED = 1000
_CHOOSE = 42


@dataclass(frozen=True)
class Shown:
    """``chosen`` int64 (n,): places of the shown pairs in ``pairs``; ``shared``: mean share of a query's different words, stop
    words left out, that stand in its positive; ``n_words``: mean words of a query, ``n_doc_words`` of a positive (NaN = no pair)."""

    pairs: MadePairs
    chosen: np.ndarray
    shared: float
    n_words: float
    n_doc_words: float


def read_material(positives: Positives, context: MiningContext) -> Any:
    """What :func:`shown_pairs` draws from; the same for every seed."""
    if isinstance(positives, PositiveBuilder):
        return positives.read(context)
    query_rows, doc_rows = positives.pairs(context)
    return MadePairs(context.corpus.query_texts(query_rows), doc_rows, query_rows=query_rows)


def shown_pairs(positives: Positives, material: Any, context: MiningContext, seed: int, n: int = SHOWN) -> Shown:
    """``n`` pairs at most, drawn from the first epoch of a training with this seed, in its order."""
    pairs = positives.draw_epoch(material, seed, 0) if isinstance(positives, PositiveBuilder) else material
    rng = np.random.default_rng([seed, _CHOOSE])
    chosen = np.sort(rng.permutation(len(pairs))[:n])
    measured = np.sort(rng.permutation(len(pairs))[:MEASURED])
    queries = [tokenize(pairs.query_texts[i]) for i in measured]
    documents = [tokenize(text) for text in positive_texts(pairs, context, measured)]
    shares = [
        len(own & set(document)) / len(own)
        for own, document in zip((set(query) - STOP_WORDS for query in queries), documents, strict=True)
        if own
    ]
    return Shown(
        pairs,
        chosen,
        float(np.mean(shares)) if shares else float("nan"),
        float(np.mean([len(query) for query in queries])) if queries else float("nan"),
        float(np.mean([len(document) for document in documents])) if documents else float("nan"),
    )


def positive_texts(pairs: MadePairs, context: MiningContext, places: np.ndarray) -> list[str]:
    """What the model would read for the positives of the pairs at ``places``."""
    if pairs.doc_texts is not None:
        return [pairs.doc_texts[i] for i in places]
    return context.corpus.document_texts(pairs.doc_rows[places])
