"""Losses against plain loops and sentence-transformers; batch negatives and MoCo against a plain loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.encode.encoders import make_encoder
from core.sampling.batch import BandInBatch, HardestInBatch, InBatch, NoBatch, SelfGuidedInBatch
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Lane, Recipe
from core.sampling.signal import SIGNALS, BinaryCrossEntropy, Hinge, InfoNCE, PairwiseLogistic, Triplet
from core.sampling.sources import RandomCorpus
from core.train.step import Batch, Stepper, allowed

RNG = np.random.default_rng(0)
POSITIVE = torch.tensor(RNG.normal(size=4), dtype=torch.float64)
NEGATIVE = torch.tensor(RNG.normal(size=(4, 6)), dtype=torch.float64)
MASK = torch.tensor(RNG.random((4, 6)) < 0.7)
MASK[3] = False


def plain(signal, weights=None) -> float:
    total = 0.0
    for i in range(4):
        p = float(POSITIVE[i])
        own = [(float(NEGATIVE[i, j]), 1.0 if weights is None else weights[j]) for j in range(6) if MASK[i, j]]
        if isinstance(signal, InfoNCE):
            t = signal.temperature
            total += -math.log(math.exp(p / t) / (math.exp(p / t) + sum(w * math.exp(s / t) for s, w in own)))
            continue
        if isinstance(signal, Triplet):
            pairs = [w * max(0.0, s - p + signal.margin) for s, w in own]
        elif isinstance(signal, Hinge):
            pairs = [w * max(0.0, 1 - (p - s) / signal.temperature) for s, w in own]
        elif isinstance(signal, PairwiseLogistic):
            pairs = [w * math.log(1 + math.exp((s - p) / signal.temperature)) for s, w in own]
        else:
            t, b = signal.temperature, signal.threshold
            pairs = [w * -math.log(1 / (1 + math.exp((s - b) / t))) for s, w in own]
            total += -math.log(1 / (1 + math.exp(-(p - b) / t)))
        total += sum(pairs) / len(pairs) if pairs else 0.0
    return total / 4


@pytest.mark.parametrize(
    "signal",
    [s(temperature=0.7) if hasattr(s(), "temperature") else s(margin=0.4) for s in SIGNALS],
    ids=lambda s: s.key,
)
@pytest.mark.parametrize("weights", [None, [1.0, 0.5, 2.0, 1.0, 3.0, 0.1]], ids=["equal", "weighted"])
def test_losses_equal_a_plain_loop(signal, weights):
    log_weight = None if weights is None else torch.tensor(weights, dtype=torch.float64).log()
    assert float(signal.loss(POSITIVE, NEGATIVE, MASK, log_weight)) == pytest.approx(plain(signal, weights), abs=1e-9)


def test_the_gradient_of_infonce_on_a_negative_is_its_probability_over_the_temperature():
    negative = NEGATIVE.clone().requires_grad_()
    signal = InfoNCE(temperature=0.5)
    signal.loss(POSITIVE, negative, MASK).backward()
    for i in range(4):
        logits = [float(POSITIVE[i]) / 0.5] + [float(NEGATIVE[i, j]) / 0.5 if MASK[i, j] else -math.inf for j in range(6)]
        weights = [math.exp(v) for v in logits]
        for j in range(6):
            assert 4 * float(negative.grad[i, j]) == pytest.approx(weights[j + 1] / sum(weights) / 0.5, abs=1e-9)


def test_infonce_and_triplet_equal_sentence_transformers():
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss, TripletDistanceMetric, TripletLoss
    from torch.nn.functional import normalize

    torch.manual_seed(0)
    q, p, n = (torch.randn(8, 16) for _ in range(3))
    peer = MultipleNegativesRankingLoss(None, scale=20.0)
    theirs = peer.compute_loss_from_embeddings([q, p, n], None)
    qn, pn, nn_ = normalize(q), normalize(p), normalize(n)
    scores = torch.cat([qn @ pn.T, qn @ nn_.T], 1)
    mask = torch.ones_like(scores, dtype=torch.bool)
    mask[torch.arange(8), torch.arange(8)] = False
    ours = InfoNCE(temperature=0.05).loss((qn * pn).sum(1), scores, mask)
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)

    class Fixed(torch.nn.Module):
        def forward(self, features):
            return features

    peer = TripletLoss(Fixed(), distance_metric=TripletDistanceMetric.COSINE, triplet_margin=0.3)
    theirs = peer([{"sentence_embedding": v} for v in (q, p, n)], None)
    ours = Triplet(margin=0.3).loss((qn * pn).sum(1), (qn * nn_).sum(1)[:, None], torch.ones(8, 1, dtype=torch.bool))
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


def test_masking_equals_a_double_loop():
    rows, protected = np.array([3, 1, -1, 4, 1]), np.array([[1, -1], [3, 4], [-1, -1]])
    expected = [[r >= 0 and r not in own.tolist() for r in rows] for own in protected]
    assert allowed(rows, protected).tolist() == expected
    wide = np.tile(np.arange(100), (3, 1))
    assert not allowed(rows, wide).any()


DOCS = [f"document about thing{i} and thing{i + 1}" for i in range(12)]
ASKED = [f"thing{i}" for i in range(8)]


def stepper_of(batch, signal=None, mined=(), seed=0, lr=0.01):
    model = make_encoder("static-scratch").build(DOCS, seed)
    recipe = Recipe(batch=batch, signal=signal or InfoNCE(), mined=mined)
    return Stepper(recipe, model, lr, model.tokenize(ASKED), model.tokenize(DOCS))


def batch_of(mined=None):
    n = 4
    rows = np.arange(n)
    return Batch(rows, rows, np.empty((n, 0), np.int64) if mined is None else np.asarray(mined), rows[:, None])


def unit(vector):
    return vector / np.linalg.norm(vector)


def encode(stepper, side, rows):
    tokens = (stepper.query_tokens if side == "query" else stepper.doc_tokens).take(np.asarray(rows))
    return [unit(v) for v in stepper.model.encode(tokens, side)]


def nce(q, p, negatives, t=0.05):
    logits = np.array([q @ p, *(q @ n for n in negatives)], float) / t
    return float(np.log(np.exp(logits - logits.max()).sum()) + logits.max() - logits[0])


def test_in_batch_with_shared_mined_negatives_equals_a_plain_loop():
    stepper = stepper_of(InBatch(), mined=(Lane(source=RandomCorpus(), per_query=2),))
    mined = [[5, 6], [7, -1], [0, 8], [9, 10]]  # document 0 is query 0's positive: masked for it, used by query 2
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total = 0.0
    for i in range(4):
        pool = [d for d in range(4) if d != i] + [d for row in mined for d in row if d >= 0 and d != i]
        total += nce(queries[i], documents[i], [documents[d] for d in pool])
    report = stepper.step(batch_of(mined))
    assert report.loss == pytest.approx(total / 4, abs=1e-5)
    assert report.mined_weights.shape == (4, 2) and report.mined_weights[1, 1] == 0 and (report.mined_weights[0] > 0).all()


def test_own_mined_negatives_meet_their_query_only():
    mined = [[5, 6], [7, 8], [9, 10], [11, 4]]
    for batch in (NoBatch(), InBatch(shared_negatives=False)):
        stepper = stepper_of(batch, mined=(Lane(source=RandomCorpus(), per_query=2),))
        queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
        others = [[d for d in range(4) if d != i] if batch.gives_negatives else [] for i in range(4)]
        total = sum(nce(queries[i], documents[i], [documents[d] for d in mined[i] + others[i]]) for i in range(4))
        assert stepper.step(batch_of(mined)).loss == pytest.approx(total / 4, abs=1e-5)


def test_hardest_in_batch_uses_the_nearest_of_the_others():
    stepper = stepper_of(HardestInBatch(per_positive=1))
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(4))
    total = sum(
        nce(queries[i], documents[i], [max((documents[d] for d in range(4) if d != i), key=lambda v: queries[i] @ v)])
        for i in range(4)
    )
    assert stepper.step(batch_of()).loss == pytest.approx(total / 4, abs=1e-5)


@pytest.mark.parametrize("band", ["hard", "semi-hard"])
def test_a_band_of_the_batch_is_taken_by_the_positives_own_score(band):
    margin = 0.1
    stepper = stepper_of(BandInBatch(band=band, margin=margin))
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(4))
    total, n_used = 0.0, 0
    for i in range(4):
        own = queries[i] @ documents[i]
        others = [documents[d] for d in range(4) if d != i]
        low, high = (own, np.inf) if band == "hard" else (own - margin, own)
        used = [v for v in others if low <= queries[i] @ v < high]
        n_used += len(used)
        total += nce(queries[i], documents[i], used)
    assert 0 < n_used < 12
    assert stepper.step(batch_of()).loss == pytest.approx(total / 4, abs=1e-5)


def test_the_self_guided_mask_leaves_out_what_beats_the_positive():
    """Over the batch's positives and everybody's mined negatives, as the plain in-batch pools."""
    mined = [[5, 6], [7, 8], [9, 10], [11, 4]]
    stepper = stepper_of(SelfGuidedInBatch(margin=0.05), mined=(Lane(source=RandomCorpus(), per_query=2),))
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total, n_masked = 0.0, 0
    for i in range(4):
        own = queries[i] @ documents[i]
        pool = [documents[d] for d in (0, 1, 2, 3, *(d for row in mined for d in row)) if d != i]
        used = [v for v in pool if queries[i] @ v <= own + 0.05]
        n_masked += len(pool) - len(used)
        total += nce(queries[i], documents[i], used)
    assert 0 < n_masked < 44
    assert stepper.step(batch_of(mined)).loss == pytest.approx(total / 4, abs=1e-5)


@pytest.mark.parametrize("kind", [Queue, MoCo])
def test_queue_and_moco_equal_a_plain_loop(kind):
    piece = kind(size=6) if kind is Queue else MoCo(size=6, momentum=0.9)
    stepper = stepper_of(piece, lr=0.05)
    keys = stepper.model.clone()  # the oracle's own slow copy
    queue: list[tuple[int, np.ndarray]] = []
    for step in range(5):
        rows = np.arange(4) + (step % 2) * 4
        key_model = keys if kind is MoCo else stepper.model
        documents = [unit(v) for v in key_model.encode(stepper.doc_tokens.take(rows), "document")]
        queries = encode(stepper, "query", rows)
        total = 0.0
        for i in range(4):
            pool = [documents[j] for j in range(4) if j != i] + [v for d, v in queue if d != rows[i]]
            total += nce(queries[i], documents[i], pool)
        report = stepper.step(Batch(rows, rows, np.empty((4, 0), np.int64), rows[:, None]))
        assert report.loss == pytest.approx(total / 4, abs=2e-5)
        queue = (queue + list(zip(rows.tolist(), documents, strict=True)))[-6:]
        if kind is MoCo:
            for slow, fast in zip(keys.parameters(), stepper.model.parameters(), strict=True):
                slow.data.mul_(0.9).add_(fast.data, alpha=0.1)


def test_a_lane_weight_multiplies_its_terms():
    lanes = (Lane(source=RandomCorpus(), per_query=1, weight=3.0), Lane(source=RandomCorpus(), per_query=1))
    stepper = stepper_of(NoBatch(), mined=lanes)
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total = 0.0
    for i in range(4):
        e = [math.exp(float(queries[i] @ documents[d]) / 0.05) for d in (i, 5, 6)]
        total += -math.log(e[0] / (e[0] + 3 * e[1] + e[2]))
    assert stepper.step(batch_of([[5, 6]] * 4)).loss == pytest.approx(total / 4, abs=1e-5)


def test_dot_and_l2_are_compared_as_they_say():
    for similarity in ("dot", "l2"):
        stepper = stepper_of(InBatch(), signal=InfoNCE(similarity=similarity, temperature=1.0))
        q = stepper.model.encode(stepper.query_tokens.take(np.arange(4)), "query").astype(float)
        d = stepper.model.encode(stepper.doc_tokens.take(np.arange(4)), "document").astype(float)
        s = q @ d.T if similarity == "dot" else -((q[:, None] - d[None]) ** 2).sum(-1)
        expected = np.mean([np.log(np.exp(s[i]).sum()) - s[i, i] for i in range(4)])
        assert stepper.step(batch_of()).loss == pytest.approx(expected, abs=1e-5)


def test_weighted_bce_keeps_the_positive_when_nothing_is_allowed():
    signal = BinaryCrossEntropy()
    none = torch.zeros(2, 3, dtype=torch.bool)
    assert float(signal.loss(torch.tensor([0.9, 0.1]), torch.zeros(2, 3), none)) > 0
    assert float(InfoNCE().loss(torch.tensor([0.9, 0.1]), torch.zeros(2, 3), none)) == 0


@pytest.mark.parametrize("weight", [1.0, 0.5], ids=["equal", "weighted"])
def test_a_query_meets_its_own_mined_negatives_once_beside_a_queue(weight):
    lanes = (Lane(source=RandomCorpus(), per_query=2, weight=weight),)
    rows, mined = np.arange(4), np.array([[8, 9], [10, -1], [11, 8], [9, 10]])
    losses = []
    for batch in (InBatch(), Queue(size=6)):  # an empty queue adds nothing
        stepper = stepper_of(batch, mined=lanes)
        losses.append(stepper.step(Batch(rows, rows, mined, rows[:, None])).loss)
    assert losses[1] == pytest.approx(losses[0], abs=1e-6)
