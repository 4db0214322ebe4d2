"""What the model itself would mine for each query, doubted before anything is trained or imported."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.audit.evidence import Evidence
from core.audit.suspect_table import SuspectTable, suspect_table

MOST_QUERIES = 2000


def suspects_of_top(evidence: Evidence, *, depth: int = 30, seed: int = 0, cache: Path | None = None) -> SuspectTable:
    """The main model's best ``depth`` documents of each training query that are not its known positives, nor copies of one.

    Ascending by query, then document; ``rank``: from 1, among these. At most MOST_QUERIES queries, a random sample by the seed.
    """
    from core.search.exact import top_k

    context, vectors = evidence.context, evidence.vectors
    query_rows = np.unique(context.training_pairs[0])
    if len(query_rows) > MOST_QUERIES:
        query_rows = np.sort(np.random.default_rng(seed).choice(query_rows, MOST_QUERIES, replace=False))
    if not len(query_rows):
        return suspect_table(evidence, np.empty(0, np.int64), np.empty(0, np.int64))
    depth = min(depth, evidence.corpus.n_documents)
    hits = top_k(
        np.asarray(vectors.queries[query_rows], np.float32),
        np.asarray(vectors.documents, np.float32),
        depth,
        similarity=vectors.similarity,
        exclude=context.protected,
        exclude_query_rows=query_rows,
    )
    is_real = hits.doc_rows >= 0
    rows = np.broadcast_to(query_rows[:, None], is_real.shape)[is_real]
    docs, ranks = hits.doc_rows[is_real], np.broadcast_to(np.arange(1, depth + 1), is_real.shape)[is_real]
    order = np.lexsort((docs, rows))
    table = suspect_table(evidence, rows[order], docs[order], cache=cache)
    return SuspectTable(**{**vars(table), "rank": ranks[order].astype(np.int64)})
