"""One query's candidates as columns for a table: those that a trial looked at, or the model's own best."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.audit.card import Cards, lowest_positive
from core.audit.suspects import doubts, hardness
from core.audit.trial_figures import pairs_of
from core.audit.trial_table import HARDNESS, KEPT_RULE, TrialTable

USED, NOT_DRAWN = "trained against", "kept, not drawn"
KNOWN = "known-positive"


def query_table(cards: Cards, found: TrialTable, query_row: int) -> dict[str, Any]:
    """The query's candidates, one row a document, as columns of arrays or lists.

    ``found``: its rows of one table or of several; then scores, rank and rule are those of the latest, uses are added up
    and the weight is the mean over all uses. Order: trained against (most pull first), kept, refused, each by rank.
    Columns: doc_row, fate (USED, NOT_DRAWN or the rule), source rank, a rank for each of the cards' sources (0 = not
    returned), score, positive, margin, weight (NaN = unused), times_used, refreshes, hardness ("" for a known positive),
    each reason, truth (grade) where the corpus has it.
    """
    pairs = pairs_of(found)
    rules = np.array(found.rules, dtype=object)[found.rule[pairs.last]]
    is_used, is_kept = pairs.times_used > 0, rules == KEPT_RULE
    fate = np.where(is_used, USED, np.where(is_kept, NOT_DRAWN, rules))
    group = np.select([is_used, is_kept, rules == KNOWN], [0, 1, 3], 2)
    order = np.lexsort((found.rank[pairs.last], np.where(is_used, -pairs.pull, 0.0), group))
    pairs, fate = pairs.take(order), fate[order]
    last, doc_rows = pairs.last, pairs.doc_row
    columns: dict[str, Any] = {"doc_row": doc_rows, "fate": fate.tolist(), "source rank": found.rank[last]}
    columns |= {f"rank, {name}": ranks[doc_rows] for name, (ranks, _) in cards.ranks(query_row).items()}
    columns |= {
        "score": found.score[last],
        "positive": found.positive_score[last],
        "margin": found.margin[last],
        "weight": pairs.weight,
        "times_used": pairs.times_used,
        "refreshes": pairs.n_refreshes,
        "hardness": np.where(fate == KNOWN, "", np.array(HARDNESS, dtype=object)[found.hardness[last]]).tolist(),
    }
    columns |= {title: flags[last] for title, flags in found.reasons.items()}
    if found.grade is not None:
        columns["truth"] = found.grade[last]
    return columns


def lookup_table(cards: Cards, query_row: int, doc_rows: np.ndarray | None = None, *, k: int = 20) -> dict[str, Any]:
    """The main model's best k documents for the query, or the given ones, as columns like those of :func:`query_table`.

    Scores, hardness and doubts are the main model's, as it is now; ``fate``: "known positive", "in the batches' pool"
    (a positive of another training query, so a batch can hold it) or "never in a batch".
    """
    views = cards.ranks(query_row)
    ranks, scores = list(views.values())[-1]
    if doc_rows is None:
        doc_rows = np.argsort(ranks)[:k]  # the last view ranks every document
    positives = cards.corpus.positives.positives(query_row)
    lowest = lowest_positive(scores, positives)
    positive = scores[lowest] if lowest >= 0 else np.float32("nan")
    own = scores[doc_rows]
    is_known = np.isin(doc_rows, positives)
    is_pool = np.isin(doc_rows, cards.context.training_pairs[1])
    fate = np.where(is_known, KNOWN, np.where(is_pool, "in the batches' pool", "never in a batch"))
    kinds = hardness(own, np.broadcast_to(positive, own.shape))
    columns: dict[str, Any] = {"doc_row": doc_rows, "fate": fate.tolist()}
    columns |= {f"rank, {name}": found[doc_rows] for name, (found, _) in views.items()}
    columns |= {"score": own, "positive": np.full(len(own), positive), "margin": positive - own}
    columns["hardness"] = np.where(is_known, "", kinds).tolist()
    found = doubts(own, np.broadcast_to(positive, own.shape), cards.twins.contains(query_row, doc_rows))
    columns |= {title: flags & ~is_known for title, flags in found.items()}
    if cards.corpus.truth is not None:
        columns["truth"] = cards.corpus.truth.grade_of(np.full(len(doc_rows), query_row), doc_rows)
    return columns
