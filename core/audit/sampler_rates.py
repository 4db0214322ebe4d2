"""How many false negatives every sampler takes, by rank: counted against truth, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.evidence import Evidence
from core.audit.trial_figures import RANK_BANDS, RateOfBand, wilson
from core.sampling.context import MiningContext
from core.sampling.mine import mine_lane, pick
from core.sampling.presets import PRESETS
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import BM25Source, Dense, Gold, RandomCorpus
from core.sampling.windows import RankWindow

DEEPEST = 500
SOURCE, PRESET, TRIAL = "source", "preset", "trial"
CROSS_FILTER = "cross-encoder"


@dataclass(frozen=True)
class SamplerRate:
    """One sampler. ``kind``: "source" (every document that it ranks, nothing refused but known positives and copies of one),
    "preset" (what a recipe picks) or "trial" (what the trial kept, or used). ``bands``: by rank, empty where it has no ranks."""

    name: str
    kind: str
    bands: tuple[RateOfBand, ...]
    overall: RateOfBand

    def to_dict(self) -> dict:
        """JSON-ready."""
        bands = [_band_dict(band) for band in (*self.bands, self.overall)]
        return {"name": self.name, "kind": self.kind, "bands": bands}


def sampler_rates(evidence: Evidence, *, presets: bool = True, seed: int = 0) -> list[SamplerRate]:
    """The false-negative rate of each source, of each mined preset and of the evidence's trial, on all training queries.

    The model of every dense sampler is the evidence's main model, as it is now. Needs truth. A pair that truth does not list counts
    as a true negative: where truth is not complete the rates are lower bounds.
    """
    context = MiningContext(evidence.corpus, lambda which: evidence.vectors, evidence.context.index)
    query_rows = np.unique(context.training_pairs[0])
    found = []
    sources = [("BM25", BM25Source(), context), ("dense, this model", Dense(), context)]
    if evidence.guide is not None:
        other = MiningContext(evidence.corpus, lambda which: evidence.guide, evidence.context.index)
        sources.append(("dense, the guide", Dense(), other))
    window = RankWindow(last=min(DEEPEST, max(evidence.corpus.n_documents, 1)))
    for name, source, own in sources:
        table = mine_lane(Lane(source=source, window=window), own, query_rows, np.random.default_rng(0), with_model_scores=False)
        found.append(_rate(name, SOURCE, context, *_flat(table, table.is_kept), has_ranks=True))
    for source in (RandomCorpus(), Gold()):
        lane = Lane(source=source, per_query=20)
        table = mine_lane(lane, context, query_rows, np.random.default_rng([seed, 8]), with_model_scores=False)
        found.append(_rate(source.title, SOURCE, context, *_flat(table, table.is_kept), has_ranks=False))
    if presets:
        for name, preset in PRESETS.items():
            if preset.recipe.mined and (evidence.has_cross or not _asks_cross(preset.recipe)):
                found.append(_of_preset(name, preset.recipe, context, query_rows, seed))
    if evidence.table is not None:
        found += _of_trial(evidence)
    return found


def _asks_cross(recipe: Recipe) -> bool:
    return any(rule.key == CROSS_FILTER for lane in recipe.mined for rule in lane.filters)


def _flat(table, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(query rows, document rows, ranks) of the candidates under the mask."""
    queries = np.broadcast_to(table.query_rows[:, None], table.doc_rows.shape)
    return queries[mask], table.doc_rows[mask], np.broadcast_to(table.ranks, mask.shape)[mask]


def _of_preset(name: str, recipe: Recipe, context: MiningContext, query_rows: np.ndarray, seed: int) -> SamplerRate:
    parts, has_ranks = [], False
    for index, lane in enumerate(recipe.mined):
        table = mine_lane(lane, context, query_rows, np.random.default_rng([seed, 8, index]), index=index, with_model_scores=False)
        columns = pick(lane, table, np.random.default_rng([seed, 9, index]))
        is_picked = np.zeros(table.doc_rows.shape, bool)
        rows, places = np.nonzero(columns >= 0)
        is_picked[rows, columns[rows, places]] = True
        queries, docs, ranks = _flat(table, is_picked)
        parts.append((queries, docs, np.zeros_like(ranks) if lane.source.is_redrawn else ranks))
        has_ranks |= not lane.source.is_redrawn
    return _rate(name, PRESET, context, *(np.concatenate(column) for column in zip(*parts, strict=True)), has_ranks=has_ranks)


def _of_trial(evidence: Evidence) -> list[SamplerRate]:
    from core.audit.trial_figures import pairs_of

    pairs = pairs_of(evidence.table)
    pairs = pairs.take(~evidence.context.protected.contains(pairs.query_row, pairs.doc_row))
    found = []
    for name, mask in (("this trial kept", pairs.n_kept > 0), ("this trial trained against", pairs.times_used > 0)):
        own = pairs.take(mask)
        ranks = evidence.table.rank[own.last]
        found.append(_rate(name, TRIAL, evidence.context, own.query_row, own.doc_row, ranks, has_ranks=True))
    return found


def _rate(name: str, kind: str, context: MiningContext, queries, docs, ranks, *, has_ranks: bool) -> SamplerRate:
    is_false = context.corpus.truth.grade_of(queries, docs) >= 1
    bands = []
    for first, last in RANK_BANDS if has_ranks else ():
        inside = (ranks >= first) & (ranks <= last if last else True)
        if inside.any():
            bands.append(_band(f"{first}-{last}" if last else f"{first}-{int(ranks.max())}", is_false[inside]))
    return SamplerRate(name, kind, tuple(bands), _band("all", is_false))


def _band(label: str, is_false: np.ndarray) -> RateOfBand:
    n, n_false = len(is_false), int(is_false.sum())
    return RateOfBand(label, n, n_false, *wilson(n_false, n))


def _band_dict(band: RateOfBand) -> dict:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in vars(band).items()}
