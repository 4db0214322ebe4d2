"""The negatives of a trial at one of its snapshots, and the reasons to doubt each of them."""

from __future__ import annotations

import numpy as np

from core.audit.suspects import doubts
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.project.scene import Pairs
from core.sampling.context import Vectors
from core.train.results import TableInfo, TrialResults

TRUTH_REASON = "truth says relevant"


def tables_in_use(tables: list[TableInfo], step: int) -> list[TableInfo]:
    """Of each lane the last table that was mined at or before ``step``."""
    latest: dict[int, TableInfo] = {}
    for table in tables:
        if table.step <= step and (table.lane not in latest or table.step >= latest[table.lane].step):
            latest[table.lane] = table
    return [latest[lane] for lane in sorted(latest)]


def negatives_in_use(results: TrialResults, step: int, query_rows: np.ndarray) -> Pairs:
    """The queries' kept candidates at ``step``: what the next steps' negatives are picked from, best rank first.

    Empty for a recipe that mines nothing.
    """
    import pyarrow.parquet as parquet

    wanted = [("query_row", "in", [int(row) for row in query_rows]), ("kept", "==", True)]
    parts = [np.empty((0, 3), np.int64)]
    for table in tables_in_use(results.tables(), step):
        found = parquet.read_table(table.path, columns=["query_row", "doc_row", "rank"], filters=wanted)
        parts.append(np.column_stack([column.to_numpy().astype(np.int64) for column in found.columns]))
    return Pairs.from_ranked(*np.concatenate(parts).T)


def positives_of(corpus: Corpus, query_rows: np.ndarray) -> Pairs:
    """The known positives of the queries, by query, ascending rows."""
    each = [corpus.positives.positives(int(row)) for row in np.sort(query_rows)]
    counts = [len(rows) for rows in each]
    return Pairs(np.repeat(np.sort(query_rows), counts), np.concatenate([np.empty(0, np.int64), *each]))


def pair_scores(vectors: Vectors, pairs: Pairs) -> np.ndarray:
    """float32 (P,), larger = closer; reads only the vectors of these documents."""
    from core.search.exact import score_pairs

    if not len(pairs.doc_rows):
        return np.empty(0, np.float32)
    query_rows, query_index = np.unique(pairs.query_rows, return_inverse=True)
    doc_rows, doc_index = np.unique(pairs.doc_rows, return_inverse=True)
    queries = np.asarray(vectors.queries[query_rows], np.float32)
    documents = np.asarray(vectors.documents[doc_rows], np.float32)
    return score_pairs(queries, documents, query_index, doc_index, similarity=vectors.similarity)


def lowest_positive(query_rows: np.ndarray, positives: Pairs, positive_scores: np.ndarray) -> np.ndarray:
    """float32 (len(query_rows),): each query's lowest positive score, NaN for a query without a positive."""
    known, starts = np.unique(positives.query_rows, return_index=True)
    if not len(known):
        return np.full(len(query_rows), np.nan, np.float32)
    lowest = np.minimum.reduceat(positive_scores, starts)
    at = np.minimum(np.searchsorted(known, query_rows), len(known) - 1)
    return np.where(known[at] == query_rows, lowest[at], np.nan).astype(np.float32)


def doubted(vectors: Vectors, corpus: Corpus, twins: Judgements, negatives: Pairs) -> list[tuple[str, ...]]:
    """The reasons to doubt each pair, () where there is none: the suspects' reasons, then what truth says if there is one.

    ``twins``: near-copies of each query's positives (MiningContext.twins).
    """
    positives = positives_of(corpus, np.unique(negatives.query_rows))
    lowest = lowest_positive(negatives.query_rows, positives, pair_scores(vectors, positives))
    is_twin = twins.contains(negatives.query_rows, negatives.doc_rows)
    verdicts = doubts(pair_scores(vectors, negatives), lowest, is_twin)
    if corpus.truth is not None:
        verdicts[TRUTH_REASON] = corpus.truth.grade_of(negatives.query_rows, negatives.doc_rows) >= 1
    titles, table = list(verdicts), np.array(list(verdicts.values()), bool).T
    return [tuple(titles[j] for j in np.flatnonzero(row)) for row in table]
