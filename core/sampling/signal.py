"""What a positive and its negatives tell the model: the losses, over scores that are larger when closer.

torch is imported when a loss is computed, not before: the gallery and the command line list these pieces without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core.params import Citation, Piece, param

if TYPE_CHECKING:
    from torch import Tensor

SIMILARITIES = ("cosine", "dot", "l2")
SIMILARITY_HELP = "how two vectors are compared; l2 is minus the squared distance, so larger is closer"


class Signal(Piece):
    """Base of the losses; every one has a similarity.

    ``is_distribution``: one softmax over the positive and its negatives, so that each negative has a probability.
    """

    family = "signal"
    similarity: str
    is_distribution: ClassVar[bool] = False
    #: True where ``loss`` takes a teacher's scores as its fifth argument: of the positives (B,) and of the negatives (B, M).
    needs_teacher: ClassVar[bool] = False

    def loss(self, positive: Tensor, negative: Tensor, is_allowed: Tensor, log_weight: Tensor | None = None) -> Tensor:
        """Scalar loss, the mean over the queries of the batch.

        ``positive`` (B,), ``negative`` (B, M) scores; ``is_allowed`` bool (B, M): False entries take no part;
        ``log_weight`` (B, M) or (M,): log of the loss weight of each negative, None = all 1. A query with no allowed
        negative has loss 0 (BCE: the positive's own term stays).
        """
        raise TypeError(f"{type(self).__name__} has no loss")


def _mean_over_negatives(per_pair: Tensor, is_allowed: Tensor, log_weight: Tensor | None) -> Tensor:
    """(B,) weighted mean of a (B, M) loss over each row's allowed negatives; 0 where there is none."""
    weight = is_allowed.to(per_pair.dtype)
    if log_weight is not None:
        weight = weight * log_weight.exp()
    count = is_allowed.sum(1).clamp(min=1)
    return (per_pair.masked_fill(~is_allowed, 0.0) * weight).sum(1) / count


@dataclass(frozen=True, kw_only=True)
class InfoNCE(Signal):
    """The positive must win a softmax against its negatives.

    Loss -log( e^{s+/t} / (e^{s+/t} + sum_i w_i e^{s_i/t}) ). The gradient on negative i is p_i / t, with p_i its softmax
    probability: an easy negative has p near 0 and teaches nothing, a false one has p near 1 and does harm. A small
    temperature looks almost only at the hardest.
    """

    key = "infonce"
    title = "InfoNCE"
    is_distribution = True
    source = Citation(
        "van den Oord et al.", 2018, "Representation Learning with Contrastive Predictive Coding", "https://arxiv.org/abs/1807.03748"
    )
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    temperature: float = param(0.05, "divides the scores", ge=0.001, le=100.0)

    def loss(self, positive, negative, is_allowed, log_weight=None):
        import torch

        negative = negative.masked_fill(~is_allowed, -torch.inf)
        if log_weight is not None:
            negative = negative + self.temperature * log_weight
        logits = torch.cat([positive[:, None], negative], 1) / self.temperature
        return (logits.logsumexp(1) - positive / self.temperature).mean()


@dataclass(frozen=True, kw_only=True)
class Triplet(Signal):
    """The negative must be farther away than the positive by a margin.

    Loss max(0, D(q, d+) - D(q, d-) + m), the mean over a query's negatives; D = 1 - cosine, the squared distance, or minus the
    dot product. A negative beyond the margin gives no gradient at all, so random negatives soon teach nothing.
    """

    key = "triplet"
    title = "Triplet margin"
    source = Citation(
        "Schroff et al.", 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", "https://arxiv.org/abs/1503.03832"
    )
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    margin: float = param(0.2, "distance that a negative must lie behind the positive", unit="score", ge=0.0, le=100.0)

    def loss(self, positive, negative, is_allowed, log_weight=None):
        per_pair = (negative - positive[:, None] + self.margin).clamp(min=0)
        return _mean_over_negatives(per_pair, is_allowed, log_weight).mean()


@dataclass(frozen=True, kw_only=True)
class Hinge(Signal):
    """The scaled score difference must reach one: the ranking support vector machine.

    Loss max(0, 1 - (s+ - s-) / t), the mean over a query's negatives. The same shape as the triplet loss; the scale
    of the scores is the parameter instead of the margin, so the gradient is 1 / t for every pair not yet separated.
    """

    key = "hinge"
    title = "Pairwise hinge"
    source = Citation(
        "Joachims", 2002, "Optimizing Search Engines using Clickthrough Data", "https://doi.org/10.1145/775047.775067"
    )
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    temperature: float = param(0.2, "divides the score difference", ge=0.001, le=100.0)

    def loss(self, positive, negative, is_allowed, log_weight=None):
        per_pair = (1 - (positive[:, None] - negative) / self.temperature).clamp(min=0)
        return _mean_over_negatives(per_pair, is_allowed, log_weight).mean()


@dataclass(frozen=True, kw_only=True)
class PairwiseLogistic(Signal):
    """Each negative should lose against the positive, the more clearly the better, but never by a fixed amount.

    Loss log(1 + e^{(s- - s+) / t}), averaged over the negatives (RankNet's). A smooth hinge: pairs that are right still pull a little.
    Every pair counts alike, however many are right already, unless the batch piece weights them as ADORE does.
    """

    key = "pairwise-logistic"
    title = "Pairwise logistic"
    source = Citation("Burges et al.", 2005, "Learning to Rank using Gradient Descent", "https://doi.org/10.1145/1102351.1102363")
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    temperature: float = param(0.05, "divides the score difference", ge=0.001, le=100.0)

    def loss(self, positive, negative, is_allowed, log_weight=None):
        from torch.nn.functional import softplus

        per_pair = softplus((negative - positive[:, None]) / self.temperature)
        return _mean_over_negatives(per_pair, is_allowed, log_weight).mean()


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy(Signal):
    """Each pair is judged alone: relevant or not.

    Loss -log sigmoid((s+ - b) / t) - mean_i log sigmoid(-(s_i - b) / t). Pointwise: the model must put every relevant pair above
    one common threshold b, which is harder than ranking and gives scores that can be read as probabilities.
    """

    key = "bce"
    title = "Binary cross-entropy"
    source = Citation(
        "Huang et al.", 2013, "Learning Deep Structured Semantic Models for Web Search using Clickthrough Data",
        "https://doi.org/10.1145/2505515.2505665",
    )
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    temperature: float = param(0.1, "divides the score minus the threshold", ge=0.001, le=100.0)
    threshold: float = param(0.5, "score at which a pair is as likely relevant as not", unit="score", ge=-1000.0, le=1000.0)

    def loss(self, positive, negative, is_allowed, log_weight=None):
        from torch.nn.functional import softplus

        per_pair = softplus((negative - self.threshold) / self.temperature)
        own = softplus(-(positive - self.threshold) / self.temperature)
        return (own + _mean_over_negatives(per_pair, is_allowed, log_weight)).mean()


SIGNALS: tuple[type[Signal], ...] = (InfoNCE, Triplet, Hinge, PairwiseLogistic, BinaryCrossEntropy)
