"""Corpora and mining contexts made in memory, a line each, for tests that need odd shapes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.sampling.context import MiningContext, Vectors


def make_corpus(documents, queries, train_pairs, test_pairs=(), truth_pairs=None) -> Corpus:
    """A corpus of plain texts; pairs are (query_row, doc_row)."""

    def judged(pairs):
        pairs = list(pairs)
        return Judgements.from_pairs([q for q, _ in pairs], [d for _, d in pairs], [1] * len(pairs), len(queries))

    return Corpus(
        name="small",
        documents=pa.table(
            {"doc_id": [f"d{i}" for i in range(len(documents))], "title": [""] * len(documents), "text": list(documents)}
        ),
        queries=pa.table({"query_id": [f"q{i}" for i in range(len(queries))], "text": list(queries)}),
        splits={"train": judged(train_pairs), "test": judged(test_pairs)},
        truth=None if truth_pairs is None else judged(truth_pairs),
    )


def make_context(corpus: Corpus, *, seed: int = 0, dim: int = 4, similarity: str = "cosine", tied: bool = False) -> MiningContext:
    """A context whose only model has seeded random vectors, or all equal ones."""
    rng = np.random.default_rng(seed)
    shape_q, shape_d = (corpus.n_queries, dim), (corpus.n_documents, dim)
    if tied:
        vectors = Vectors(np.ones(shape_q, np.float32), np.ones(shape_d, np.float32), similarity, "tied")
    else:
        vectors = Vectors(
            rng.normal(size=shape_q).astype(np.float32), rng.normal(size=shape_d).astype(np.float32), similarity, "random"
        )
    return MiningContext(corpus, lambda which: vectors)
