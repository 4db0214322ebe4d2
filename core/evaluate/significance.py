"""Is a difference between two trials more than the luck of the queries?

Randomisation for the p-value and the bootstrap for the band, on per-query differences: no assumption of
normality, which measures such as RR@10 violate (Smucker, Allan & Carterette 2007, A comparison of
statistical significance tests for information retrieval evaluation, https://doi.org/10.1145/1321440.1321528).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

EXACT_UP_TO = 12  # 2**12 sign patterns: fewer than the default number of random ones
_BLOCK = 4_000_000  # cells of a resampling block held at once


@dataclass(frozen=True)
class Band:
    """A mean and its bootstrap band; NaN when no query counts."""

    mean: float
    low: float
    high: float
    n_queries: int


@dataclass(frozen=True)
class Difference:
    """Mean of ``a - b`` over the queries, its bootstrap band, and the two-sided p-value.

    ``is_exact``: all sign patterns were enumerated. ``p`` is never 0.
    """

    mean: float
    low: float
    high: float
    p: float
    n_queries: int
    is_exact: bool = False


def paired_randomisation(
    a: np.ndarray, b: np.ndarray, *, n: int = 10_000, rng: np.random.Generator, level: float = 0.95
) -> Difference:
    """Whether trial a's per-query values differ from trial b's: p-value and band of the mean of a - b.

    ``a[i]`` and ``b[i]`` belong to one query; pairs with a NaN (query without positives) are left out.
    p: the share of sign flips of the differences whose mean is at least as far from 0 as the observed
    one (Fisher's randomisation, two-sided), exact when 12 or fewer differences are not zero, otherwise
    ``(r + 1) / (n + 1)`` over n random flips (Phipson & Smyth 2010): a Monte Carlo p is never 0.
    low, high: percentile bootstrap over queries, n resamples. No queries: all NaN.
    Raises ValueError when the shapes differ.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"paired values need one shape (Q,); got {a.shape} and {b.shape}")
    differences = a - b
    differences = differences[~np.isnan(differences)]
    band = mean_band(differences, n=n, rng=rng, level=level)
    if not len(differences):
        return Difference(np.nan, np.nan, np.nan, np.nan, 0)
    p, is_exact = _sign_flip_p(differences, n, rng)
    return Difference(band.mean, band.low, band.high, p, len(differences), is_exact)


def mean_band(values: np.ndarray, *, n: int = 10_000, rng: np.random.Generator, level: float = 0.95) -> Band:
    """The mean of per-query values with its percentile bootstrap band; NaN values are left out.

    The queries are resampled n times with replacement (Efron & Tibshirani 1993, chapter 13).
    """
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    size = len(values)
    if size == 0:
        return Band(np.nan, np.nan, np.nan, 0)
    step = max(1, _BLOCK // size)
    resampled = np.concatenate(
        [
            values[rng.integers(0, size, (min(step, n - start), size), dtype=np.int32)].mean(axis=1)
            for start in range(0, n, step)
        ]
    )
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Band(float(values.mean()), float(low), float(high), size)


def seed_band(values: Sequence[float] | np.ndarray, *, level: float = 0.95) -> Band:
    """The mean of one figure over several seeds with its t interval; ``n_queries`` is the number of seeds.

    Where the mean of many more seeds would lie, the queries staying the same: mean +- t(level, n - 1) s / sqrt(n) (Student 1908).
    One seed says nothing about the others: its band is NaN. NaN values are left out.

    >>> band = seed_band([0.60, 0.61, 0.62])
    >>> round(band.mean, 3), round(band.low, 3), round(band.high, 3)
    (0.61, 0.585, 0.635)
    """
    from scipy.stats import t  # costs a second to import, and few ask

    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    n = len(values)
    if n < 2:
        return Band(float(values[0]) if n else np.nan, np.nan, np.nan, n)
    half = float(t.ppf((1 + level) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n))
    return Band(float(values.mean()), float(values.mean()) - half, float(values.mean()) + half, n)


def holm(p_values: Sequence[float] | np.ndarray) -> np.ndarray:
    """p-values adjusted for testing several at once, in the order given, float64.

    Holm's step-down (Holm 1979, https://www.jstor.org/stable/4615733): the i-th smallest of m is multiplied by
    m - i + 1, never falls below a smaller one's, at most 1. NaN stays NaN and is not counted.

    >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = len(order) - np.arange(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0) if len(order) else 0.0
    return adjusted


def _sign_flip_p(differences: np.ndarray, n: int, rng: np.random.Generator) -> tuple[float, bool]:
    """Two-sided sign-flip p-value, and whether it is exact.

    A zero difference is the same under both signs, so only the others are flipped: the distribution is
    unchanged and few disagreeing queries are enumerated even among thousands that tie.
    """
    changed = differences[differences != 0]
    observed = abs(changed.sum())
    # Sums that are equal in exact arithmetic must count as "at least as far" after rounding too.
    threshold = observed - 1e-12 * np.abs(changed).sum()
    if len(changed) <= EXACT_UP_TO:
        patterns = np.arange(2 ** len(changed))[:, None] >> np.arange(len(changed)) & 1
        sums = (1 - 2 * patterns) @ changed
        return float(np.mean(np.abs(sums) >= threshold)), True
    n_extreme, step = 0, max(1, _BLOCK // len(changed))
    width = -(-len(changed) // 8)
    for start in range(0, n, step):
        size = min(step, n - start)
        bits = rng.integers(0, 256, (size, width), dtype=np.uint8)
        signs = np.unpackbits(bits, axis=1, count=len(changed))
        # sum of +-d = total - 2 * sum of the flipped ones
        sums = changed.sum() - 2.0 * (signs @ changed)
        n_extreme += int(np.sum(np.abs(sums) >= threshold))
    return (n_extreme + 1) / (n + 1), False
