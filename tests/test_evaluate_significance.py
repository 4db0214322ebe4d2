"""Randomisation, bootstrap and Holm against scipy and against the definitions."""

from __future__ import annotations

import doctest
from itertools import product

import numpy as np
import pytest
from scipy import stats

from core.evaluate import significance
from core.evaluate.significance import holm, mean_band, paired_randomisation


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def by_enumeration(differences: np.ndarray) -> float:
    """Share of all sign patterns whose mean is at least as far from 0, in plain loops."""
    observed = abs(differences.mean()) - 1e-12
    signed = [abs(np.mean(differences * signs)) >= observed for signs in product((1, -1), repeat=len(differences))]
    return sum(signed) / len(signed)


@pytest.mark.parametrize("n_queries", [1, 2, 5, 9, 12])
def test_exact_p_on_few_queries(n_queries):
    a, b = rng(n_queries).random(n_queries), rng(99).random(n_queries)
    found = paired_randomisation(a, b, rng=rng())
    assert found.is_exact and found.n_queries == n_queries
    assert found.p == pytest.approx(by_enumeration(a - b), abs=1e-12)
    assert found.mean == pytest.approx((a - b).mean())
    if n_queries == 1:  # scipy refuses a single pair; either sign is as far from 0
        assert found.p == 1.0
        return
    reference = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", vectorized=True
    )
    assert found.p == pytest.approx(reference.pvalue, abs=1e-9)


def test_queries_that_tie_do_not_prevent_exactness():
    a = np.r_[np.full(500, 0.5), [0.9, 0.8, 0.7]]
    b = np.r_[np.full(500, 0.5), [0.1, 0.2, 0.3]]
    found = paired_randomisation(a, b, rng=rng())
    assert found.is_exact and found.n_queries == 503
    assert found.p == 2 / 8


@pytest.mark.parametrize(("shift", "seed"), [(0.0, 1), (0.03, 2), (0.06, 3)])
def test_random_p_and_band_near_scipy(shift, seed):
    a = rng(seed).random(80)
    b = np.clip(a - shift + rng(seed + 10).normal(scale=0.15, size=80), 0, 1)
    found = paired_randomisation(a, b, n=20_000, rng=rng())
    reference = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=rng(5),
    )
    assert not found.is_exact
    assert found.p == pytest.approx(reference.pvalue, abs=0.015)
    band = stats.bootstrap(
        (a - b,), np.mean, method="percentile", n_resamples=20_000, vectorized=True, rng=rng(6)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((band.low, band.high), abs=0.002)


def test_p_is_never_zero_and_zero_difference_is_one():
    far = paired_randomisation(np.ones(60), np.zeros(60), n=1_000, rng=rng())
    assert far.p == 1 / 1_001
    same = paired_randomisation(np.full(60, 0.3), np.full(60, 0.3), rng=rng())
    assert (same.p, same.mean, same.low, same.high) == (1.0, 0.0, 0.0, 0.0)


def test_p_is_uniform_when_nothing_differs():
    draw = rng(4)
    p_values = [paired_randomisation(draw.random(30), draw.random(30), n=500, rng=draw).p for _ in range(300)]
    assert stats.kstest(p_values, "uniform").pvalue > 0.001


def test_seed_fixes_the_result_and_excluded_queries_are_left_out():
    a, b = rng(1).random(50), rng(2).random(50)
    assert paired_randomisation(a, b, rng=rng(3)) == paired_randomisation(a, b, rng=rng(3))
    holed = np.r_[a, np.nan, 0.5], np.r_[b, 0.5, np.nan]
    assert paired_randomisation(*holed, rng=rng(3)) == paired_randomisation(a, b, rng=rng(3))
    swapped = paired_randomisation(b, a, n=20_000, rng=rng(3))
    assert swapped.mean == pytest.approx(-paired_randomisation(a, b, rng=rng(3)).mean)
    with pytest.raises(ValueError, match="shape"):
        paired_randomisation(a, b[:-1], rng=rng())


def test_no_queries():
    found = paired_randomisation(np.array([np.nan]), np.array([1.0]), rng=rng())
    assert found.n_queries == 0 and np.isnan([found.mean, found.low, found.high, found.p]).all()
    assert mean_band(np.array([]), rng=rng()).n_queries == 0


def test_band_covers_the_mean_about_as_often_as_it_says():
    draw = rng(8)
    bands = [mean_band(draw.random(60), n=600, rng=draw) for _ in range(300)]
    covered = np.mean([band.low <= 0.5 <= band.high for band in bands])
    assert 0.90 <= covered <= 0.985
    narrow, wide = mean_band(np.arange(40.0), level=0.5, rng=rng()), mean_band(np.arange(40.0), rng=rng())
    assert wide.low < narrow.low < narrow.mean < narrow.high < wide.high


def test_holm_rejects_what_the_step_down_rejects():
    draw = rng(9)
    for _ in range(200):
        p = np.round(draw.random(int(draw.integers(1, 8))) ** 3, 3)
        adjusted = holm(p)
        for alpha in (0.01, 0.05, 0.2, 0.6):
            rejected, order = np.zeros(len(p), dtype=bool), np.argsort(p, kind="stable")
            for step, index in enumerate(order):
                if p[index] > alpha / (len(p) - step):
                    break
                rejected[index] = True
            clear = np.abs(adjusted - alpha) > 1e-9
            np.testing.assert_array_equal((adjusted <= alpha)[clear], rejected[clear])
    np.testing.assert_array_equal(holm([np.nan, 0.02, 0.01]), [np.nan, 0.02, 0.02])
    assert holm([]).shape == (0,)


def test_docstring_examples():
    assert doctest.testmod(significance).failed == 0
