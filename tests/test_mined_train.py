"""What mined strategies do at train time: loss rank, fixed documents and full retrieval, memory of the last refresh."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from core.encode.encoders import make_encoder
from core.encode.model import load_model
from core.errors import ParameterError, TrialError
from core.lab.mined_file import mine_to_file
from core.sampling.batch_mined import FullRetrieval, HighestLoss, MetricWeighted
from core.sampling.presets import preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.signal import InfoNCE
from core.sampling.sources import RandomCorpus
from core.train.fixed import FixedVectors, two_towers
from core.train.results import TrialResults
from core.train.step import Batch, Stepper
from core.train.trial import Stopped, run_trial
from tests.test_train_trial import bytes_of, events_of, make_trial

RNG = np.random.default_rng(1)


def test_highest_loss_keeps_the_pairs_of_the_whole_batch_with_the_highest_loss():
    scores, positive = torch.tensor(RNG.normal(size=(5, 8))), torch.tensor(RNG.normal(size=5))
    scores[0, :4] = scores[1, :4] = 3.0  # ties
    positive[0] = positive[1]
    allowed = torch.tensor(RNG.random((5, 8)) < 0.8)
    kept = HighestLoss(share=0.3).narrow(scores, allowed, positive)
    pairs = [(i, j) for i in range(5) for j in range(8) if allowed[i, j]]
    loss = {(i, j): math.log1p(math.exp(float(scores[i, j] - positive[i]))) for i, j in pairs}
    expected = sorted(pairs, key=lambda p: (-round(loss[p], 12), p))[: math.ceil(0.3 * len(pairs))]
    assert {tuple(p) for p in kept.nonzero().tolist()} == set(expected)
    assert HighestLoss(share=1.0).narrow(scores, allowed, positive).equal(allowed)
    assert not HighestLoss().narrow(scores, torch.zeros_like(allowed), positive).any()


def stepper_of(batch, *, similarity="cosine", **more) -> Stepper:
    texts = [f"word{i} topic{i % 4} thing{i % 7}" for i in range(40)]
    queries = [f"thing{i} word{i * 3}" for i in range(6)]
    model = two_towers(make_encoder({"key": "static"}).build(texts, 0))
    recipe = Recipe(batch=batch, signal=InfoNCE(similarity=similarity, temperature=0.5), **more)
    return Stepper(recipe, model, 0.01, model.tokenize(queries), model.tokenize(texts))


def batch_of(mined=None) -> Batch:
    protected = np.array([[0, 11], [1, -1], [2, -1], [3, 4]])
    empty = np.empty((4, 0), np.int64)
    return Batch(np.arange(4), np.arange(4), empty if mined is None else mined, protected)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_full_retrieval_equals_a_plain_loop_and_moves_queries_only(similarity):
    mined = np.array([[30, 31], [32, -1], [33, 34], [-1, -1]])
    stepper = stepper_of(FullRetrieval(depth=5), similarity=similarity, mined=(Lane(source=RandomCorpus(), per_query=2, weight=2.0),))
    before = stepper.model.state()
    queries = stepper.model.encode(stepper.query_tokens, "query").astype(float)
    documents = stepper.model.encode(stepper.doc_tokens, "document").astype(float)

    def score(q, d):
        a, b = queries[q], documents[d]
        if similarity == "l2":
            return -((a - b) ** 2).sum()
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b) if similarity == "cosine" else 1)

    batch, total = batch_of(mined), 0.0
    for q in range(4):
        found = sorted((d for d in range(40) if d not in batch.protected[q]), key=lambda d, q=q: (-score(q, d), d))[:5]
        own = [(d, 2.0) for d in mined[q] if d >= 0] + [(d, 1.0) for d in found]
        rest = sum(w * math.exp(score(q, d) / 0.5) for d, w in own)
        total -= math.log(math.exp(score(q, q) / 0.5) / (math.exp(score(q, q) / 0.5) + rest))
    report = stepper.step(batch)
    assert report.loss == pytest.approx(total / 4, rel=1e-4) and report.mined_weights.shape == (4, 7)
    after = stepper.model.state()
    assert np.array_equal(before["document"], after["document"]) and not np.array_equal(before["query"], after["query"])


@pytest.mark.parametrize("metric", ["RR", "nDCG"])
def test_metric_weights_are_the_change_that_a_swap_makes(metric):
    piece = MetricWeighted(metric=metric, cutoff=4)
    scores, positive = torch.tensor(RNG.normal(size=(6, 9))), torch.tensor(RNG.normal(size=6))
    allowed = torch.tensor(RNG.random((6, 9)) < 0.8)
    weights = piece.weigh(scores, allowed, positive).exp()

    def value(ranking):
        rank = ranking.index("+") + 1
        return 0.0 if rank > 4 else 1 / rank if metric == "RR" else 1 / math.log2(1 + rank)

    for i in range(6):
        names = [j for j in range(9) if allowed[i, j]]
        score = {j: float(scores[i, j]) for j in names} | {"+": float(positive[i])}
        ranking = sorted(score, key=lambda name: -score[name])
        for j in names:
            swapped = [{"+": j, j: "+"}.get(name, name) for name in ranking]
            assert float(weights[i, j]) == pytest.approx(abs(value(swapped) - value(ranking)), abs=1e-6)


@pytest.mark.parametrize("recipe", ["ance-tele", "trisampler", "ltre", "adore"])
def test_equal_seeds_give_equal_bytes_and_a_stop_changes_nothing(recipe, tmp_path, tiny_corpus):
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe, epochs=3)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = make_trial(tmp_path / "stopped", tiny_corpus, recipe, epochs=3)
    for n_steps in (2, 4):
        calls = iter(range(n_steps))
        with pytest.raises(Stopped):
            run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda calls=calls: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(stopped)


def test_momentum_looks_at_what_the_refresh_before_found(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, "ance-tele", epochs=3, learning_rate=0.05)
    run_trial(folder, threads=1, corpus=tiny_corpus)
    results = TrialResults(folder)
    tables = [results.candidates([number]) for number in results.tables()]
    pairs = [list(zip(t["query_row"].to_pylist(), t["doc_row"].to_pylist(), strict=True)) for t in tables]
    rows = {(t["lane"][0].as_py(), i): pairs[i] for i, t in enumerate(tables)}
    dense, momentum = ([rows[key] for key in sorted(rows) if key[0] == lane] for lane in (0, 1))
    assert len(dense) == 3 and momentum[1:] == dense[:2] and dense[0] != dense[2]


def test_what_a_corpus_lacks_stops_a_training_and_a_mining_with_a_sentence(tmp_path, tiny_corpus):
    with pytest.raises(ParameterError, match="Context negatives need a field .* Set context.field"):
        run_trial(make_trial(tmp_path / "t", tiny_corpus, "context"), threads=1, corpus=tiny_corpus)
    with pytest.raises(ParameterError, match="no log of impressions. Put impressions.tsv"):
        mine_to_file(tiny_corpus, preset("impressions").recipe, tmp_path / "x.parquet")


def test_fixed_documents_start_from_a_trial_and_keep_its_vectors(tmp_path, tiny_corpus):
    run_trial(make_trial(tmp_path / "warm", tiny_corpus, "in-batch"), threads=1, corpus=tiny_corpus)
    recipe = dataclasses.replace(preset("adore").recipe, batch=MetricWeighted(depth=30, trial="warm"))
    folder = make_trial(tmp_path / "next", tiny_corpus, recipe)
    result = run_trial(folder, threads=1, corpus=tiny_corpus)
    warm, after = (TrialResults(tmp_path / name).vectors(tiny_corpus) for name in ("warm", "next"))
    assert np.array_equal(warm.documents, after.documents) and not np.array_equal(warm.queries, after.queries)
    assert result["untrained"] == pytest.approx(TrialResults(tmp_path / "warm").result["metrics"])
    assert load_model(folder / "model").encoder.towers == "separate"
    assert "Document vectors stay those of trial warm" in events_of(folder, "log")[0]["text"]
    lost = dataclasses.replace(recipe, batch=MetricWeighted(trial="gone"))
    with pytest.raises(TrialError, match="has no model to start from"):
        run_trial(make_trial(tmp_path / "lost", tiny_corpus, lost), threads=1, corpus=tiny_corpus)


@pytest.mark.parametrize("similarity", ["dot", "cosine", "l2"])
def test_scores_with_fixed_documents_and_their_gradient_are_those_of_a_plain_product(similarity):
    rng = np.random.default_rng(3)
    documents, queries = (torch.from_numpy(rng.standard_normal((n, 24)).astype(np.float32)) for n in (300, 40))
    queries.requires_grad_()
    doc_rows = torch.from_numpy(rng.integers(-1, 300, (40, 30)))
    weights = torch.from_numpy(rng.standard_normal((40, 30)).astype(np.float32)) * (doc_rows >= 0) * (doc_rows % 3 > 0)
    found = FixedVectors(documents, similarity, 5).compare(queries, doc_rows)
    (found * weights).sum().backward()
    gradient, queries.grad = queries.grad, None
    own = documents[doc_rows.clamp(min=0)]
    plain = -(queries[:, None] - own).square().sum(2) if similarity == "l2" else (queries[:, None] * own).sum(2)
    (plain * weights).sum().backward()
    is_real = doc_rows >= 0
    assert torch.allclose(found[is_real], plain[is_real], atol=1e-4)
    assert torch.allclose(gradient, queries.grad, atol=1e-4)
