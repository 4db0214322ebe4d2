"""A corpus as it would be with a log of impressions and passages that belong together, for the strategies that need them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from core.corpus.corpus import Corpus
from core.corpus.impressions import Impressions


def with_log_and_sources(corpus: Corpus, per_query: int = 6) -> Corpus:
    """Three documents a source in their order; of six random ones shown for each training query the first is clicked."""
    sources = pa.array([f"s{row // 3}" for row in range(corpus.n_documents)])
    queries = corpus.split_query_rows("train")
    rng = np.random.default_rng(0)
    shown = np.concatenate([rng.permutation(corpus.n_documents)[:per_query] for _ in queries])
    positions = np.tile(np.arange(1, per_query + 1), len(queries))
    owners = np.repeat(queries, per_query)
    log = Impressions.of(owners, shown, positions, positions == 1, owners, corpus.n_queries)
    documents = corpus.documents.append_column("source", sources)
    return Corpus(corpus.name, documents, corpus.queries, corpus.splits, corpus.truth, impressions=log)
