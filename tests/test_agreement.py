"""Cohen's kappa against scikit-learn, on random judges and where it says nothing."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from core.audit.agreement import agreements, kappa
from core.lab.verdicts import KINDS


@pytest.mark.parametrize("seed", range(8))
def test_kappa_is_that_of_scikit_learn_over_common_pairs(seed):
    rng = np.random.default_rng(seed)
    by_pair = {}
    for pair in range(60):
        truth = rng.integers(len(KINDS))
        votes = {j: KINDS[truth if rng.random() < 0.6 else rng.integers(len(KINDS))] for j in ("ann", "bob", "eve") if rng.random() < 0.7}
        by_pair[f"q{pair}", "d"] = votes
    found = agreements(by_pair, KINDS)
    assert {(a.first, a.second) for a in found} == {("ann", "bob"), ("ann", "eve"), ("bob", "eve")}
    for one in found:
        both = [v for v in by_pair.values() if one.first in v and one.second in v]
        mine, theirs = [v[one.first] for v in both], [v[one.second] for v in both]
        assert one.n == len(both) == one.table.sum()
        assert one.kappa == pytest.approx(cohen_kappa_score(mine, theirs, labels=list(KINDS)), abs=1e-12)
        assert one.observed == np.mean([a == b for a, b in zip(mine, theirs, strict=True)])
    assert [a.n for a in found] == sorted((a.n for a in found), reverse=True)


def test_one_label_only_says_nothing():
    alike = {i: {"a": "unsure", "b": "unsure"} for i in range(5)}
    (found,) = agreements(alike, KINDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert math.isnan(found.kappa) and math.isnan(cohen_kappa_score(["u"] * 5, ["u"] * 5))
    assert found.observed == 1 and found.words == ""
    assert agreements({1: {"a": "unsure"}, 2: {"b": "unsure"}}, KINDS) == [] and math.isnan(kappa(np.zeros((4, 4))))


def test_words_follow_landis_and_koch():
    opposite = {i: {"a": KINDS[i % 2], "b": KINDS[(i + 1) % 2]} for i in range(4)}
    alike = {i: {"a": KINDS[i % 2], "b": KINDS[i % 2]} for i in range(4)}
    assert (agreements(opposite, KINDS)[0].kappa, agreements(opposite, KINDS)[0].words) == (-1.0, "less than chance")
    assert (agreements(alike, KINDS)[0].kappa, agreements(alike, KINDS)[0].words) == (1.0, "almost perfect")
