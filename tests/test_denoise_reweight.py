"""Weights of single candidates: their law, their way into the loss and the why-card, old recipes' keys, a stopped trial."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core.params import digest
from core.sampling.batch import InBatch, NoBatch
from core.sampling.mine import mine_lane
from core.sampling.pickers import Uniform
from core.sampling.presets import preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.settings import apply_settings
from core.sampling.signal import InfoNCE, Triplet
from core.sampling.sources import BM25Source, Dense, RandomCorpus
from core.sampling.weighting import Equal, Suspicion
from core.sampling.windows import RankWindow
from core.train.negatives import Negatives
from core.train.results import TrialResults
from core.train.step import Batch
from core.train.trial import Stopped, run_trial
from tests.small import make_context
from tests.test_train_step import encode, stepper_of
from tests.test_train_trial import bytes_of, make_trial


@pytest.mark.parametrize("gamma", [0.5, 2.0])
@pytest.mark.parametrize("by", ["cross-encoder", "percentile"])
def test_a_kept_candidates_weight_falls_with_its_suspicion(tiny_corpus, gamma, by):
    context = make_context(tiny_corpus, seed=2)
    weighting = Suspicion(gamma=gamma, by=by)
    lane = Lane(source=BM25Source(), window=RankWindow(first=2, last=12), weighting=weighting)
    rows = tiny_corpus.split_query_rows("train")
    table = mine_lane(lane, context, rows, np.random.default_rng(0))
    bm25, cross = BM25Source(), weighting.cross(context)
    known = bm25.score(context, *context.training_pairs)
    assert table.is_kept.any() and table.log_weights.shape == table.doc_rows.shape
    for i, j in np.ndindex(table.doc_rows.shape):
        if not table.is_kept[i, j]:
            assert table.log_weights[i, j] == 0
            continue
        pair = rows[i : i + 1], table.doc_rows[i, j : j + 1]
        p = cross.probabilities(*pair)[0] if by == "cross-encoder" else (known <= table.scores[i, j]).mean()
        assert math.exp(table.log_weights[i, j]) == pytest.approx((1 - p) ** gamma, abs=1e-5)
    shown = table.table()["loss_weight"].to_numpy()
    assert ((shown >= 0) & (shown <= 1)).all() and shown.min() < 0.9


def test_equal_weights_leave_tables_and_keys_as_they_were(tiny_corpus):
    context = make_context(tiny_corpus)
    table = mine_lane(Lane(source=Dense()), context, np.arange(3), np.random.default_rng(0))
    assert table.log_weights is None and "loss_weight" not in table.table().column_names
    plain = Recipe(mined=(Lane(source=BM25Source()),))
    assert "weighting" not in plain.to_dict()["mined"][0] and plain.key == digest(plain.to_dict())
    assert plain == Recipe(mined=(Lane(source=BM25Source(), weighting=Equal()),))
    weighed = Recipe(mined=(Lane(source=BM25Source(), weighting=Suspicion(gamma=3.0)),))
    assert Recipe.from_dict(weighed.to_dict()) == weighed and weighed.key != plain.key
    assert "suspected" in weighed.summary() and weighed.pieces()[-3] == Suspicion(gamma=3.0)


def test_settings_reach_the_weighting():
    recipe = apply_settings(preset("bm25").recipe, ["weighting=suspicion", "suspicion.gamma=2", "mined.0.weighting.by=percentile"])
    assert recipe.mined[0].weighting == Suspicion(gamma=2.0, by="percentile")


@pytest.mark.parametrize("batch", [NoBatch(), InBatch(), InBatch(shared_negatives=False)], ids=["own", "shared", "beside"])
@pytest.mark.parametrize("lane_weight", [1.0, 2.0])
def test_the_weight_multiplies_the_pairs_own_term(batch, lane_weight):
    """Other queries of the batch meet the document in full; the why-card's weight is the pull that is left."""
    mined = np.array([[5, 6], [7, -1], [8, 9], [10, 11]])
    weights = np.random.default_rng(1).uniform(0.1, 1, (4, 2)).astype(np.float32)
    stepper = stepper_of(batch, InfoNCE(temperature=0.1), mined=(Lane(source=RandomCorpus(), per_query=2, weight=lane_weight),))
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))

    def e(i, d):
        return math.exp(float(queries[i] @ documents[d]) / 0.1)

    total, pulls = 0.0, np.zeros((4, 2))
    for i in range(4):
        own = [lane_weight * float(weights[i, j]) * e(i, mined[i, j]) if mined[i, j] >= 0 else 0.0 for j in range(2)]
        others = sum(e(i, d) for d in range(4) if d != i) if batch.gives_negatives else 0.0
        if batch.shares_mined:
            others += sum(lane_weight * e(i, d) for k in range(4) if k != i for d in mined[k] if d >= 0)
        whole = e(i, i) + sum(own) + others
        total -= math.log(e(i, i) / whole) / 4
        pulls[i] = [term / whole / 0.1 for term in own]
    rows = np.arange(4)
    report = stepper.step(Batch(rows, rows, mined, rows[:, None], mined_log_weights=np.log(weights)))
    assert report.loss == pytest.approx(total, abs=1e-5)
    np.testing.assert_allclose(report.mined_weights, pulls, rtol=1e-4, atol=1e-5)


