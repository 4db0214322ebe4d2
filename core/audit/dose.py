"""Dose and response: what planted false negatives do to a model, and how much of it a guarded recipe wins back.

Labels are hidden on purpose (core/corpus/planted.py): the dose is the share of the training positives that are hidden, and so can be
mined as negatives. Hiding takes labels away, too, so quality falls even without a false negative; both recipes lose the *same*
labels, and the gap between them is what the false negatives cost. Held-out labels are never hidden.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.planted import PREFIX, planted_spec, read_spec
from core.errors import ParameterError
from core.evaluate.significance import Band, Difference, mean_band, paired_randomisation
from core.sampling.presets import PRESETS, preset
from core.train.config import TrialConfig
from core.train.results import TrialResults

SHARES = (0.0, 0.25, 0.5)  # of the positives of queries with several; each keeps one, so that more is hardly possible
NAIVE = "ance"
GUARDED = ("ance-denoised", "nv-retriever")  # the first that exists
SEED = 20_260


@dataclass(frozen=True)
class Dose:
    """One recipe at one share, its seeds together. ``asked``: share of the hideable positives asked to be hidden; ``hidden``: how
    many training labels were; ``false_negative_rate``: of the kept candidates, mean over all minings and seeds, NaN = nothing mined;
    ``quality``: the measure's mean over held-out queries, each query the mean of its seeds, with its bootstrap band."""

    recipe: str
    asked: float
    hidden: int
    false_negative_rate: float
    quality: Band
    n_seeds: int


@dataclass(frozen=True)
class DoseResponse:
    """``doses``: by recipe, then share. ``gaps``: share -> guarded - naive, paired by query. ``measure``: such as "truth.RR@10"."""

    measure: str
    doses: tuple[Dose, ...]
    gaps: dict[float, Difference]

    @property
    def sentence(self) -> str:
        """What the doses show."""
        if not self.gaps:
            return "Only one recipe has finished trials at a share; there is nothing to compare yet."
        least, most = min(self.gaps), max(self.gaps)
        told = [
            f"with {share:.0%} hidden the guarded recipe is {gap.mean:+.3f} {self.said} from the naive one "
            f"(95 % band {gap.low:+.3f} to {gap.high:+.3f}, p = {gap.p:.3f})"
            for share, gap in sorted(self.gaps.items())
            if share in (least, most)
        ]
        return "W" + "; ".join(told)[1:] + "."

    @property
    def said(self) -> str:
        """The measure in words."""
        against, name = self.measure.split(".", 1)
        return f"{name} against {'truth' if against == 'truth' else 'the labels'}"


def guarded_recipe() -> str:
    """The name of the preset that is compared with naive ANCE."""
    return next(name for name in GUARDED if name in PRESETS)


def dose_plan(
    spec: str,
    corpus: Corpus,
    *,
    shares: Sequence[float] = SHARES,
    seeds: Sequence[int] = (0, 1, 2),
    recipes: Sequence[str] = (),
    **settings,
) -> list[TrialConfig]:
    """The trials to train: every recipe at every share with every seed; ``settings``: epochs and the like.

    The seed of a trial also chooses which labels are hidden, alike for every recipe. Raises ParameterError for a corpus that
    is already planted, or a share outside [0, 1].
    """
    if spec.startswith(PREFIX):
        raise ParameterError("Give the corpus itself: the dose-response hides labels on its own.")
    if any(not 0 <= share <= 1 for share in shares):
        raise ParameterError(f"Shares of positives to hide must be numbers in [0, 1]; got {', '.join(map(str, shares))}.")
    return [
        TrialConfig(
            corpus=planted_spec(spec, share, seed) if share else spec,
            corpus_name=corpus.name,
            recipe=preset(name).recipe.to_dict(),
            recipe_name=preset(name).title,
            name=f"dose {share:.0%}, {name}, seed {seed}",
            seed=seed,
            **settings,
        )
        for share in shares
        for seed in seeds
        for name in (recipes or (NAIVE, guarded_recipe()))
    ]


def share_of(config: TrialConfig) -> float:
    """The share of positives that the trial's corpus hides; 0 for a corpus that is not planted."""
    return read_spec(config.corpus)[0] if config.corpus.startswith(PREFIX) else 0.0


def gather(trials: Sequence[TrialResults], *, measure: str = "RR@10", against_truth: bool | None = None) -> DoseResponse:
    """Quality against dose, from finished trials of one corpus; unfinished ones are left out.

    ``against_truth``: measured against the fuller judgements; default: where every trial has them. Recipes are told apart by
    their pieces and named by the trial's recipe name; the first that appears is the naive one.
    """
    done = [trial for trial in trials if trial.result is not None]
    tables = [trial.per_query() for trial in done]
    if against_truth is None:
        against_truth = bool(done) and all(f"truth.{measure}" in table.column_names for table in tables)
    column = f"{'truth' if against_truth else 'trial'}.{measure}"
    groups: dict[tuple[str, float], list[int]] = {}
    for i, trial in enumerate(done):
        groups.setdefault((trial.config.recipe_name or trial.config.name, share_of(trial.config)), []).append(i)
    doses, values = [], {}
    for (recipe, share), members in groups.items():
        own = np.mean([tables[i][column].to_numpy() for i in members], axis=0)
        values[recipe, share] = own
        rates = [rate for i in members for rate in _false_negative_rates(done[i])]
        doses.append(
            Dose(
                recipe=recipe,
                asked=share,
                hidden=round(np.mean([_n_hidden(done, i) for i in members])),
                false_negative_rate=float(np.mean(rates)) if rates else float("nan"),
                quality=mean_band(own, rng=np.random.default_rng(SEED)),
                n_seeds=len(members),
            )
        )
    recipes = list(dict.fromkeys(recipe for recipe, _ in groups))
    doses.sort(key=lambda dose: (recipes.index(dose.recipe), dose.asked))
    gaps = {}
    if len(recipes) == 2:
        for share in sorted({share for _, share in groups}):
            naive, guarded = (values.get((recipe, share)) for recipe in recipes)
            if naive is not None and guarded is not None:
                gaps[share] = paired_randomisation(guarded, naive, rng=np.random.default_rng(SEED))
    return DoseResponse(column, tuple(doses), gaps)


def _n_hidden(trials: Sequence[TrialResults], place: int) -> int:
    """Training pairs that this trial lacks beside the one with the most."""
    most = max(int((trial.result or {}).get("n_train_pairs", 0)) for trial in trials)
    return most - int((trials[place].result or {}).get("n_train_pairs", 0))


def _false_negative_rates(trial: TrialResults) -> list[float]:
    from core.train.events import read_events

    events, _ = read_events(trial.folder / "events.jsonl")
    lanes = [lane for event in events if event.get("kind") == "refresh" for lane in event["lanes"]]
    return [float(lane["false_negative_rate"]) for lane in lanes if "false_negative_rate" in lane]
