"""InfoNCE and triplet against sentence-transformers with gradients: many negatives, several similarities, through a step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.sampling.batch import InBatch, NoBatch
from core.sampling.recipe import Lane
from core.sampling.signal import InfoNCE, Triplet
from core.sampling.sources import RandomCorpus
from core.train.step import Batch
from tests.test_denoise_distillation import Fixed, columns_of
from tests.test_train_step import stepper_of

MINED = np.array([[4, 5, 6], [6, 7, 8], [8, 9, 10], [10, 11, 4]])
ROWS = np.arange(4)


def stepped(batch, signal):
    """(report, a second stepper's vectors with the same weights, the gradient of its table by the first's step)."""
    lanes = (Lane(source=RandomCorpus(), per_query=3),)
    stepper, twin = stepper_of(batch, signal, mined=lanes), stepper_of(batch, signal, mined=lanes)
    report = stepper.step(Batch(ROWS, ROWS, MINED, ROWS[:, None]))
    columns = [twin.model.forward(twin.query_tokens.take(ROWS), "query")]
    columns += [twin.model.forward(twin.doc_tokens.take(rows), "document") for rows in (ROWS, *MINED.T)]
    return report, columns, twin, stepper.model.parameters()[0].grad.to_dense()


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_step_equals_multiple_negatives_ranking(similarity):
    """The batch's positives and everybody's mined negatives; loss to 1e-5, and the gradient that reaches the token table."""
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import cos_sim, dot_score

    report, columns, twin, ours = stepped(InBatch(), InfoNCE(similarity=similarity, temperature=0.1))
    peer = MultipleNegativesRankingLoss(Fixed(), scale=10.0, similarity_fct=cos_sim if similarity == "cosine" else dot_score)
    theirs = peer(columns_of(*columns), None)
    theirs.backward()
    assert report.loss == pytest.approx(float(theirs.detach()), abs=1e-5)
    expected = twin.model.parameters()[0].grad.to_dense()
    torch.testing.assert_close(ours, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)


def test_a_step_equals_the_triplet_loss_over_all_triplets():
    """Theirs takes one negative a row: the mean over three columns is the mean over three calls."""
    from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss

    report, columns, twin, ours = stepped(NoBatch(), Triplet(margin=0.9))
    peer = TripletLoss(Fixed(), distance_metric=TripletDistanceMetric.COSINE, triplet_margin=0.9)
    query, positive, *negatives = columns
    theirs = sum(peer(columns_of(query, positive, negative), None) for negative in negatives) / 3
    theirs.backward()
    assert report.loss == pytest.approx(float(theirs.detach()), abs=1e-5)
    expected = twin.model.parameters()[0].grad.to_dense()
    torch.testing.assert_close(ours, expected, atol=1e-5 * float(expected.abs().max()), rtol=1e-4)
