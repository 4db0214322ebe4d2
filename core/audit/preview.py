"""What a recipe would do, before anything is trained: picks, refusals, funnel, scores, cost."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from core.sampling.candidates import KEPT, Candidates
from core.sampling.context import MiningContext
from core.sampling.mine import mine_lane, pick
from core.sampling.pickers import Top
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import Dense
from core.sampling.windows import RankWindow


@dataclass(frozen=True)
class LanePreview:
    """One lane on the sampled queries: every candidate, and the columns that would be picked (-1 = none)."""

    lane: Lane
    candidates: Candidates
    columns: np.ndarray
    seconds: float
    seconds_per_query: float

    def seconds_for(self, n_queries: int, n_sampled: int) -> float:
        """Estimated seconds to mine for ``n_queries``, from the two timings of the preview (one small sample, one whole)."""
        return max(0.0, self.seconds + self.seconds_per_query * (n_queries - n_sampled))

    def fate(self, position: int) -> list[str]:
        """For one query, each candidate's fate: "picked", "kept", or the rule that refused it; real candidates only."""
        row = self.candidates.decided_by[position]
        picked = set(self.columns[position].tolist())
        is_real = self.candidates.doc_rows[position] >= 0
        return [
            ("picked" if column in picked else "kept") if rule == KEPT else self.candidates.rules[rule]
            for column, rule in enumerate(row)
            if is_real[column]
        ]

    def funnel(self) -> list[tuple[str, int]]:
        """Candidates looked at, refused by each rule, kept, picked; counts over all sampled queries."""
        return [*self.candidates.funnel(), ("picked", int((self.columns >= 0).sum()))]


@dataclass(frozen=True)
class CostEstimate:
    """``encodings``: texts encoded in the whole training, counted; ``searches``: queries searched, counted; ``mine_seconds``:
    scaled from this preview's own timing on its sample; ``n_refreshes``: how often model-based lanes are mined."""

    train_encodings: int
    mine_encodings: int
    searches: int
    n_refreshes: int
    mine_seconds: float

    @property
    def encodings(self) -> int:
        return self.train_encodings + self.mine_encodings


@dataclass(frozen=True)
class Preview:
    """A recipe on sampled training queries. ``query_rows`` int64 (Q,); every lane's tables have these queries in this order."""

    recipe: Recipe
    query_rows: np.ndarray
    lanes: tuple[LanePreview, ...]
    cost: CostEstimate

    def false_negative_rate(self, context: MiningContext) -> float | None:
        """Share of the picked negatives that the corpus's truth calls relevant; None without truth or picks."""
        truth = context.corpus.truth
        found, n = 0, 0
        for lane in self.lanes:
            rows = np.take_along_axis(lane.candidates.doc_rows, np.maximum(lane.columns, 0), 1)
            is_real = lane.columns >= 0
            n += int(is_real.sum())
            if truth is not None:
                found += int(((truth.grade_of(self.query_rows[:, None], rows) >= 1) & is_real).sum())
        return found / n if truth is not None and n else None


def sample_queries(context: MiningContext, n: int, seed: int, always: int | None = None) -> np.ndarray:
    """Up to ``n`` training query rows, seeded, ascending; ``always`` is among them when it is a training query."""
    rows = np.unique(context.training_pairs[0])
    if len(rows) > n:
        rows = np.random.default_rng([seed, 7]).choice(rows, n, replace=False)
    if always is not None:
        rows = np.append(rows, always)
    return np.unique(rows)


def lanes_of(recipe: Recipe) -> tuple[Lane, ...]:
    """The recipe's lanes, and one that stands for the search at each step where the batch piece searches the whole corpus."""
    if not recipe.batch.fixes_documents:
        return recipe.mined
    depth = recipe.batch.depth
    search = Lane(source=Dense(), window=RankWindow(first=1, last=depth), filters=(), picker=Top(), per_query=min(depth, 1000))
    return (*recipe.mined, search)


def preview(
    recipe: Recipe,
    context: MiningContext,
    query_rows: np.ndarray,
    *,
    seed: int = 0,
    epochs: int = 8,
    batch_size: int = 128,
    encode_seconds: float = 0.0,
) -> Preview:
    """Mine and pick for the sampled queries exactly as training would with the context's vectors.

    ``encode_seconds``: what encoding the whole corpus once took, for the estimate of the refreshes.
    """
    lanes = []
    for index, lane in enumerate(lanes_of(recipe)):
        # Twice, a few queries and all: the difference is the cost of a query, the rest is paid once.
        few = query_rows[: max(1, len(query_rows) // 8)]
        mine_lane(lane, context, few[:1], np.random.default_rng(seed), index=index)  # compilation, first touch
        started = time.perf_counter()
        mine_lane(lane, context, few, np.random.default_rng(seed), index=index)
        middle = time.perf_counter()
        table = mine_lane(lane, context, query_rows, np.random.default_rng([seed, 8, index]), index=index)
        columns = pick(lane, table, np.random.default_rng([seed, 9, index]))
        seconds = time.perf_counter() - middle
        n_more = len(query_rows) - len(few)
        per_query = max(0.0, seconds - (middle - started)) / n_more if n_more else seconds / len(query_rows)
        lanes.append(LanePreview(lane, table, columns, seconds, per_query))
    cost = _cost(recipe, context, lanes, len(query_rows), epochs, batch_size, encode_seconds)
    return Preview(recipe, query_rows, tuple(lanes), cost)


def _cost(recipe, context, lanes, n_sampled: int, epochs: int, batch_size: int, encode_seconds: float) -> CostEstimate:
    corpus = context.corpus
    n_pairs = len(context.training_pairs[0])
    n_queries = len(np.unique(context.training_pairs[0]))
    steps_per_epoch = max(1, -(-n_pairs // max(1, min(recipe.passes.pairs(batch_size), n_pairs))))
    n_refreshes = recipe.schedule.refreshes(epochs * steps_per_epoch, steps_per_epoch)
    searches, mine_encodings, seconds = 0, 0, 0.0
    fixes = recipe.batch.fixes_documents
    for index, lane in enumerate(lanes):
        source = lane.lane.source
        scaled = lane.seconds_for(n_queries, n_sampled)
        if index >= len(recipe.mined):  # every query once an epoch; documents are encoded once, queries by the step itself
            searches += n_queries * epochs
            mine_encodings += corpus.n_documents
            seconds += scaled * epochs + encode_seconds
            continue
        times = epochs if source.is_redrawn else n_refreshes if source.is_dynamic else 1
        if source.is_redrawn:
            seconds += scaled * times
            continue
        searches += n_queries * times
        seconds += scaled * times
        if source.key != "bm25":
            mine_encodings += (corpus.n_documents + n_queries) * times
            seconds += encode_seconds * times
    texts = 1 if fixes else 2 + recipe.per_query
    return CostEstimate(epochs * n_pairs * texts, mine_encodings, searches, n_refreshes, seconds)
