"""Effectiveness measures, all computed from one thing: the rank of every positive pair.

A query's RR@10, nDCG@10, R@10, R@100 and MAP need nothing but the ranks and grades of its positives, so
:func:`metrics_from_ranks` is the only place where a measure is defined; a run (ranked document rows) and
a pair of vector matrices are two ways to come by the ranks. Values equal trec_eval's
(https://github.com/usnistgov/trec_eval), whose definitions these are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.corpus.judgements import Judgements
    from core.search.hits import Hits

MEASURES = ("RR@10", "nDCG@10", "R@10", "R@100", "MAP")
JUDGED = "Judged@10"
NOT_FOUND = 0


def metrics_from_ranks(
    query_index: np.ndarray, ranks: np.ndarray, grades: np.ndarray, n_queries: int
) -> dict[str, np.ndarray]:
    """Every measure of every query, from the ranks of all its positives.

    One entry per positive pair, found or not: ``query_index[i]`` int in [0, n_queries), ``ranks[i]`` the
    document's rank from 1 (``NOT_FOUND`` = 0: not retrieved), ``grades[i]`` >= 1. Any order; two
    positives of one query never share a rank.

    Returns float64 (n_queries,) by name of measure; NaN where a query has no positive, because no
    ranking could be right or wrong there: such a query is excluded from :func:`means` and counted by
    :func:`n_excluded`.

    RR@10: 1 / rank of the first positive, 0 beyond rank 10. nDCG@10: gain = grade (linear, as trec_eval;
    not 2**grade - 1), discount log2(rank + 1), ideal over all positives (Järvelin & Kekäläinen 2002).
    R@k: positives found within rank k / all positives. MAP: precision at each found positive, summed,
    / all positives; the depth is that of the ranks given.

    >>> found = metrics_from_ranks(np.array([0, 0]), np.array([2, 0]), np.array([1, 1]), 2)
    >>> float(found["RR@10"][0]), float(found["R@10"][0]), float(found["MAP"][1])
    (0.5, 0.5, nan)
    """
    query_index = np.asarray(query_index, dtype=np.int64)
    ranks = np.asarray(ranks, dtype=np.int64)
    gains = np.asarray(grades, dtype=np.float64)
    n_positives = np.bincount(query_index, minlength=n_queries).astype(np.float64)
    n_positives[n_positives == 0] = np.nan

    is_found = ranks != NOT_FOUND
    query, rank, gain = query_index[is_found], ranks[is_found], gains[is_found]
    order = np.lexsort((rank, query))
    query, rank, gain = query[order], rank[order], gain[order]
    nth = _position_in_group(query)  # 1 = the query's best placed positive
    in_10 = rank <= 10

    def total(values: np.ndarray, where: np.ndarray | slice = slice(None)) -> np.ndarray:
        return np.bincount(query[where], weights=values[where], minlength=n_queries)

    ones = np.ones(len(rank))
    ideal_order = np.lexsort((-gains, query_index))
    ideal_query, ideal_gain = query_index[ideal_order], gains[ideal_order]
    ideal_rank = _position_in_group(ideal_query)
    top = ideal_rank <= 10
    ideal_terms = ideal_gain[top] / np.log2(ideal_rank[top] + 1)
    has_positive = np.where(np.isnan(n_positives), np.nan, 1.0)
    ideal = np.bincount(ideal_query[top], weights=ideal_terms, minlength=n_queries) * has_positive
    return {
        "RR@10": total(1.0 / rank, in_10 & (nth == 1)) * has_positive,
        "nDCG@10": total(gain / np.log2(rank + 1), in_10) / ideal,
        "R@10": total(ones, in_10) / n_positives,
        "R@100": total(ones, rank <= 100) / n_positives,
        "MAP": total(nth / rank) / n_positives,
    }


def evaluate_run(doc_rows: np.ndarray, judgements: Judgements, query_rows: np.ndarray) -> dict[str, np.ndarray]:
    """Every measure of every query of a run.

    ``doc_rows``: int (Q, K), the ranking of query ``query_rows[i]`` in row i, best first; -1 = none. The
    order is taken as given (no scores, so no ties); unjudged and grade <= 0 count as irrelevant; a
    document listed twice counts at its first place. MAP is over the depth K. An empty row scores 0, as
    with ``trec_eval -c``; a query without positives is NaN (see :func:`metrics_from_ranks`).
    """
    doc_rows, query_rows = _checked(doc_rows, query_rows)
    query_index, positive_rows, grades = positive_pairs(judgements, query_rows)
    ranks = ranks_in_run(doc_rows, query_index, positive_rows)
    return metrics_from_ranks(query_index, ranks, grades, len(query_rows))


def evaluate_vectors(
    query_vectors: np.ndarray,
    document_vectors: np.ndarray,
    judgements: Judgements,
    query_rows: np.ndarray,
    similarity: str,
    depth: int = 100,
) -> tuple[dict[str, np.ndarray], Hits]:
    """Every measure of every query over the whole corpus, and the run's first ``depth`` documents.

    ``query_vectors[i]`` float32 (Q, dim) belongs to query row ``query_rows[i]``. The measures do not
    depend on ``depth``: a positive beyond it gets its exact rank over all documents, so MAP is MAP over
    the full ranking. Ties: smaller document row first. ``depth=0`` returns empty hits and is the
    fastest (one matrix product, nothing sorted).
    """
    query_rows = np.asarray(query_rows, dtype=np.int64)
    if len(query_vectors) != len(query_rows):
        raise ValueError(f"{len(query_vectors)} query vectors for {len(query_rows)} query rows")
    from core.search.exact import ranks_of, top_k
    from core.search.hits import Hits

    query_index, positive_rows, grades = positive_pairs(judgements, query_rows)
    hits = Hits.none(len(query_rows), 0)
    ranks = np.zeros(len(query_index), dtype=np.int64)
    if depth > 0:
        hits = top_k(query_vectors, document_vectors, depth, similarity=similarity)
        ranks = ranks_in_run(hits.doc_rows, query_index, positive_rows)
    deeper = np.flatnonzero(ranks == NOT_FOUND)
    if len(deeper):
        # Only the queries that still miss a positive take part in the second product.
        queries, local = np.unique(query_index[deeper], return_inverse=True)
        exact = ranks_of(query_vectors[queries], document_vectors, local, positive_rows[deeper], similarity=similarity)
        # A pair outside the hits ranks behind them, even if two products round its score differently.
        ranks[deeper] = np.maximum(exact, hits.k + 1)
    return metrics_from_ranks(query_index, ranks, grades, len(query_rows)), hits


def means(per_query: dict[str, np.ndarray]) -> dict[str, float]:
    """The mean of each measure over the queries that have positives; NaN when there is none."""
    kept = {name: values[~np.isnan(values)] for name, values in per_query.items()}
    return {name: float(values.mean()) if len(values) else float("nan") for name, values in kept.items()}


def n_excluded(per_query: dict[str, np.ndarray]) -> int:
    """How many queries have no positive and are therefore left out of the means."""
    return int(np.isnan(per_query[MEASURES[0]]).sum())


def judged_per_query(doc_rows: np.ndarray, judgements: Judgements, query_rows: np.ndarray, k: int = 10) -> np.ndarray:
    """Share of each query's first k documents that have a judgement of any grade, float64 (Q,).

    The denominator is the number of documents listed, k at most. NaN for a query with no judgement at
    all or with an empty row. A low share says that a run was scored on documents nobody has looked at.
    """
    doc_rows, query_rows = _checked(doc_rows, query_rows)
    listed = doc_rows[:, :k]
    is_judged = judgements.contains(query_rows[:, None], listed)
    n_listed = (listed >= 0).sum(axis=1).astype(np.float64)
    n_judgements = judgements.indptr[query_rows + 1] - judgements.indptr[query_rows]
    n_listed[(n_listed == 0) | (n_judgements == 0)] = np.nan
    return is_judged.sum(axis=1) / n_listed


def judged_at(doc_rows: np.ndarray, judgements: Judgements, query_rows: np.ndarray, k: int = 10) -> float:
    """The mean of :func:`judged_per_query`; NaN when no query counts."""
    return means({JUDGED: judged_per_query(doc_rows, judgements, query_rows, k)})[JUDGED]


def positive_pairs(judgements: Judgements, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All positive pairs of some queries: ``query_index`` into ``query_rows``, ``doc_rows``, ``grades``.

    Ascending by (query_index, doc_row).
    """
    query_rows = np.asarray(query_rows, dtype=np.int64)
    starts = judgements.indptr[query_rows]
    counts = judgements.indptr[query_rows + 1] - starts
    query_index = np.repeat(np.arange(len(query_rows)), counts)
    before = np.cumsum(counts) - counts
    flat = np.arange(len(query_index)) + np.repeat(starts - before, counts)
    is_positive = judgements.grades[flat] >= 1
    flat = flat[is_positive]
    return query_index[is_positive], judgements.doc_rows[flat], judgements.grades[flat]


