"""Combinations of reasons, what is learned from verdicts, and the arithmetic of curves, against loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from core.audit.combine import COMBINATIONS, AnyReason, KOfN, LearnedFromVerdicts, make_combination
from core.audit.learned import Lessons, held_out_probabilities, learn
from core.audit.reasons import make_reason
from core.audit.truth_measures import auc, average_precision, best_threshold, curve, precision_recall
from core.errors import ParameterError

REASONS = tuple(make_reason({"key": key, "threshold": 0.5}) for key in ("score", "near-duplicate", "words-of-positive"))


def doubts(n=200, seed=0, unsaid=0.2):
    rng = np.random.default_rng(seed)
    found = {reason.key: rng.random(n).astype(np.float32) for reason in REASONS}
    for values in found.values():
        values[rng.random(n) < unsaid] = np.nan
    return found


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_k_of_n_counts_flags(k):
    table = doubts()
    decision = (AnyReason() if k == 1 else KOfN(k=k)).decide(REASONS, table)
    n_flags = [sum(bool(table[r.key][i] >= 0.5) for r in REASONS) for i in range(200)]
    assert decision.is_suspect.tolist() == [n >= k for n in n_flags]
    assert ((decision.combined >= 0.5) == decision.is_suspect).all() and 0 <= decision.combined.min() <= decision.combined.max() <= 1


def test_pieces_are_complete():
    for cls in COMBINATIONS:
        assert cls.source.url and len(cls.lesson()) > 100 and make_combination(cls().to_dict()) == cls()
    with pytest.raises(ParameterError):
        make_combination({"key": "k-of-n", "k": 0})


def lessons_for(n=300, seed=1):
    table = doubts(n, seed)
    rng = np.random.default_rng(seed)
    strength = 6 * (np.nan_to_num(table["score"], nan=0.5) - 0.5)
    is_false = rng.random(n) < 1 / (1 + np.exp(-strength))
    return Lessons(table, is_false, rng.integers(0, 60, n))


def test_learning_equals_a_pipeline_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    lessons = lessons_for()
    model = learn([r.key for r in REASONS], lessons)
    columns = np.column_stack([lessons.doubts[r.key] for r in REASONS]).astype(float)
    scaled = np.nan_to_num(StandardScaler().fit_transform(columns), nan=0.0)
    peer = LogisticRegression(max_iter=1000).fit(np.column_stack([scaled, np.isnan(columns)]), lessons.is_false)
    wanted = peer.predict_proba(np.column_stack([scaled, np.isnan(columns)]))[:, 1]
    np.testing.assert_allclose(model.probabilities(lessons.doubts), wanted, atol=1e-4)
    assert max(model.weights, key=lambda name: abs(model.weights[name])) == "score"
    assert model.n_verdicts == 300 and model.n_false == lessons.is_false.sum() and "300 verdicts" in model.sentence
    assert 0.5 < model.precision < 1


def test_the_held_out_estimate_never_sees_the_query():
    # Sixty columns of noise can be learned by heart; what is learned so does not carry over to another query.
    rng = np.random.default_rng(3)
    table = {f"noise {i}": rng.random(400).astype(np.float32) for i in range(60)}
    lessons = Lessons(table, rng.random(400) < 0.5, np.repeat(np.arange(80), 5))
    found = held_out_probabilities(list(table), lessons)
    assert auc(lessons.is_false, learn(list(table), lessons).probabilities(table)) > 0.7
    assert not np.isnan(found).any() and abs(auc(lessons.is_false, found) - 0.5) < 0.08


def test_too_few_verdicts_are_refused_in_words():
    few = lessons_for(4)
    with pytest.raises(ParameterError, match="at least 5 false and 5 true"):
        LearnedFromVerdicts().decide(REASONS, few.doubts, few)
    assert "Judge some more" in LearnedFromVerdicts().missing(None) and AnyReason().missing(None) == ""


def test_a_wild_or_unsaid_doubt_does_not_break_the_probability():
    model = learn([r.key for r in REASONS], lessons_for())
    wild = {r.key: np.array([np.nan, np.inf, -np.inf, 1e30], np.float32) for r in REASONS}
    found = model.probabilities(wild)
    assert np.isfinite(found).all() and (0 <= found).all() and (found <= 1).all()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_values", [4, 1000])  # many ties, and next to none
def test_areas_and_curves_equal_scikit_learn(seed, n_values):
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

    rng = np.random.default_rng(seed)
    scores = rng.integers(0, n_values, 500) / n_values
    is_relevant = rng.random(500) < 0.1 + 0.3 * scores
    assert auc(is_relevant, scores) == pytest.approx(roc_auc_score(is_relevant, scores))
    assert average_precision(is_relevant, scores) == pytest.approx(average_precision_score(is_relevant, scores))
    precision, recall, thresholds = precision_recall_curve(is_relevant, scores)
    own = curve(is_relevant, scores)
    np.testing.assert_allclose(own.thresholds[::-1], thresholds)
    np.testing.assert_allclose(own.precision[::-1], precision[:-1])
    np.testing.assert_allclose(own.recall[::-1], recall[:-1])
    assert len(own.thinned(50).recall) <= 50 and own.thinned(50).recall[-1] == own.recall[-1]


def test_thresholds_are_the_best_of_all_cuts():
    rng = np.random.default_rng(5)
    scores = rng.random(300)
    scores[:40] = np.nan
    is_relevant = np.nan_to_num(scores, nan=0.3) + 0.3 * rng.normal(size=300) > 0.7
    cuts = [(*precision_recall(is_relevant, scores >= t), t) for t in np.unique(scores[40:])]
    f1 = [2 * p * r / (p + r) if p + r else 0 for p, r, _ in cuts]
    found = precision_recall(is_relevant, scores >= best_threshold(is_relevant, scores))
    assert 2 * found[0] * found[1] / sum(found) == pytest.approx(max(f1))
    strict = precision_recall(is_relevant, scores >= best_threshold(is_relevant, scores, 0.8))
    assert strict[0] >= 0.8 and strict[1] == pytest.approx(max(r for p, r, _ in cuts if p >= 0.8))
    assert best_threshold(np.zeros(3, bool), np.arange(3.0)) == np.inf
    assert best_threshold(np.array([1, 0, 0], bool), np.array([0.0, 1.0, 2.0]), 0.9) == np.inf


def test_what_cannot_be_said_ranks_last():
    is_relevant = np.array([1, 0, 1], bool)
    scores = np.array([0.2, 0.1, np.nan])
    assert auc(is_relevant, scores) == pytest.approx(0.5) and curve(is_relevant, scores).recall[-1] == 0.5
