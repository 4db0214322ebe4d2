"""Rules that make one decision out of several reasons; the reasons stay visible as columns beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from core.audit.learned import Learned, Lessons, learn
from core.audit.reason import Reason
from core.params import Citation, Piece, make_piece, param


@dataclass(frozen=True)
class Decision:
    """``combined``: float32 (N,) in [0, 1], larger = more doubt; ``is_suspect``: bool (N,); ``learned``: what the rule learned,
    None for a rule that learns nothing."""

    combined: np.ndarray
    is_suspect: np.ndarray
    learned: Learned | None = None


class Combination(Piece):
    """Base of the combinations."""

    family = "combination"

    def decide(self, reasons: Sequence[Reason], doubts: Mapping[str, np.ndarray], lessons: Lessons | None = None) -> Decision:
        """The decision on each pair. ``doubts``: reason's key -> float32 (N,), at least one; a reason that is not there has no
        vote. ``lessons``: people's verdicts with the same doubts. Raises ParameterError where it cannot decide."""
        raise TypeError(f"{type(self).__name__} decides nothing")

    def missing(self, lessons: Lessons | None) -> str:
        """"" or one sentence why this rule cannot be used yet."""
        return ""


def _degrees(reasons: Sequence[Reason], doubts: Mapping[str, np.ndarray]) -> np.ndarray:
    """float32 (R, N): each reason's degree, .5 = at its threshold."""
    return np.stack([reason.degree(doubts[reason.key]) for reason in reasons if reason.key in doubts])


@dataclass(frozen=True, kw_only=True)
class AnyReason(Combination):
    """One reason is enough.

    A candidate is suspected as soon as one reason reaches its threshold; the combined doubt is that of the strongest reason.
    Finds most of what there is to find and accuses many true negatives: right when people look at every suspect.
    """

    key = "any"
    title = "Any reason"
    source = Citation("Brodley and Friedl", 1999, "Identifying mislabeled training data", "https://arxiv.org/abs/1106.0219")

    def decide(self, reasons, doubts, lessons=None):
        strongest = _degrees(reasons, doubts).max(0)
        return Decision(strongest, strongest >= 0.5)


@dataclass(frozen=True, kw_only=True)
class KOfN(Combination):
    """At least k reasons must agree.

    The combined doubt is that of the k-th strongest reason, so a candidate is suspected where k of them reach their thresholds.
    Larger k: fewer suspects, more of them right. Reasons that say the same in other words (three cuts on one score) count as
    several votes: choose reasons of different kinds. A reason that cannot be said does not vote.
    """

    key = "k-of-n"
    title = "k of n reasons"
    source = AnyReason.source
    k: int = param(2, "reasons that must reach their thresholds", unit="reasons", ge=1, le=100)

    def summary(self) -> str:
        return f"{self.k} of n reasons"

    def decide(self, reasons, doubts, lessons=None):
        degrees = _degrees(reasons, doubts)
        if self.k > len(degrees):
            return Decision(np.zeros(degrees.shape[1], np.float32), np.zeros(degrees.shape[1], bool))
        agreed = np.sort(degrees, axis=0)[len(degrees) - self.k]
        return Decision(agreed, agreed >= 0.5)


@dataclass(frozen=True, kw_only=True)
class LearnedFromVerdicts(Combination):
    """The weight of each reason is learned from what people judged.

    A logistic regression on the standardised doubts, every verdict one example: false negatives (and near-duplicates) against
    true negatives; "unsure" is left out. A doubt that cannot be said counts as average, and that it cannot be said is a column
    of its own. Regularised, so that a few dozen verdicts are enough to start; its precision is estimated on verdicts of queries
    that it did not learn from. Verdicts given only on the strongest suspects teach it little about the rest: judge some others.
    """

    key = "learned"
    title = "Learned from verdicts"
    cost = "low"
    difficulty = "medium"
    source = Citation("Ratner et al.", 2017, "Snorkel: Rapid training data creation with weak supervision", "https://arxiv.org/abs/1711.10160")
    threshold: float = param(0.5, "probability of a false negative from which a candidate is suspected", ge=0.0, le=1.0)
    strength: float = param(1.0, "inverse of the regularisation: smaller trusts the verdicts less", ge=0.0001, le=10_000.0)

    def decide(self, reasons, doubts, lessons=None):
        keys = [reason.key for reason in reasons if reason.key in doubts]
        learned = learn(keys, lessons, strength=self.strength, threshold=self.threshold)
        combined = learned.probabilities(doubts)
        return Decision(combined, combined >= np.float32(self.threshold), learned)

    def missing(self, lessons):
        from core.audit.learned import too_few

        return too_few(lessons)


COMBINATIONS: tuple[type[Combination], ...] = (AnyReason, KOfN, LearnedFromVerdicts)
#: What decides where nobody chose: any one of so many reasons accuses too much. On three ANCE trials of the lab corpus 3, 4, 5 and 6
#: reasons that agree have precision .29, .43, .55 and .65, recall .87, .80, .72 and .63; on a mined set that was imported, where fewer
#: reasons can be said, 3, 4 and 5 have precision .19, .24 and .30, recall .85, .69 and .54. People look at what is found, so recall counts
#: too. Chosen with the truth of such trials in sight, so the figures flatter it.
DEFAULT_COMBINATION = KOfN(k=4)


def make_combination(data: dict[str, Any] | str) -> Combination:
    """The combination that a dict (or a bare key) describes; raises ParameterError."""
    return cast(Combination, make_piece(COMBINATIONS, {"key": data} if isinstance(data, str) else data, "combination"))