def ranks_in_run(doc_rows: np.ndarray, query_index: np.ndarray, pair_doc_rows: np.ndarray) -> np.ndarray:
    """The rank, from 1, of document ``pair_doc_rows[i]`` in row ``query_index[i]`` of a run; 0 = not there.

    Pairs ascend by (query_index, doc_row) and do not repeat, as :func:`positive_pairs` gives them.
    """
    ranks = np.full(len(query_index), NOT_FOUND, dtype=np.int64)
    if not len(ranks) or not doc_rows.size:
        return ranks
    # Most listed documents are nobody's positive: a table look-up drops them before the search by key.
    n_rows = int(pair_doc_rows.max()) + 1
    is_candidate = np.zeros(n_rows + 1, dtype=bool)
    is_candidate[pair_doc_rows] = True
    looked_up = np.where((doc_rows < 0) | (doc_rows >= n_rows), n_rows, doc_rows)
    row, column = np.nonzero(is_candidate[looked_up])
    keys = query_index * n_rows + pair_doc_rows
    listed = row * n_rows + doc_rows[row, column]
    at = np.minimum(np.searchsorted(keys, listed), len(keys) - 1)
    is_hit = keys[at] == listed
    # Last first, so that a document listed twice keeps its first place.
    ranks[at[is_hit][::-1]] = (column[is_hit] + 1)[::-1]
    return ranks


def _position_in_group(sorted_groups: np.ndarray) -> np.ndarray:
    """1, 2, 3 ... starting again wherever the value changes."""
    n = len(sorted_groups)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, sorted_groups[1:] != sorted_groups[:-1]])
    sizes = np.diff(np.r_[starts, n])
    return np.arange(n) - np.repeat(starts, sizes) + 1


def _checked(doc_rows: np.ndarray, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    doc_rows, query_rows = np.asarray(doc_rows), np.asarray(query_rows, dtype=np.int64)
    if doc_rows.ndim != 2 or len(doc_rows) != len(query_rows):
        raise ValueError(f"a run of shape {doc_rows.shape} for {len(query_rows)} query rows")
    return doc_rows, query_rows
