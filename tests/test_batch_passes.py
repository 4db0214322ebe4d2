"""A batch in parts: the large batch's loss and gradients exactly, and what is held in memory meanwhile."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from core.audit.doctor_fit import check_recipe
from core.encode.encoders import make_encoder
from core.encode.tokens import Tokens
from core.sampling.batch import InBatch, NoBatch
from core.sampling.passes import GradientCache, OnePass
from core.sampling.presets import preset
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Lane, Recipe
from core.sampling.settings import apply_settings
from core.sampling.signal import InfoNCE, Triplet
from core.sampling.sources import RandomCorpus
from core.train.config import TrialConfig
from core.train.encoding import Cached, parts_of
from core.train.step import Batch, Stepper
from core.train.trial import run_trial
from tests.test_train_trial import events_of, make_trial

N = 13  # shared by no number of parts below
DOCS = [f"document about thing{i} and thing{i + 1}" for i in range(40)]
ASKED = [f"thing{i} please" for i in range(N)]
LANE = (Lane(source=RandomCorpus(), per_query=2, weight=2.0),)


@cache
def untrained(towers: str):
    model = make_encoder({"key": "static-scratch", "towers": towers, "dim": 16, "spread": 0.3}).build(DOCS, 0)
    return model, model.tokenize(ASKED), model.tokenize(DOCS)


def stepper_of(passes, batch, signal, mined, towers="shared") -> Stepper:
    model, *tokens = untrained(towers)
    recipe = Recipe(batch=batch, passes=passes, signal=signal, mined=mined)
    return Stepper(recipe, model.clone(), 0.01, *tokens)


def batch_of(mined) -> Batch:
    rows = np.arange(N)
    wanted = np.stack([(rows * 3 + 14) % 40, np.where(rows % 4, (rows * 5 + 15) % 40, -1)], 1) if mined else np.empty((N, 0), np.int64)
    return Batch(rows, rows, wanted, rows[:, None])


def gradients(stepper: Stepper, batch: Batch) -> list[np.ndarray]:
    """Of the first step, before the optimiser clears them; dense."""
    stepper.step(batch)
    return [p.grad.to_dense().numpy() for p in stepper.model.parameters()]


CASES = {
    "in-batch": (InBatch(), InfoNCE(), ()),
    "mined for all": (InBatch(), InfoNCE(similarity="l2", temperature=1.0), LANE),
    "own mined": (InBatch(shared_negatives=False), Triplet(), LANE),
    "mined alone": (NoBatch(), InfoNCE(similarity="dot"), LANE),
    "queue": (Queue(size=6), InfoNCE(), LANE),
    "moco": (MoCo(size=6, momentum=0.9), InfoNCE(), ()),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("passes", [GradientCache(chunks=1), GradientCache(chunks=4), GradientCache(chunks=40)], ids=lambda p: str(p.parts))
def test_gradient_caching_equals_the_batch_in_one_pass(case, passes):
    batch, signal, mined = CASES[case]
    whole, cached = (stepper_of(p, batch, signal, mined) for p in (OnePass(), passes))
    for _ in range(2):  # the second step meets the queue and moved weights
        cached.model.load_state(whole.model.state())
        for expected, found in zip(gradients(whole, batch_of(mined)), gradients(cached, batch_of(mined)), strict=True):
            assert np.abs(expected).max() > 1e-3
            np.testing.assert_allclose(found, expected, atol=1e-5)
    reports = [s.step(batch_of(mined)) for s in (whole, cached)]
    assert reports[0].loss == pytest.approx(reports[1].loss, abs=1e-5)
    np.testing.assert_allclose(reports[0].mined_weights, reports[1].mined_weights, atol=1e-4)


def test_separate_towers_get_both_gradients():
    whole, cached = (stepper_of(p, InBatch(), InfoNCE(), LANE, "separate") for p in (OnePass(), GradientCache(chunks=3)))
    both = gradients(whole, batch_of(LANE)), gradients(cached, batch_of(LANE))
    assert len(both[0]) == 2
    for expected, found in zip(*both, strict=True):
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_parts_are_even_and_lose_no_text():
    tokens = untrained("shared")[2]
    for n_parts in (1, 3, 40, 50):
        parts = parts_of(tokens, n_parts)
        sizes = [len(p) for p in parts]
        assert len(parts) == n_parts and max(sizes) - min(sizes) <= 1
        np.testing.assert_array_equal(np.concatenate([p.ids for p in parts]), tokens.ids)


class Dropping:
    """An encoder that draws at each forward pass; ``given`` keeps what it gave."""

    def __init__(self):
        self.weights = torch.nn.Parameter(torch.ones(50, 8))
        self.given: list[torch.Tensor] = []

    def parameters(self):
        return [self.weights]

    def forward_pair(self, queries, documents, then):
        sides = [then(torch.nn.functional.dropout(self.weights[tokens.ids], 0.5)) for tokens in (queries, documents)]
        self.given += [side.detach().clone() for side in sides]
        return tuple(sides)


def test_an_encoder_that_draws_draws_the_same_again():
    torch.manual_seed(5)
    model = Dropping()
    cached = Cached(model, lambda vectors: vectors, 3)
    texts = Tokens(np.arange(6), np.arange(7))
    queries, documents = cached.forward(texts, texts)
    after = torch.get_rng_state()
    (queries * documents.detach().flip(0)).sum().backward()
    cached.backward()
    first, again = model.given[:6], model.given[6:]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True)) and not torch.equal(first[0], first[2])
    expected = torch.zeros(50, 8)
    for row in range(6):  # d/dw of dropout(w) is 0 or 2: the vector itself, as w is 1
        expected[row] = documents[5 - row].detach() * queries[row].detach()
    torch.testing.assert_close(model.weights.grad, expected)
    assert torch.equal(torch.get_rng_state(), after), "the second pass takes no numbers from what follows"


class Held:
    """Bytes that a backward pass holds at this moment, and the most so far: counted when saved, released when the graph is."""

    def __init__(self):
        self.now = self.most = 0

    def pack(self, tensor):
        held, n = self, tensor.numel() * tensor.element_size()

        class Kept:
            def __init__(self):
                held.now += n
                held.most = max(held.most, held.now)

            def __del__(self):
                held.now -= n

        kept = Kept()
        kept.tensor = tensor
        return kept

    def watch(self, model):
        """Count what the encoder saves, and nothing that the loss saves: vectors and scores are not its activations."""
        forward = model.forward_pair

        def watched(*arguments):
            with torch.autograd.graph.saved_tensors_hooks(self.pack, lambda kept: kept.tensor):
                return forward(*arguments)

        model.forward_pair = watched


@pytest.mark.parametrize("passes", [OnePass, GradientCache])
def test_what_the_encoder_holds_is_flat_in_the_batch_with_cached_gradients(passes):
    """Batches of 128, 512 and 2,048 pairs in chunks of 64."""
    most = []
    for n in (128, 512, 2048):
        model = untrained("shared")[0].clone()
        recipe = Recipe(passes=GradientCache(chunks=n // 64) if passes is GradientCache else OnePass())
        tokens = [model.tokenize([text] * n) for text in ("asked with a few words", "an answer of five words")]
        stepper = Stepper(recipe, model, 0.01, *tokens)
        held = Held()
        held.watch(model)
        rows = np.arange(n)
        stepper.step(Batch(rows, rows, np.empty((n, 0), np.int64), rows[:, None]))
        assert held.now == 0, "everything was released"
        most.append(held.most)
    if passes is GradientCache:
        assert most[0] == most[1] == most[2] > 0
    else:
        assert most[2] > 3 * most[1] > 9 * most[0]


def test_a_trial_takes_chunks_of_its_batch_size_and_tells_when_the_corpus_is_smaller(tmp_path, tiny_corpus):
    recipe = apply_settings(preset("large-batch").recipe, ["passes.chunks=3"])
    small = make_trial(tmp_path / "chunks", tiny_corpus, recipe, epochs=1, batch_size=4)
    large = make_trial(tmp_path / "whole", tiny_corpus, "in-batch", epochs=1, batch_size=12)
    results = [run_trial(folder, threads=1, corpus=tiny_corpus) for folder in (small, large)]
    assert results[0]["steps"] == results[1]["steps"] < 4
    assert results[0]["metrics"] == pytest.approx(results[1]["metrics"], abs=0.02)
    beyond = make_trial(tmp_path / "beyond", tiny_corpus, "large-batch", epochs=1, batch_size=8)
    run_trial(beyond, threads=1, corpus=tiny_corpus)
    assert "Batch size 64 (8 times 8) is larger" in " ".join(e["text"] for e in events_of(beyond, "log"))
    assert any("64 pairs" in s and "8 times 8" in s for s in check_recipe(tiny_corpus, preset("large-batch").recipe, 8))


def test_the_slot_is_left_out_of_a_recipe_that_has_its_default():
    plain = Recipe()
    assert "passes" not in plain.to_dict() and list(plain.to_dict()) == ["positives", "batch", "mined", "schedule", "signal"]
    assert Recipe.from_dict(plain.to_dict()) == plain == Recipe(passes=OnePass())
    cached = preset("large-batch").recipe
    assert cached.to_dict()["passes"] == {"key": "gradient-cache", "chunks": 8} and "Gradient caching" in cached.summary()
    assert apply_settings(plain, ["passes=gradient-cache", "gradient-cache.chunks=32"]).passes.pairs(128) == 4096
    assert TrialConfig(corpus="x", recipe=cached.to_dict()).recipe_value == cached
