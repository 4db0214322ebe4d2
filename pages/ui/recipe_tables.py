"""A preview as rows, steps and figures: what the tables and charts of the Recipe page are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.sampling.candidates import base_rules
from core.sampling.recipe import FAMILIES
from pages.ui.bits import duration
from pages.ui.text import shorten

if TYPE_CHECKING:
    from core.audit.preview import LanePreview, Preview
    from core.corpus.corpus import Corpus
    from core.sampling.context import MiningContext

POOL_DOCUMENTS = 500
FATES = {"picked": "✕ picked", "kept": "kept"}
RULES = {
    "known-positive": "known positive",
    "identical-to-positive": "identical to a positive",
    "judged": "judged no negative",
    "outside-window": "outside the window",
} | {piece.key: piece.title.lower() for piece in FAMILIES["filters"]}


@dataclass(frozen=True)
class BatchPool:
    """What in-batch negatives are drawn from; ``share``: of the corpus's documents."""

    n_pairs: int
    n_documents: int
    share: float


def batch_pool(context: MiningContext) -> BatchPool:
    """The distinct positives of the training pairs."""
    _, doc_rows = context.training_pairs
    n = len(np.unique(doc_rows))
    return BatchPool(len(doc_rows), n, n / max(1, context.corpus.n_documents))


def candidate_rows(corpus: Corpus, preview: Preview, context: MiningContext, query_row: int) -> dict[str, list[Any]]:
    """One query's candidates of all lanes as columns: picked first, then kept, then refused, each by rank.

    ``doc_row`` is for the page, not for the table.
    """
    position = int(np.searchsorted(preview.query_rows, query_row))
    lines = []
    for number, lane in enumerate(preview.lanes):
        table = lane.candidates
        is_real = table.doc_rows[position] >= 0
        docs = table.doc_rows[position][is_real]
        s = table.model_scores[position][is_real]
        grades = None if corpus.truth is None else corpus.truth.grade_of(np.full(len(docs), query_row), docs)
        for i, (fate, text) in enumerate(zip(lane.fate(position), corpus.document_texts(docs), strict=True)):
            line = {
                "doc_row": int(docs[i]),
                "fate": FATES.get(fate) or f"refused: {RULES.get(fate, fate)}",
                "document": shorten(text, 220),
                "rank": None if lane.lane.source.is_redrawn else int(table.ranks[position][is_real][i]),
                "s-": float(s[i]),
                "margin": float(table.model_positive_scores[position] - s[i]),
                "source score": float(table.scores[position][is_real][i]),
            }
            if len(preview.lanes) > 1:
                line["lane"] = number + 1
            if grades is not None:
                line["truth"] = "◆ relevant" if grades[i] >= 1 else ""
            order = {"picked": 0, "kept": 1}.get(fate, 2)
            lines.append((order, number, i, line))
    lines.sort(key=lambda item: item[:3])
    names = ["doc_row", "fate", "document", "rank", "s-", "margin"]
    names += ["truth"] if corpus.truth is not None else []
    names += ["lane"] if len(preview.lanes) > 1 else []
    names += ["source score"]
    columns = {name: [line[name] for *_, line in lines] for name in names}
    if all(rank is None for rank in columns["rank"]):
        del columns["rank"]
    elif any(rank is None for rank in columns["rank"]):
        # Lanes with and without ranks in one table: an empty cell, not the word None.
        columns["rank"] = ["" if rank is None else str(rank) for rank in columns["rank"]]
    return columns


def funnel_steps(lane: LanePreview) -> list[tuple[str, int]]:
    """What was left after each rule, with how many it removed; a rule of the base only where it removed any."""
    counts = lane.funnel()
    left = counts[0][1]
    steps = [("looked at", left)]
    base = set(base_rules(True))
    for rule, n in counts[1:-2]:
        left -= n
        if n or rule not in base:
            by = "" if rule in base else "by "
            steps.append((f"−{n:,} {by}{RULES.get(rule, rule)}", left))
    return [*steps, ("picked", counts[-1][1])]


def picked_scores(preview: Preview, context: MiningContext) -> np.ndarray:
    """Model scores of the picked negatives; of a recipe that mines nothing, of the pool that a batch draws from."""
    if not preview.lanes:
        return _pool_scores(preview, context)
    found = []
    for lane in preview.lanes:
        is_real = lane.columns >= 0
        scores = np.take_along_axis(lane.candidates.model_scores, np.maximum(lane.columns, 0), 1)
        found.append(scores[is_real])
    return np.concatenate(found)


def _pool_scores(preview: Preview, context: MiningContext) -> np.ndarray:
    _, doc_rows = context.training_pairs
    # Drawn from the pairs, not from the documents: a popular positive comes into batches more often.
    drawn = np.random.default_rng(0).choice(doc_rows, min(POOL_DOCUMENTS, len(doc_rows)), replace=False)
    pairs = np.broadcast_to(drawn, (len(preview.query_rows), len(drawn)))
    is_allowed = ~context.protected.contains(preview.query_rows[:, None], pairs)
    return context.vectors().score_pairs(preview.query_rows, pairs)[is_allowed]


def positive_scores(preview: Preview, context: MiningContext) -> np.ndarray:
    """Model scores of the sampled queries' training pairs."""
    query_rows, doc_rows = context.training_pairs
    is_sampled = np.isin(query_rows, preview.query_rows)
    return context.vectors().score_pairs(query_rows[is_sampled], doc_rows[is_sampled])


def cost_line(name: str, preview: Preview, context: MiningContext) -> dict[str, Any]:
    """The cost of a whole training with this recipe, and the share of false negatives where that can be known."""
    cost = preview.cost
    rate = preview.false_negative_rate(context)
    return {
        "recipe": name,
        "texts to encode": cost.encodings,
        "of these for mining": cost.mine_encodings,
        "queries to search": cost.searches,
        "mining, about": duration(cost.mine_seconds) if preview.lanes else "nothing",
        "negatives a query": sum(lane.lane.per_query for lane in preview.lanes),
        "false negatives": "none mined" if not preview.lanes else "unknown" if rate is None else f"{rate:.1%}",
    }


def cost_helps(n_queries: int, encode_seconds: float) -> dict[str, str]:
    """What each column of :func:`cost_line` means."""
    return {
        "texts to encode": "Counted, for 8 epochs: queries, positives and mined negatives of every step, and the corpus "
        "each time that it is mined with a model.",
        "of these for mining": "Counted: all documents and training queries, each time that a lane asks a model.",
        "queries to search": "Counted: every training query, each time that the lanes are mined.",
        "mining, about": f"An estimate: what {n_queries} queries took here just now, scaled to all training queries and 8 "
        f"epochs, and {duration(encode_seconds)} for each encoding of the corpus.",
        "negatives a query": "Mined ones, for each query and epoch; those of the batch come on top.",
        "false negatives": "Share of the picks that this corpus's truth calls relevant; training never sees the truth. "
        "Unknown where the corpus has no fuller judgements.",
    }
