"""How far judges agree beyond chance: Cohen's kappa for every two of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np

Pair = TypeVar("Pair")
# Landis & Koch 1977; the words are a habit, not a law.
WORDS = ((0.0, "less than chance"), (0.2, "slight"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial"), (1.01, "almost perfect"))


@dataclass(frozen=True)
class Agreement:
    """Two judges on the ``n`` pairs that both judged. ``observed``: share judged alike; ``kappa``: NaN where both gave only one
    and the same label, or n = 0; ``table`` int64 (K, K): rows = the first judge's label, columns = the second's."""

    first: str
    second: str
    n: int
    observed: float
    kappa: float
    table: np.ndarray

    @property
    def words(self) -> str:
        """Landis & Koch's word for the kappa; "" for NaN."""
        if np.isnan(self.kappa):
            return ""
        return next(word for limit, word in WORDS if self.kappa < limit or limit > 1)


def agreements(by_pair: Mapping[Pair, Mapping[str, str]], kinds: Sequence[str]) -> list[Agreement]:
    """One row for every two judges with a pair in common, most pairs first. ``by_pair``: pair -> judge -> one of ``kinds``."""
    judges = sorted({judge for votes in by_pair.values() for judge in votes})
    place = {kind: i for i, kind in enumerate(kinds)}
    found = []
    for first, second in combinations(judges, 2):
        both = [(place[v[first]], place[v[second]]) for v in by_pair.values() if first in v and second in v]
        if both:
            table = np.zeros((len(kinds), len(kinds)), np.int64)
            np.add.at(table, tuple(np.array(both).T), 1)
            found.append(Agreement(first, second, len(both), float(np.trace(table) / len(both)), kappa(table), table))
    return sorted(found, key=lambda a: (-a.n, a.first, a.second))


def kappa(table: np.ndarray) -> float:
    """Cohen's kappa (1960) of a confusion table: (observed - expected) / (1 - expected); NaN where chance alone agrees always.

    >>> round(kappa(np.array([[20, 5], [10, 15]])), 3)
    0.4
    """
    n = table.sum()
    if n == 0:
        return float("nan")
    expected = float((table.sum(0) / n) @ (table.sum(1) / n))
    observed = float(np.trace(table) / n)
    return float("nan") if np.isclose(expected, 1.0) else (observed - expected) / (1 - expected)
