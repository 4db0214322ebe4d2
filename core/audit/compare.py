"""Comparing finished trials on the same held-out queries: means with bands, paired tests, seeds taken together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from core.errors import TrialError
from core.evaluate.metrics import MEASURES
from core.evaluate.significance import Band, Difference, holm, mean_band, paired_randomisation
from core.train.config import TrialConfig
from core.train.results import TrialResults

# One stream for every band and test: the same trials give the same figures on each page view.
SEED = 20_201
TRIAL, BASELINE = "trial", "baseline"
UNTRAINED, BM25 = "untrained", "BM25"
LEVEL = 0.05


@dataclass(frozen=True)
class System:
    """One line of the comparison: a trial, seeds of one recipe taken together, or a baseline.

    ``key``: the trial's folder name, the recipe's group, or the baseline's name. ``values``: measure -> float64 (Q,), for
    several seeds each query's mean. ``seconds``: what of (train, mine, evaluate, total) -> seconds, for several seeds their mean.
    ``spread``: measure -> (lowest, highest) mean of the seeds, empty for one trial. ``members``: keys of the trials in it.
    """

    name: str
    kind: str
    key: str
    values: dict[str, np.ndarray]
    seconds: dict[str, float] = field(default_factory=dict)
    group: str = ""
    seed: int | None = None
    members: tuple[str, ...] = ()
    spread: dict[str, tuple[float, float]] = field(default_factory=dict)

    def mean(self, measure: str) -> float:
        """Over the queries that count; NaN when none does."""
        values = self.values[measure]
        known = values[~np.isnan(values)]
        return float(known.mean()) if len(known) else float("nan")

    def band(self, measure: str) -> Band:
        """Mean and 95 % bootstrap band over the queries."""
        return mean_band(self.values[measure], rng=np.random.default_rng(SEED))


@dataclass(frozen=True)
class Comparison:
    """Trials (first), then baselines, all on ``query_rows``; differences are against the first trial."""

    query_rows: np.ndarray
    systems: tuple[System, ...]

    @property
    def trials(self) -> tuple[System, ...]:
        return tuple(s for s in self.systems if s.kind == TRIAL)

    def difference(self, measure: str, a: int, b: int) -> Difference:
        """systems[a] - systems[b], paired by query."""
        return paired_randomisation(self.systems[a].values[measure], self.systems[b].values[measure], rng=np.random.default_rng(SEED))

    def against_first(self, measure: str) -> list[tuple[int, Difference, float]]:
        """[(index, difference to the first trial, Holm-corrected p)] for every other system."""
        others = [i for i in range(len(self.systems)) if i != 0]
        found = [self.difference(measure, i, 0) for i in others]
        corrected = holm([d.p for d in found]) if found else []
        return [(i, d, float(p)) for i, d, p in zip(others, found, corrected, strict=True)]

    def by_recipe(self) -> Comparison:
        """The same with trials that differ in nothing but the seed taken together, in the order of their first."""
        groups: dict[str, list[System]] = {}
        for system in self.trials:
            groups.setdefault(system.group, []).append(system)
        together = [_together(members) for members in groups.values()]
        return Comparison(self.query_rows, tuple(_distinct([*together, *(s for s in self.systems if s.kind != TRIAL)])))

    @property
    def has_seeds(self) -> bool:
        """Whether two of the trials differ in nothing but the seed."""
        groups = [system.group for system in self.trials]
        return len(set(groups)) < len(groups)


def compare_trials(
    trials: Sequence[TrialResults],
    *,
    against_truth: bool = False,
    names: Mapping[str, str] | None = None,
    baselines: Mapping[str, dict[str, np.ndarray]] | None = None,
) -> Comparison:
    """The comparison of finished trials; raises TrialError when one has not finished or they differ in corpus or queries.

    ``against_truth``: measures against the fuller judgements; ``baselines`` then gives those of the baselines by name (see
    :func:`core.audit.rankings.truth_baselines`), against the labels they are in the trials' own tables. ``names``: by folder name.
    """
    if not trials:
        raise TrialError("Nothing to compare. Choose at least one finished trial.")
    prints = {str((t.result or {}).get("corpus_fingerprint", t.config.corpus_fingerprint)) for t in trials}
    if len(prints) > 1:
        raise TrialError("These trials were trained on different corpora and cannot be compared. Choose trials of one corpus.")
    systems: list[System] = []
    found: dict[str, dict[str, np.ndarray]] = dict(baselines or {})
    query_rows = None
    for trial in trials:
        table = trial.per_query()
        rows = table["query_row"].to_numpy()
        if query_rows is not None and not np.array_equal(rows, query_rows):
            raise TrialError("These trials were evaluated on different queries, so they cannot be compared query by query.")
        query_rows = rows
        prefix = "truth" if against_truth else "trial"
        if f"{prefix}.{MEASURES[0]}" not in table.column_names:
            raise TrialError("This corpus has no truth to compare against. Compare against the labels.")
        key = trial.folder.name
        name = (names or {}).get(key) or trial.config.name or key
        systems.append(
            System(
                name,
                TRIAL,
                key,
                _values(table, prefix),
                dict((trial.result or {}).get("seconds", {})),
                group_of(trial.config),
                trial.config.seed,
                (key,),
            )
        )
        if not against_truth:
            _add_baseline(found, UNTRAINED, _values(table, "untrained"), name)
            _add_baseline(found, BM25, _values(table, "bm25"), name)
    systems += [System(name, BASELINE, name, values) for name, values in sorted(found.items(), key=lambda item: item[0] == BM25)]
    return Comparison(query_rows.astype(np.int64), tuple(_distinct(systems)))


def group_of(config: TrialConfig) -> str:
    """A key that two trials share when they differ in nothing but seed, name, which trial they repeat and where the corpus lies."""
    told = {k: v for k, v in config.to_dict().items() if k not in ("seed", "name", "corpus", "snapshots", "recipe_name", "like")}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


def sentence(name: str, first: str, difference: Difference, p: float, measure: str) -> str:
    """What a difference ``name`` - ``first`` allows to be said, p being corrected for several tests.

    >>> sentence("ANCE", "in-batch", Difference(0.012, 0.003, 0.021, 0.01, 232), 0.01, "RR@10")
    'ANCE is better than in-batch by .012 RR@10 (95 % band .003 to .021, p = .01).'
    """
    if np.isnan(difference.mean):
        return f"{name} and {first} share no query with a positive."
    shown = f"95 % band {_short(difference.low)} to {_short(difference.high)}, {_p(p)}"
    if p > LEVEL:
        return f"No difference between {name} and {first} can be shown ({_short(difference.mean, sign=True)} {measure}, {shown})."
    word = "better" if difference.mean > 0 else "worse"
    return f"{name} is {word} than {first} by {_short(abs(difference.mean))} {measure} ({shown})."


def _short(value: float, *, sign: bool = False) -> str:
    value = 0.0 if abs(value) < 0.0005 else value  # no "-.000"
    text = f"{value:+.3f}" if sign and value else f"{value:.3f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _p(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {_short(p).rstrip('0') if p < 0.9995 else '1'}"


def _values(table, prefix: str) -> dict[str, np.ndarray]:
    return {m: table[f"{prefix}.{m}"].to_numpy() for m in MEASURES}


def _add_baseline(found: dict[str, dict[str, np.ndarray]], name: str, values: dict[str, np.ndarray], trial: str) -> None:
    """Trials of one encoder and seed share one untrained baseline; another one gets a line of its own."""
    same = [other for key, other in found.items() if key.startswith(name)]
    if any(all(np.array_equal(other[m], values[m], equal_nan=True) for m in MEASURES) for other in same):
        return
    found[f"{name} ({trial})" if same else name] = values


def _together(members: list[System]) -> System:
    if len(members) == 1:
        return members[0]
    with np.errstate(invalid="ignore"):
        values = {m: np.mean([s.values[m] for s in members], axis=0) for m in MEASURES}
    means = {m: [s.mean(m) for s in members] for m in MEASURES}
    parts = set.intersection(*(set(s.seconds) for s in members))
    return replace(
        members[0],
        name=f"{_common_name([s.name for s in members])} ({len(members)} seeds)",
        key=members[0].group,
        values=values,
        seconds={part: float(np.mean([s.seconds[part] for s in members])) for part in members[0].seconds if part in parts},
        seed=None,
        members=tuple(s.key for s in members),
        spread={m: (min(means[m]), max(means[m])) for m in MEASURES},
    )


def _common_name(names: list[str]) -> str:
    """What the names begin with, without a trailing "seed", comma or bracket; the first name where that is nothing."""
    first = min(names, key=len)
    n = next((i for i in range(len(first)) if any(name[i] != first[i] for name in names)), len(first))
    common = first[:n].rstrip(" ,;:-(_#")
    common = common.removesuffix("seed").rstrip(" ,;:-(_#")
    return common or names[0]


def _distinct(systems: list[System]) -> list[System]:
    """Names made different where two share one."""
    seen: dict[str, int] = {}
    result = []
    for system in systems:
        seen[system.name] = seen.get(system.name, 0) + 1
        result.append(replace(system, name=f"{system.name} ({seen[system.name]})") if seen[system.name] > 1 else system)
    return result
