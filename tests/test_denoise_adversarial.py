"""The fast gradient method: loss and gradient against plain torch, its direction, recipes without it, a stopped trial."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from core.params import digest
from core.sampling.batch import InBatch, NoBatch
from core.sampling.perturbation import FGM, Unperturbed
from core.sampling.presets import PRESETS, preset
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Lane, Recipe
from core.sampling.settings import apply_settings
from core.sampling.signal import InfoNCE
from core.sampling.sources import RandomCorpus
from core.train.step import Batch, Stepper
from core.train.trial import Stopped, run_trial
from tests.test_train_step import stepper_of
from tests.test_train_trial import bytes_of, make_trial

ROWS, MINED = np.arange(4), np.array([[5, 6], [7, -1], [8, 9], [10, 11]])
LANES = (Lane(source=RandomCorpus(), per_query=2),)


def perturbed(piece, batch, similarity="cosine", temperature=0.1):
    plain = stepper_of(batch, InfoNCE(similarity=similarity, temperature=temperature), mined=LANES)
    recipe = Recipe(batch=batch, signal=plain.recipe.signal, mined=LANES, perturbation=piece)
    return Stepper(recipe, plain.model, 0.01, plain.query_tokens, plain.doc_tokens)


def one_step(stepper):
    return stepper.step(Batch(ROWS, ROWS, MINED, ROWS[:, None]))


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_loss_and_gradient_equal_plain_torch(similarity):
    """Own mined negatives only, in single precision, from the token table on."""
    temperature = 0.1 if similarity == "cosine" else 1.0
    stepper = perturbed(FGM(epsilon=0.2, weight=0.7), NoBatch(), similarity, temperature)
    table = stepper.model.parameters()[0].detach().clone().requires_grad_()

    def pooled(tokens, row):
        own = tokens.take([row]).ids
        return table[torch.from_numpy(own)].mean(0)

    def compared(vectors):
        return normalize(vectors, dim=-1) if similarity == "cosine" else vectors

    def score(q, d):
        return -(q - d).square().sum() if similarity == "l2" else q @ d

    names = [("query", i) for i in range(4)] + [("document", i) for i in range(4)] + [("document", int(d)) for d in MINED.ravel() if d >= 0]
    tokens = {"query": stepper.query_tokens, "document": stepper.doc_tokens}
    vectors = {place: compared(pooled(tokens[place[0]], place[1])) for place in names}

    def loss_of(v):
        total = 0.0
        for i in range(4):
            negatives = [score(v["query", i], v["document", int(d)]) for d in MINED[i] if d >= 0]
            scores = torch.stack([score(v["query", i], v["document", i]), *negatives]) / temperature
            total = total + scores.logsumexp(0) - scores[0]
        return total / 4

    plain = loss_of(vectors)
    gradients = torch.autograd.grad(plain, list(vectors.values()), retain_graph=True)
    moved = {
        place: compared(v + 0.2 * v.detach().norm() * g / g.norm()) for (place, v), g in zip(vectors.items(), gradients, strict=True)
    }
    whole = plain + 0.7 * loss_of(moved)
    whole.backward()
    report = one_step(stepper)
    assert report.loss == pytest.approx(float(whole), abs=1e-4) and float(loss_of(moved)) > float(plain)
    ours = stepper.model.parameters()[0].grad.to_dense()
    np.testing.assert_allclose(ours.numpy(), table.grad.numpy(), atol=2e-5 * float(table.grad.abs().max()) + 1e-7)


@pytest.mark.parametrize("batch", [InBatch(), InBatch(shared_negatives=False), Queue(size=8), MoCo(size=8)], ids=lambda b: b.key)
def test_the_why_cards_weight_is_that_of_the_vectors_as_they_are(batch):
    """And a perturbation of weight 0, or of length 0, is none."""
    plain = one_step(perturbed(Unperturbed(), batch))
    moved = one_step(perturbed(FGM(epsilon=0.3), batch))
    np.testing.assert_allclose(moved.mined_weights, plain.mined_weights, rtol=1e-5, atol=1e-7)
    assert moved.loss > 2 * plain.loss
    assert one_step(perturbed(FGM(weight=0.0), batch)).loss == plain.loss
    assert one_step(perturbed(FGM(epsilon=0.0), batch)).loss == pytest.approx(2 * plain.loss, rel=1e-5)


def test_a_vector_without_a_gradient_stays():
    vectors, gradient = torch.ones(2, 3), torch.tensor([[0.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    moved = FGM(epsilon=0.5).moved(vectors, gradient)
    torch.testing.assert_close(moved, torch.tensor([[1.0, 1.0, 1.0], [1.0, 1 + 0.5 * 3**0.5, 1.0]]))


def test_recipes_without_it_keep_their_dictionary_and_key():
    plain = preset("ance").recipe
    assert set(plain.to_dict()) == {"positives", "batch", "mined", "schedule", "signal"} and plain.key == digest(plain.to_dict())
    moved = preset("adversarial").recipe
    assert moved.to_dict()["perturbation"] == {"key": "fgm", "epsilon": 0.1, "weight": 1.0}
    assert Recipe.from_dict(moved.to_dict()) == moved and "FGM" in moved.summary() and moved.pieces()[-1] == FGM()
    assert apply_settings(plain, ["perturbation=fgm"]) == moved, "ANCE and the perturbation, nothing else"
    assert apply_settings(moved, ["fgm.epsilon=0.5"]).perturbation.epsilon == 0.5
    assert not any("perturbation" in p.recipe.to_dict() for p in PRESETS.values() if p.name != "adversarial")


def test_an_adversarial_trial_is_the_same_stopped_and_resumed(tmp_path, tiny_corpus):
    whole = make_trial(tmp_path / "whole", tiny_corpus, "adversarial")
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = make_trial(tmp_path / "stopped", tiny_corpus, "adversarial")
    calls = iter(range(3))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(stopped) == bytes_of(whole)
    plain = make_trial(tmp_path / "plain", tiny_corpus, "ance")
    run_trial(plain, threads=1, corpus=tiny_corpus)
    assert bytes_of(plain) != bytes_of(whole)
