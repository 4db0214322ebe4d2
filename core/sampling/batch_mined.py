"""Batch pieces that look for their negatives at each step: by the loss of what is there, or by searching the whole corpus."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core.params import Citation, param
from core.sampling.batch import BatchNegatives, _batch_pools


@dataclass(frozen=True, kw_only=True)
class HighestLoss(BatchNegatives):
    """Of all pairs of a query and a negative in the batch only those with the highest loss teach anything.

    Every pair is scored, all are ranked by loss across the whole batch, a share at the top is kept and the easy rest dropped; queries
    that have none of them are easy and sit the step out. The loss of a pair rises with s- - s+, so that is the order. This is loss rank:
    the search of ANCE takes index rank, query by query. It is greedy for whatever the model gets most wrong, wrong labels and unlabelled
    positives first, and every query that is not among the worst is ignored for a while. OHEM ranked image regions and ran a second pass on
    the kept ones; here one pass does both.
    """

    key = "highest-loss"
    title = "Highest loss (OHEM)"
    difficulty = "medium"
    source = Citation(
        "Shrivastava et al.",
        2016,
        "Training Region-based Object Detectors with Online Hard Example Mining",
        "https://arxiv.org/abs/1604.03540",
    )
    share: float = param(0.1, "share of the batch's pairs of a query and a negative that is kept", ge=0.001, le=1.0)

    @property
    def shares_mined(self):
        return True

    def pools(self, step, state):
        return _batch_pools(step, True)

    def narrow(self, scores, is_allowed, positive):
        import torch

        excess = (scores - positive[:, None]).detach().masked_fill(~is_allowed, -torch.inf)
        n_kept = math.ceil(self.share * int(is_allowed.sum()))
        kept = torch.zeros(excess.numel(), dtype=torch.bool)
        # A stable sort, not topk: of equal losses the first in the batch are kept, on every machine.
        kept[excess.flatten().sort(descending=True, stable=True).indices[:n_kept]] = True
        return is_allowed & kept.reshape(excess.shape)


class FixedDocuments(BatchNegatives):
    """Base of the pieces that keep all document vectors as they are and search them for the batch's queries at each step."""

    fixes_documents = True
    depth: int
    trial: str

    def pools(self, step, state):
        return []


@dataclass(frozen=True, kw_only=True)
class FullRetrieval(FixedDocuments):
    """At each step the whole corpus is searched for the batch's queries; only the query side learns.

    Document vectors never change, so the index never grows stale: the negatives are exactly what the model ranks first at that moment,
    for the price of one search of the batch. The query side gets a tower of its own, the documents keep theirs. Start from a trained model
    (trial), as the paper does: what the document vectors cannot tell apart, no query vector can. It fails where the document
    side was never trained, and where the first ranks hold unlabelled answers. Why-cards know the first 50 ranks of a query's last search
    in each epoch.
    """

    key = "full-retrieval"
    title = "Full retrieval (LTRe)"
    cost = "medium"
    difficulty = "hard"
    source = Citation(
        "Zhan et al.",
        2020,
        "Learning To Retrieve: How to Train a Dense Retrieval Model Effectively and Efficiently",
        "https://arxiv.org/abs/2010.10469",
    )
    depth: int = param(50, "first ranks that serve as negatives at each step", unit="rank", ge=1, le=10_000)
    trial: str = param("", "id or folder of the finished trial to start from; empty = the encoder before training")


@dataclass(frozen=True, kw_only=True)
class MetricWeighted(FixedDocuments):
    """Full retrieval at each step, each negative weighted by what swapping it with the positive would change in the metric.

    As LTRe: document vectors fixed, the corpus searched for the batch's queries. A negative at rank 1 over a positive at rank 9
    counts for much, one at rank 150 under it for nothing, so the loss looks where the metric does. The metric is RR or nDCG with one
    positive, cut at a rank: where both stand behind the cut the weight is 0. Other positives of the query take no rank. Its weights
    trust the top most, which is where unlabelled answers are.
    """

    key = "metric-weighted"
    title = "Full retrieval, metric-weighted (ADORE)"
    cost = "medium"
    difficulty = "hard"
    source = Citation(
        "Zhan et al.", 2021, "Optimizing Dense Retrieval Model Training with Hard Negatives", "https://arxiv.org/abs/2104.08051"
    )
    depth: int = param(200, "first ranks that serve as negatives at each step", unit="rank", ge=1, le=10_000)
    metric: str = param("RR", "what the weights are a change of", choices=("RR", "nDCG"))
    cutoff: int = param(10, "ranks behind it are worth nothing in the metric", unit="rank", ge=1, le=10_000)
    trial: str = param("", "id or folder of the finished trial to start from; empty = the encoder before training")

    def weigh(self, scores, is_allowed, positive):
        import torch

        scores, positive = scores.detach().masked_fill(~is_allowed, -torch.inf), positive.detach()[:, None]
        # Ties go to the positive.
        own_rank = 1 + (scores > positive).sum(1, keepdim=True)
        rank = scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1) + 1 + (scores <= positive)
        return (self._worth(own_rank) - self._worth(rank)).abs().log()

    def _worth(self, rank):
        worth = 1 / rank if self.metric == "RR" else 1 / (1 + rank).log2()
        return worth.masked_fill(rank > self.cutoff, 0.0)


BATCH_MINED: tuple[type[BatchNegatives], ...] = (HighestLoss, FullRetrieval, MetricWeighted)
