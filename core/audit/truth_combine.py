"""Combinations as the truth bench fits them, each on one half of the queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.audit.combine import KOfN
from core.audit.learned import Lessons, held_out_probabilities, learn, too_few
from core.audit.reason import Reason
from core.audit.truth_measures import best_threshold

N_VERDICTS = 200
CEILING = "learned-all"
MOST_REASONS = 6  # in a searched k of n: more are hard to explain, and gain nothing on the other half


@dataclass(frozen=True)
class Half:
    """The pairs of one half of the queries: doubts by reason's key, whether truth calls the pair relevant, its query."""

    reasons: tuple[Reason, ...]
    doubts: Mapping[str, np.ndarray]
    is_false: np.ndarray
    query_rows: np.ndarray

    def __len__(self) -> int:
        return len(self.is_false)

    def split(self, seed: Sequence[int]) -> tuple[Half, Half]:
        """Its pairs by query, one random half of the queries and the other."""
        queries = np.unique(self.query_rows)
        shuffled = np.random.default_rng(seed).permutation(queries)
        is_first = np.isin(self.query_rows, shuffled[: len(queries) // 2])
        return self._take(is_first), self._take(~is_first)

    def _take(self, rows: np.ndarray) -> Half:
        doubts = {key: values[rows] for key, values in self.doubts.items()}
        return Half(self.reasons, doubts, self.is_false[rows], self.query_rows[rows])


@dataclass(frozen=True)
class Fitted:
    """A combination fitted on a half. ``score``: doubts -> float (N,); ``tuning_scores``: the same on its own half, for what
    was learned by cross-validation; ``threshold``: the decision's own, or None = of the best F1 there."""

    key: str
    title: str
    score: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    tuning_scores: np.ndarray
    threshold: float | None
    about: str


def fit_any(half: Half, seed: int) -> Fitted:
    """Any reason, each at the threshold that is best for it alone."""
    reasons = _at_best_thresholds(half)
    return _votes("any", "Any reason", reasons, 1, half, f"1 of {len(reasons)} reasons, each at its own best threshold")


def fit_k_of_n(half: Half, seed: int) -> Fitted:
    """The best k of n found by adding one reason after the other, as long as F1 on this half grows."""
    reasons = _at_best_thresholds(half)
    votes = np.array([reason.flag(half.doubts[reason.key]) for reason in reasons], np.int16)
    chosen: list[int] = []
    best = (-1.0, 1)
    while len(chosen) < min(MOST_REASONS, len(reasons)):
        count = votes[chosen].sum(0) if chosen else np.zeros(len(half), np.int16)
        found = [
            (_f1(half.is_false, count + votes[i] >= k), -k, i)
            for i in range(len(reasons))
            if i not in chosen
            for k in range(1, len(chosen) + 2)
        ]
        f1, minus_k, added = max(found)
        if f1 <= best[0]:
            break
        chosen.append(added)
        best = (f1, -minus_k)
    taken = [reasons[i] for i in chosen]
    about = f"{best[1]} of {len(taken)}: " + ", ".join(f"{r.title.lower()} (from {r.threshold:.3g})" for r in taken)
    return _votes("k-of-n", "Best k of n", taken, best[1], half, about)


def fit_learned_from_few(half: Half, seed: int) -> Fitted:
    """A regression on 200 simulated verdicts: 100 of the strongest suspects, as a judge meets them, and 100 drawn at random."""
    rng = np.random.default_rng([seed, 29])
    strength = np.mean([_percentiles(half.doubts[r.key]) for r in half.reasons], axis=0)
    top = np.argsort(-strength, kind="stable")[: N_VERDICTS // 2]
    rest = np.setdiff1d(np.arange(len(half)), top)
    drawn = rng.choice(rest, min(N_VERDICTS - len(top), len(rest)), replace=False)
    rows = np.sort(np.concatenate([top, drawn]))
    about = f"logistic regression on {len(rows)} verdicts simulated from truth (half of them the strongest suspects, half drawn at random)"
    return _learned(f"learned-{N_VERDICTS}", f"Learned from {N_VERDICTS} verdicts", half, rows, about, is_all=False)


def fit_learned_from_all(half: Half, seed: int) -> Fitted:
    """A regression on all pairs of the half: what judging everything could give."""
    about = f"logistic regression on all {len(half):,} pairs of one half, judged by truth"
    return _learned(CEILING, "Learned from half of truth", half, np.arange(len(half)), about, is_all=True)


FITTERS: tuple[Callable[[Half, int], Fitted], ...] = (fit_any, fit_k_of_n, fit_learned_from_few, fit_learned_from_all)


def _learned(key: str, title: str, half: Half, rows: np.ndarray, about: str, *, is_all: bool) -> Fitted:
    keys = [reason.key for reason in half.reasons]
    lessons = Lessons({k: half.doubts[k][rows] for k in keys}, half.is_false[rows], half.query_rows[rows])
    if why := too_few(lessons):
        nothing = np.full(len(half), np.nan)
        return Fitted(key, title, lambda doubts: np.full(len(next(iter(doubts.values()))), np.nan), nothing, None, why)
    model = learn(keys, lessons)
    tuning = model.probabilities(half.doubts).astype(np.float64)
    # What it learned from must not choose its threshold.
    tuning[rows] = held_out_probabilities(keys, lessons) if is_all else np.nan
    strongest = sorted(model.weights.items(), key=lambda item: -abs(item[1]))[:6]
    about += "; strongest weights: " + ", ".join(f"{name} {weight:+.2f}" for name, weight in strongest)
    return Fitted(key, title, model.probabilities, tuning, None, about)


def _votes(key: str, title: str, reasons: Sequence[Reason], k: int, half: Half, about: str) -> Fitted:
    rule = KOfN(k=k)

    def score(doubts: Mapping[str, np.ndarray]) -> np.ndarray:
        return rule.decide(reasons, doubts).combined

    return Fitted(key, title, score, score(half.doubts), 0.5, about)


def _at_best_thresholds(half: Half) -> list[Reason]:
    """The reasons with the thresholds of the best F1 on this half, within what the parameter allows; useless ones left out."""
    found = []
    for reason in half.reasons:
        threshold = best_threshold(half.is_false, half.doubts[reason.key])
        if not np.isfinite(threshold):
            continue
        declared = next(p for p in reason.params() if p.name == "threshold")
        low, high = (-np.inf if declared.ge is None else declared.ge), (np.inf if declared.le is None else declared.le)
        found.append(reason.but(threshold=float(np.clip(threshold, low, high))))
    return found


def _f1(is_false: np.ndarray, is_accused: np.ndarray) -> float:
    right = int((is_false & is_accused).sum())
    return 2 * right / max(int(is_accused.sum()) + int(is_false.sum()), 1)


def _percentiles(doubts: np.ndarray) -> np.ndarray:
    filled = np.where(np.isnan(doubts), -np.inf, doubts)
    return np.searchsorted(np.sort(filled), filled, "left") / max(len(filled), 1)
