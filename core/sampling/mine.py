"""Mining one lane: source -> window -> filters, each candidate's fate recorded; then picking."""

from __future__ import annotations

import numpy as np

from core.sampling.candidates import KEPT, Candidates, base_rules
from core.sampling.context import MiningContext
from core.sampling.filters import Looked
from core.sampling.recipe import Lane
from core.sampling.source import Source
from core.sampling.weighting import log_weights


def mine_lane(
    lane: Lane,
    context: MiningContext,
    query_rows: np.ndarray,
    rng: np.random.Generator,
    *,
    index: int = 0,
    with_model_scores: bool = True,
) -> Candidates:
    """Every candidate that the lane looks at for the queries, with verdicts; nothing is picked yet.

    Known positives (of every split, and those that the recipe made) and texts identical to one are refused first and always,
    then what people judged so, then ranks outside the window, then the lane's filters in their order. ``query_rows`` int64 (Q,):
    queries without a known positive have positive_row -1 and positive_score -inf, so cuts against the positive refuse all of their
    candidates. Verdicts do not move the positive that cuts are measured against: the labels do.
    """
    query_rows = np.asarray(query_rows, np.int64)
    depth = lane.depth
    hits = lane.source.retrieve(context, query_rows, depth, rng)
    doc_rows = hits.doc_rows
    ranks = np.broadcast_to(np.arange(1, doc_rows.shape[1] + 1, dtype=np.int32), doc_rows.shape)
    positive_rows, positive_scores = lowest_positive(lane.source.score, context, query_rows)
    looked = Looked(query_rows, doc_rows, ranks, hits.scores, positive_scores, lane.source)

    is_real = doc_rows >= 0
    is_positive = context.positives.contains(query_rows[:, None], doc_rows)
    judged = context.judged if context.judged is not None and context.judged.refuses else None
    verdicts = [
        is_positive,
        context.known.contains(query_rows[:, None], doc_rows) & ~is_positive,
        *([] if judged is None else [judged.refused.contains(query_rows[:, None], doc_rows)]),
        np.zeros_like(is_positive) if lane.source.is_redrawn else ~lane.window.contains(ranks),
    ]
    verdicts += [~f.keep(context, looked) for f in lane.filters]
    decided_by = np.full(doc_rows.shape, KEPT, np.int8)
    bits = np.zeros(doc_rows.shape, np.uint32)
    for i in reversed(range(len(verdicts))):
        decided_by[verdicts[i] & is_real] = i
        bits |= np.where(verdicts[i] & is_real, np.uint32(1 << i), np.uint32(0))

    model_scores = model_positive_scores = None
    if with_model_scores and type(lane.source).score is Source.score and getattr(lane.source, "index", "flat") == "flat":
        # The source scores by the current model itself: exact search and pair scores agree to the last bit (an index may round).
        model_scores, model_positive_scores = hits.scores, positive_scores
    elif with_model_scores:
        current = context.vectors("current")
        model_scores = current.score_pairs(query_rows, doc_rows)
        model_positive_scores = current.score_pairs(query_rows, positive_rows)
    likeness = lane.source.likeness(context, positive_rows, doc_rows) if lane.picker.asks_likeness else None
    return Candidates(
        lane=index,
        source=lane.source.key,
        query_rows=query_rows,
        doc_rows=doc_rows,
        ranks=ranks,
        scores=hits.scores,
        positive_rows=positive_rows,
        positive_scores=positive_scores,
        decided_by=decided_by,
        verdicts=bits,
        rules=(*base_rules(judged is not None), *(f.key for f in lane.filters)),
        model_scores=model_scores,
        model_positive_scores=model_positive_scores,
        likeness=likeness,
        log_weights=log_weights(lane.weighting, context, looked, (decided_by == KEPT) & is_real),
    )


def lowest_positive(score, context: MiningContext, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(doc row, score) of each query's lowest-scored known positive; -1 and -inf where it has none. Ties: smaller row."""
    padded = context.positives.padded(query_rows)
    if padded.shape[1] == 0:
        return np.full(len(query_rows), -1, np.int64), np.full(len(query_rows), -np.inf, np.float32)
    scores = score(context, query_rows, padded)
    column = np.where(padded >= 0, scores, np.inf).argmin(1)
    each = np.arange(len(query_rows))
    rows = padded[each, column]
    return rows, np.where(rows >= 0, scores[each, column], -np.inf).astype(np.float32)


def pick(lane: Lane, candidates: Candidates, rng: np.random.Generator) -> np.ndarray:
    """int64 (Q, per_query) columns of ``candidates`` taken for training, -1 at the end where too few are left."""
    return lane.picker.pick(
        candidates.scores, candidates.positive_scores, candidates.is_kept, lane.per_query, rng, candidates.likeness
    )


def rows_at(candidates: Candidates, columns: np.ndarray) -> np.ndarray:
    """Document rows of picked columns; -1 stays -1."""
    rows = np.take_along_axis(candidates.doc_rows, np.maximum(columns, 0), 1) if candidates.doc_rows.shape[1] else columns
    return np.where(columns >= 0, rows, -1)
