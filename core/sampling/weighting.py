"""How heavy each mined negative is in the loss: all alike, or lighter where it may be an unlabelled answer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from core.params import Citation, Piece, param
from core.sampling.context import MiningContext
from core.sampling.crossed import CROSS_HELP, AsksCross
from core.sampling.filters import Looked, share_below

DCLR = Citation(
    "Zhou et al.", 2022, "Debiased Contrastive Learning of Unsupervised Sentence Representations", "https://arxiv.org/abs/2205.00656"
)
# The log of a weight of 0: as a lane's weight of 0, no negative has any pull left.
NO_WEIGHT = 1e-30


class Weighting(Piece):
    """Base of the weightings; the lane's own weight comes on top."""

    family = "weighting"

    def weights(self, context: MiningContext, looked: Looked) -> np.ndarray | None:
        """float (Q, C), 0 to 1: each candidate's share of its full weight in its query's loss; None = all of them 1.

        Candidates that no query will use have doc_rows -1; their weight does not count.
        """
        raise TypeError(f"{type(self).__name__} weighs nothing")


@dataclass(frozen=True, kw_only=True)
class Equal(Weighting):
    """Every kept candidate counts in full.

    What a filter lets pass is trusted, what it refuses is lost: a hard decision at one threshold. Simple, and right where the
    labels are nearly complete.
    """

    key = "equal"
    title = "Equal weights"
    source = Citation(
        "van den Oord et al.", 2018, "Representation Learning with Contrastive Predictive Coding", "https://arxiv.org/abs/1807.03748"
    )

    def weights(self, context, looked):
        return None


@dataclass(frozen=True, kw_only=True)
class Suspicion(AsksCross, Weighting):
    """The likelier a negative is an answer, the less it weighs.

    w = (1 - p)^gamma multiplies its term of the loss (in a softmax its e^(s / t)). p is the cross-encoder's probability, or, without any
    second model, the share of the training positives that the same source scores no higher. No threshold throws out a hard true
    negative: it only counts for less, and gamma says how much (0 = equal weights). DCLR gives such instances the weight 0 or 1; the
    smooth power is ours. The weight is for the pair: where mined negatives serve the whole batch, other queries meet the document in full.
    A p that is wrong for hard negatives in general takes their weight, and with it what they would teach.
    """

    key = "suspicion"
    title = "Lighter where suspected"
    cost = "medium"
    difficulty = "medium"
    source = DCLR
    gamma: float = param(1.0, "power of 1 - p; 0 = equal weights, larger = only the clear negatives count", ge=0.0, le=100.0)
    by: str = param("cross-encoder", "what p is: the cross-encoder's, or the percentile among the positives",
                    choices=("cross-encoder", "percentile"))  # fmt: skip
    model: str = param("", CROSS_HELP)

    @property
    def asks_cross(self):
        return self.by == "cross-encoder"

    def weights(self, context, looked):
        if self.asks_cross:
            p = self.relevance(context, looked.query_rows, looked.doc_rows)
        else:
            p = share_below(looked.source.score(context, *context.training_pairs), looked.scores)
        return (1.0 - p) ** self.gamma


WEIGHTINGS: tuple[type[Weighting], ...] = (Equal, Suspicion)


def log_weights(weighting: Weighting, context: MiningContext, looked: Looked, is_kept: np.ndarray) -> np.ndarray | None:
    """float32 (Q, C) logs of the weights of the kept candidates, 0 elsewhere; None where all weigh alike."""
    found = weighting.weights(context, dataclasses.replace(looked, doc_rows=np.where(is_kept, looked.doc_rows, -1)))
    if found is None:
        return None
    return np.where(is_kept, np.log(np.maximum(found, NO_WEIGHT)), 0.0).astype(np.float32)
