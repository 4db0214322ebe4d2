"""Negatives that come free with the batch: other queries' positives, and queues of earlier ones.

Each piece names *pools*: document vectors that serve every query of the batch, with their document rows. The trainer scores
them in one product and masks, by row number, every document that a query must not be pushed from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from core.params import Citation, Piece, param

if TYPE_CHECKING:
    from torch import Tensor

DPR = Citation(
    "Karpukhin et al.",
    2020,
    "Dense Passage Retrieval for Open-Domain Question Answering",
    "https://arxiv.org/abs/2004.04906",
)


@dataclass
class BatchStep:
    """The vectors of one training step, already normalised where the similarity is cosine.

    ``positives`` (B, D) of documents ``positive_rows`` (B,); ``mined`` (B, m, D) of ``mined_rows`` (B, m), -1 = none, or
    None. With a key encoder ``positives`` are its vectors and carry no gradient.
    """

    positives: Tensor
    positive_rows: Tensor
    mined: Tensor | None
    mined_rows: Tensor | None


class BatchNegatives(Piece):
    """Base of the batch pieces."""

    family = "batch"
    #: True where a slow copy of the encoder makes the document vectors (MoCo).
    uses_key_encoder: ClassVar[bool] = False
    #: True where no document vector changes and the corpus is searched at each step (core/train/fixed.py).
    fixes_documents: ClassVar[bool] = False

    @property
    def shares_mined(self) -> bool:
        """Whether the mined negatives of one query serve the whole batch."""
        return False

    @property
    def guided_by(self) -> str | None:
        """The model whose fixed vectors mask pairs: "start", or a finished trial's id or folder; None = no guide."""
        return None

    def pass_guide(self, scores: Tensor, positive: Tensor) -> Tensor:
        """bool (B, M): pairs that the guide lets pass, by its ``scores`` (B, M) and those of each query's positive (B,)."""
        raise TypeError(f"{type(self).__name__} has no guide")

    @property
    def gives_negatives(self) -> bool:
        """Whether training is possible without mined negatives."""
        return True

    def start(self, dim: int) -> dict[str, Tensor]:
        """The piece's state before the first step: named tensors, empty for most."""
        return {}

    def pools(self, step: BatchStep, state: dict[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """[(vectors (M, D), doc_rows int64 (M,), -1 = empty place)], scored against every query of the batch."""
        raise TypeError(f"{type(self).__name__} names no pools")

    def narrow(self, scores: Tensor, is_allowed: Tensor, positive: Tensor) -> Tensor:
        """Which of the allowed pool entries are used, bool (B, M); all of them unless the piece says otherwise.

        ``scores`` (B, M) of the pools, ``positive`` (B,) of each query's own positive.
        """
        return is_allowed

    def weigh(self, scores: Tensor, is_allowed: Tensor, positive: Tensor) -> Tensor | None:
        """Log weights (B, M) of the negatives in the loss, where documents are fixed; None = all count alike."""
        return None

    def finish(self, step: BatchStep, state: dict[str, Tensor]) -> None:
        """Update the state after the optimiser's step."""

    def kept(self, state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor] | None:
        """What earlier steps left in the pools: (vectors (M, D), doc_rows int64 (M,), ages int64 (M,), >= 1, in steps); None = nothing."""
        return None


@dataclass(frozen=True, kw_only=True)
class NoBatch(BatchNegatives):
    """Each query meets its own mined negatives only.

    Shows what a source of negatives does by itself, with nothing free mixed in. Nothing holds the rest of the space in
    order, so with few hard negatives the model can lose what it knew about easy ones.
    """

    key = "none"
    title = "No batch negatives"
    source = Citation(
        "Xiong et al.",
        2020,
        "Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text Retrieval",
        "https://arxiv.org/abs/2007.00808",
    )

    @property
    def gives_negatives(self):
        return False

    def pools(self, step, state):
        return []


def _batch_pools(step: BatchStep, shares_mined: bool) -> list[tuple[Tensor, Tensor]]:
    pools = [(step.positives, step.positive_rows)]
    if shares_mined and step.mined is not None:
        pools.append((step.mined.reshape(-1, step.mined.shape[-1]), step.mined_rows.reshape(-1)))
    return pools


@dataclass(frozen=True, kw_only=True)
class InBatch(BatchNegatives):
    """The positives of the other queries in the batch are negatives for this one.

    A batch of B gives B - 1 negatives a query for the price of one matrix product. With mined negatives too, those of every
    query serve the whole batch, as in DPR. A query's own other positives and texts identical to one are masked. Random in
    nature, so they are easy; and popular documents come as negatives more often.
    """

    key = "in-batch"
    title = "In-batch"
    source = DPR
    shared_negatives: bool = param(True, "mined negatives of each query serve every query of the batch")

    @property
    def shares_mined(self):
        return self.shared_negatives

    def pools(self, step, state):
        return _batch_pools(step, self.shared_negatives)


@dataclass(frozen=True, kw_only=True)
class HardestInBatch(BatchNegatives):
    """Only the nearest of the other positives in the batch are used, at most a few for each query.

    Online hard mining: no index, no search, only the batch's own scores. Facebook's search used at most two. Its hardness is
    bounded by the batch: small batches hold nothing hard.
    """

    key = "hardest-in-batch"
    title = "Hardest in batch"
    difficulty = "medium"
    source = Citation(
        "Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632"
    )
    per_positive: int = param(2, "negatives kept for each pair", ge=1, le=1000)

    def pools(self, step, state):
        return _batch_pools(step, False)

    def narrow(self, scores, is_allowed, positive):
        import torch

        k = min(self.per_positive, scores.shape[1])
        hardest = scores.detach().masked_fill(~is_allowed, -torch.inf).topk(k, 1).indices
        is_hardest = torch.zeros_like(is_allowed).scatter_(1, hardest, True)
        return is_allowed & is_hardest


@dataclass(frozen=True, kw_only=True)
class BandInBatch(BatchNegatives):
    """Only the other positives of the batch that score in a band around the query's own positive are used.

    Hard: s- >= s+, already ranked wrongly. Semi-hard: s+ - m <= s- < s+, right but not by enough. FaceNet found that the
    hardest alone lead to bad early minima (a collapsed model) and took the semi-hard. A query with nothing in its band teaches
    nothing in that step, and in retrieval what beats the positive is often an unlabelled answer: the semi-hard band leaves it out.
    """

    key = "band-in-batch"
    title = "Semi-hard in batch"
    difficulty = "medium"
    source = Citation(
        "Schroff et al.", 2015, "FaceNet: A Unified Embedding for Face Recognition and Clustering", "https://arxiv.org/abs/1503.03832"
    )
    band: str = param("semi-hard", "which of the batch's other positives are used", choices=("semi-hard", "hard"))
    margin: float = param(0.2, "depth of the semi-hard band below the positive's score", unit="score", ge=0.0, le=1000.0)

    def pools(self, step, state):
        return _batch_pools(step, False)

    def narrow(self, scores, is_allowed, positive):
        scores, positive = scores.detach(), positive.detach()[:, None]
        if self.band == "hard":
            return is_allowed & (scores >= positive)
        return is_allowed & (scores < positive) & (scores >= positive - self.margin)


@dataclass(frozen=True, kw_only=True)
class SelfGuidedInBatch(InBatch):
    """In-batch, but what the model itself scores clearly above the positive is left out.

    Masks d- where s- > s+ + margin, with the scores of the model that is being trained; Qwen3-Embedding uses a margin of .1.
    No guide model and no price, but the judge is as good as the model: early on it masks at random, and a query whose positive is
    badly placed loses just the negatives that would teach it.
    """

    key = "self-guided"
    title = "In-batch, self-guided mask"
    difficulty = "easy"
    source = Citation(
        "Zhang et al.", 2025, "Qwen3 Embedding: Advancing Text Embedding and Reranking Through Foundation Models", "https://arxiv.org/abs/2506.05176"
    )
    margin: float = param(0.1, "how far above the positive's score a negative may lie", unit="score", ge=0.0, le=1000.0)

    def narrow(self, scores, is_allowed, positive):
        return is_allowed & (scores.detach() <= positive.detach()[:, None] + self.margin)


BATCH: tuple[type[BatchNegatives], ...] = (NoBatch, InBatch, HardestInBatch, BandInBatch, SelfGuidedInBatch)