def test_a_picked_negative_brings_its_own_weight(tmp_path, tiny_corpus):
    """Beside a lane that weighs all alike, and where too few are left."""
    context = make_context(tiny_corpus, seed=2)
    weighting = Suspicion(gamma=2.0)
    lanes = (
        Lane(source=RandomCorpus(), per_query=1),
        Lane(source=BM25Source(), window=RankWindow(first=3, last=12), picker=Uniform(), per_query=6, weighting=weighting),
    )
    rows = tiny_corpus.split_query_rows("train")
    negatives = Negatives(Recipe(mined=lanes), context, rows, 0, tmp_path)
    negatives.prepare(0, 0, True, 4)
    p = weighting.relevance(context, rows, negatives.rows)
    p[:, 0] = 0
    expected = np.where(negatives.rows >= 0, (1 - p.astype(float)) ** 2, 1.0)
    np.testing.assert_allclose(np.exp(negatives.log_weights), expected, atol=1e-5)
    assert expected.min() < 0.9 and (negatives.rows < 0).any()
    negatives.flush()


def test_pairwise_losses_are_weighed_too():
    mined, rows = np.array([[5], [6], [7], [8]]), np.arange(4)
    losses = []
    for weights in (np.zeros((4, 1), np.float32), np.full((4, 1), math.log(0.25), np.float32)):
        stepper = stepper_of(NoBatch(), Triplet(margin=2.0), mined=(Lane(source=RandomCorpus()),))
        losses.append(stepper.step(Batch(rows, rows, mined, rows[:, None], mined_log_weights=weights)).loss)
    assert losses[1] == pytest.approx(0.25 * losses[0], rel=1e-5)


def test_a_weighed_trial_is_the_same_stopped_and_resumed(tmp_path, tiny_corpus):
    """Weights by percentile are those of the model that mined: a trial that goes on takes them from its checkpoint."""
    recipe = apply_settings(preset("reweight").recipe, ["suspicion.by=percentile", "schedule.steps=4"])
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe, learning_rate=0.05)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = make_trial(tmp_path / "stopped", tiny_corpus, recipe, learning_rate=0.05)
    calls = iter(range(6))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(stopped) == bytes_of(whole)
    results = TrialResults(whole)
    table = results.candidates(results.tables())
    assert table["loss_weight"].to_numpy()[table["times_used"].to_numpy() > 0].min() < 0.9


def test_the_cross_encoder_of_a_weighting_is_trained_before_the_first_mining(tmp_path, tiny_corpus):
    from core.train.events import read_events

    folder = make_trial(tmp_path / "t", tiny_corpus, "reweight", epochs=1)
    run_trial(folder, threads=1, corpus=tiny_corpus)
    told = [e["text"] for e in read_events(folder / "events.jsonl")[0] if e["kind"] == "log"]
    assert any(text.startswith("Cross-encoder: 27 labelled pairs") for text in told)
