"""The guided mask: against sentence-transformers' GISTEmbedLoss, against a plain loop, in a trial that is stopped."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.sampling.context import Vectors
from core.sampling.guided import GuidedInBatch
from core.sampling.recipe import Lane
from core.sampling.signal import InfoNCE
from core.sampling.sources import RandomCorpus
from core.train.guide import Guide
from core.train.step import Batch
from core.train.trial import Stopped, run_trial
from tests.test_train_step import encode, nce, stepper_of
from tests.test_train_trial import bytes_of, make_trial

RNG = np.random.default_rng(5)
QUERIES, DOCUMENTS = (RNG.normal(size=shape).astype(np.float32) for shape in ((8, 6), (12, 6)))
LANE = (Lane(source=RandomCorpus(), per_query=2),)


def guided(piece, mined=(), temperature=0.05):
    stepper = stepper_of(piece, InfoNCE(temperature=temperature), mined=mined)
    stepper.guide = Guide(Vectors(QUERIES, DOCUMENTS, "dot", "guide"))
    return stepper


def cosine(q, d):
    return float(QUERIES[q] @ DOCUMENTS[d] / np.linalg.norm(QUERIES[q]) / np.linalg.norm(DOCUMENTS[d]))


def peer_loss(temperature, **settings):
    """sentence-transformers' loss on vectors that are handed to it: features hold the model's and the guide's."""
    from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    class Fixed(torch.nn.Module):
        max_seq_length = 8
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, "a")))

        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, features):
            return {"sentence_embedding": features[self.name]}

    return GISTEmbedLoss(
        Fixed("model"), Fixed("guide"), temperature=temperature, contrast_anchors=False, contrast_positives=False, **settings
    )


@pytest.mark.parametrize(("strategy", "margin"), [("absolute", 0.0), ("absolute", 0.2), ("relative", 0.5)])
@pytest.mark.parametrize("n_mined", [0, 1])
def test_the_mask_equals_sentence_transformers(strategy, margin, n_mined):
    """On query-document pairs; its query-query and document-document pairs, which it adds by default, are left out."""
    mined = np.array([[5], [7], [8], [11]])[:, :n_mined]
    lanes = (Lane(source=RandomCorpus()),) * n_mined
    stepper = guided(GuidedInBatch(margin=margin, strategy=strategy), lanes, temperature=0.1)
    rows = np.arange(4)
    columns = [("query", rows, QUERIES), ("document", rows, DOCUMENTS)] + [("document", mined.ravel(), DOCUMENTS)] * n_mined
    features = [
        {"model": torch.tensor(np.array(encode(stepper, side, own))), "guide": torch.tensor(given[own])} for side, own, given in columns
    ]
    theirs = float(peer_loss(0.1, margin_strategy=strategy, margin=margin)(features, None))
    report = stepper.step(Batch(rows, rows, mined, rows[:, None]))
    assert report.loss == pytest.approx(theirs, abs=1e-5)
    plain = stepper_of(GuidedInBatch(), InfoNCE(temperature=0.1), mined=lanes)
    assert abs(plain.step(Batch(rows, rows, mined, rows[:, None])).loss - theirs) > 1e-3, "the guide masks something"


@pytest.mark.parametrize("shares", [True, False])
def test_the_mask_equals_a_plain_loop(shares):
    """Also for mined negatives that meet their own query only."""
    mined = np.array([[5, 6], [7, -1], [8, 9], [10, 11]])
    stepper = guided(GuidedInBatch(margin=0.05, shared_negatives=shares), LANE)
    queries, documents = encode(stepper, "query", range(4)), encode(stepper, "document", range(12))
    total, n_masked = 0.0, 0
    for i in range(4):
        own = mined.ravel() if shares else mined[i]
        pool = [d for d in range(4) if d != i] + [int(d) for d in own if d >= 0]
        used = [d for d in pool if cosine(i, d) <= cosine(i, i) - 0.05]
        n_masked += len(pool) - len(used)
        total += nce(queries[i], documents[i], [documents[d] for d in used])
    assert n_masked > 3
    rows = np.arange(4)
    assert stepper.step(Batch(rows, rows, mined, rows[:, None])).loss == pytest.approx(total / 4, abs=1e-5)


def test_a_guided_trial_is_the_same_stopped_and_resumed(tmp_path, tiny_corpus):
    """The guide is the encoder before training, although a trial that goes on holds another by then."""
    whole = make_trial(tmp_path / "whole", tiny_corpus, "gist")
    run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = make_trial(tmp_path / "stopped", tiny_corpus, "gist")
    calls = iter(range(3))
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(stopped) == bytes_of(whole)


def test_another_trial_can_guide(tmp_path, tiny_corpus):
    from core.sampling.presets import preset
    from core.sampling.settings import apply_settings

    guide = make_trial(tmp_path / "guide", tiny_corpus, "in-batch", epochs=1)
    run_trial(guide, threads=1, corpus=tiny_corpus)
    results = []
    for name, guided_by in (("mine", "guide"), ("plain", "")):
        recipe = apply_settings(preset("gist").recipe, [f"batch.guide={guided_by}"])
        results.append(run_trial(make_trial(tmp_path / name, tiny_corpus, recipe, epochs=1), threads=1, corpus=tiny_corpus))
    assert results[0]["weights"] != results[1]["weights"]
