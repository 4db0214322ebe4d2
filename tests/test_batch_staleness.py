"""Queues: what is masked in them, how old their entries are, and how far those have drifted."""

from __future__ import annotations

import numpy as np
import pytest

from core.sampling.batch import InBatch
from core.sampling.presets import preset
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Recipe
from core.sampling.settings import apply_settings
from core.sampling.signal import InfoNCE
from core.train import staleness as module
from core.train.config import read_config
from core.train.events import EventWriter
from core.train.setup import prepare
from core.train.staleness import staleness
from core.train.step import Batch, allowed
from core.train.trial import Stopped, run_trial
from tests.small import make_corpus
from tests.test_train_step import stepper_of
from tests.test_train_trial import bytes_of, events_of, make_trial


def step(stepper, rows) -> None:
    rows = np.asarray(rows)
    stepper.step(Batch(rows, rows, np.empty((len(rows), 0), np.int64), rows[:, None]))


def cosine(a, b) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@pytest.mark.parametrize("kind", ["queue", "moco"])
def test_staleness_equals_a_plain_loop_over_the_queue(kind):
    """Batches of four and of two; the oracle keeps its own queue of (step, document, vector)."""
    stepper = stepper_of(Queue(size=7) if kind == "queue" else MoCo(size=7, momentum=0.6), lr=0.1)
    kept: list[tuple[int, int, np.ndarray]] = []
    for at, rows in enumerate(([0, 1, 2, 3], [4, 5], [6, 7, 0, 1], [2, 3])):
        source = stepper.key_model or stepper.model
        kept += [(at, row, v) for row, v in zip(rows, source.encode(stepper.doc_tokens.take(np.array(rows)), "document"), strict=True)]
        step(stepper, rows)
    kept = kept[-7:]
    told = staleness(stepper, stepper.model.encode(stepper.doc_tokens, "document"))
    assert told["n_entries"] == 7 and told["ages"] == [1.0, 2.0, 3.0] and told["counts"] == [2, 4, 1]
    for name, model in {"cosine": stepper.key_model or stepper.model, "to_model": stepper.model}.items():
        if name not in told:
            assert kind == "queue"
            continue
        fresh = model.encode(stepper.doc_tokens, "document")
        for age, found in zip((1, 2, 3), told[name], strict=True):
            expected = [cosine(v, fresh[row]) for at, row, v in kept if 4 - at == age]
            assert found == pytest.approx(np.mean(expected), abs=1e-5)
    assert told["cosine"][0] > told["cosine"][-1], "older is staler"
    if kind == "moco":
        assert told["cosine"][-1] > told["to_model"][-1], "keys agree better with their own encoder"


def test_many_ages_are_told_in_stretches(monkeypatch):
    monkeypatch.setattr(module, "MOST_AGES", 3)
    monkeypatch.setattr(module, "MOST_ENTRIES", 6)
    stepper = stepper_of(Queue(size=8))
    for row in (0, 1, 2, 3, 4, 5, 6, 7):
        step(stepper, [row])
    told = staleness(stepper, stepper.model.encode(stepper.doc_tokens, "document"))
    assert len(told["ages"]) == 3 and sum(told["counts"]) == 6 and told["n_entries"] == 8
    assert told["ages"][0] < told["ages"][1] < told["ages"][2]


def test_a_recipe_without_a_queue_has_no_staleness_and_an_empty_queue_none_yet():
    for batch in (InBatch(), Queue(size=4), MoCo(size=4)):
        stepper = stepper_of(batch)
        assert staleness(stepper, stepper.model.encode(stepper.doc_tokens, "document")) is None


def test_a_trial_tells_staleness_at_each_evaluation_and_resumes_with_the_same_ages(tmp_path, tiny_corpus):
    recipe = apply_settings(preset("memory-queue").recipe, ["batch.size=20"])
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe, epochs=3)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    told = events_of(whole, "staleness")
    steps = [e["step"] for e in events_of(whole, "evaluation")]
    assert [e["step"] for e in told] == steps[1:], "before the first step the queue is empty"
    assert all(len(e["ages"]) == len(e["cosine"]) == len(e["counts"]) and "to_model" not in e for e in told)
    broken = make_trial(tmp_path / "broken", tiny_corpus, recipe, epochs=3)
    calls = iter(range(1000))
    with pytest.raises(Stopped):
        run_trial(broken, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls) >= 5)
    run_trial(broken, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(broken)
    again = events_of(broken, "staleness")
    assert [{k: v for k, v in e.items() if k != "t"} for e in again] == [{k: v for k, v in e.items() if k != "t"} for e in told]
    plain = make_trial(tmp_path / "plain", tiny_corpus, "in-batch", epochs=1)
    run_trial(plain, threads=1, corpus=tiny_corpus)
    assert not events_of(plain, "staleness")


@pytest.mark.parametrize("kind", [Queue, MoCo])
def test_the_positive_and_its_copies_in_the_queue_are_masked_by_their_row(kind, tmp_path):
    """Document 3 is document 0's text under another id: in the queue neither is ever a negative of query 0."""
    corpus = make_corpus(
        ["red stone", "blue river", "green hill", "red stone", "grey sky"], ["a", "b", "c", "d"], [(0, 0), (1, 1), (2, 2), (3, 3)], [(3, 4)]
    )
    recipe = Recipe(batch=kind(size=8), signal=InfoNCE(temperature=1.0))
    folder = make_trial(tmp_path / kind.key, corpus, recipe, batch_size=4, encoder={"key": "static-scratch", "dim": 8})
    setup = prepare(read_config(folder), corpus, folder, EventWriter(folder / "events.jsonl"))
    chosen = np.arange(4)
    setup.stepper.step(setup.batch(chosen))  # the queue now holds all four
    batch = setup.batch(chosen)
    rows = setup.stepper.state["rows"].numpy()
    is_allowed = allowed(rows, batch.protected)
    for i in range(4):
        forbidden = {0, 3} if batch.positive_rows[i] in (0, 3) else {int(batch.positive_rows[i])}
        forbidden |= {3, 4} if batch.query_rows[i] == 3 else set()
        assert {int(r) for r, ok in zip(rows, is_allowed[i], strict=True) if r >= 0 and not ok} == forbidden & set(rows.tolist())
        assert not is_allowed[i][rows < 0].any(), "an empty place is no negative"
    # The mask reaches the loss: a vector of the copy's row moved far away changes nothing for query 0 alone.
    only = setup.batch(np.flatnonzero(batch.query_rows == 0))
    losses = []
    for factor in (1.0, -3.0):
        vectors = setup.stepper.state["vectors"].clone()
        setup.stepper.state["vectors"][np.isin(rows, [0, 3])] *= factor
        queries, at = setup.stepper._encode_batch(only)
        positive = setup.stepper._compare_rows(queries, at.positives)
        shared, own = setup.stepper._negatives(queries, positive, at, only)
        negative, mask, _ = setup.stepper._join(shared, own, at)
        losses.append(float(setup.stepper.recipe.signal.loss(positive, negative, mask).detach()))
        setup.stepper.state["vectors"] = vectors
    assert losses[0] == losses[1] > 0
