"""Presets of strategies that mine: what the current model, the log or the corpus's own structure offers as negatives."""

from __future__ import annotations

from core.sampling.batch import InBatch
from core.sampling.pickers import TriSampler
from core.sampling.preset import Preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.schedule import EverySteps
from core.sampling.sources import Dense
from core.sampling.windows import RankWindow

PRESETS_MINED = (
    Preset(
        name="trisampler",
        title="TriSampler",
        family="dynamic",
        lesson="Negatives that make a nearly regular triangle with the query and its positive.\n"
        "Drawn from the top 100 of the current model: those count that lie closer to the positive than to the query, and the more so "
        "the nearer their score is to the positive's. Cosines lie between -1 and 1, so the spread is .05 here (the paper's 4 "
        "belongs to dot products). What is close to the positive is often a copy of it or an answer too: add a filter where labels "
        "are few.",
        source=TriSampler.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=Dense(), window=RankWindow(last=100), picker=TriSampler(spread=0.05), per_query=2),),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="medium",
        is_seed_named=False,
    ),
)
