"""How the vectors of one batch are made: at once, in chunks with cached gradients, or by several workers.

None of them changes the mathematics of a batch; they decide how large it can be. ``batch_size`` of a trial is what is
encoded at once, and these pieces say how many of those make up one training step.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.params import Citation, Piece, param


class Passes(Piece):
    """Base of the pieces that say how many parts one step's batch is encoded in."""

    family = "passes"

    @property
    def parts(self) -> int:
        """Parts of at most ``batch_size`` pairs that make up one step."""
        return 1

    def pairs(self, batch_size: int) -> int:
        """Pairs in one step."""
        return self.parts * batch_size


@dataclass(frozen=True, kw_only=True)
class OnePass(Passes):
    """The batch is encoded at once.

    One forward and one backward pass over all texts of the batch. Everything that the encoder must remember for the
    backward pass is in memory together, so memory bounds the batch, and the batch bounds how many negatives are free.
    """

    key = "one"
    title = "One pass"
    source = Citation(
        "Karpukhin et al.", 2020, "Dense Passage Retrieval for Open-Domain Question Answering", "https://arxiv.org/abs/2004.04906"
    )


@dataclass(frozen=True, kw_only=True)
class GradientCache(Passes):
    """A batch as large as one likes in the memory of a small one, with exactly the large batch's gradient.

    First every chunk is encoded and only its vectors are kept. The loss of the whole batch gives the gradient of each vector,
    which is cached. Then each chunk is encoded again, this time remembering what the backward pass needs, and its cached
    gradients are fed in. What an encoder remembers inside is never held for more than one chunk; vectors and the scores of all
    pairs still are. The price is a second encoding, and fewer steps an epoch: with a fixed learning rate a small corpus may
    learn less, not more. A batch near the size of the training set also holds every query's unlabelled answers.
    """

    key = "gradient-cache"
    title = "Gradient caching"
    cost = "medium"
    difficulty = "medium"
    source = Citation(
        "Gao et al.",
        2021,
        "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup",
        "https://arxiv.org/abs/2101.06983",
    )
    chunks: int = param(8, "chunks of the batch size that make up one step: 32 of 128 are a batch of 4,096", unit="chunks", ge=1, le=512)

    @property
    def parts(self):
        return self.chunks


@dataclass(frozen=True, kw_only=True)
class CrossBatch(Passes):
    """The documents of every worker's batch serve the queries of all workers.

    A workers encode B pairs each; their vectors are gathered, and every query meets A * B - 1 other positives instead of B - 1, for
    the encoding of B texts a worker. With gradients flowing back through the gather it is one batch of A * B, exactly. Under torchrun
    the workers are processes that share the work; in one process they take turns, which shows what it does and saves nothing. Like
    every larger batch it makes steps rarer, and lets more unlabelled answers in.
    """

    key = "cross-batch"
    title = "Cross-batch"
    cost = "low"
    difficulty = "hard"
    source = Citation(
        "Qu et al.",
        2021,
        "RocketQA: An Optimized Training Approach to Dense Passage Retrieval for Open-Domain Question Answering",
        "https://arxiv.org/abs/2010.08191",
    )
    workers: int = param(4, "workers of the batch size each, whose documents serve all queries", unit="workers", ge=1, le=64)

    @property
    def parts(self):
        return self.workers

    def process_fault(self, n_processes: int) -> str:
        """Why so many processes cannot share the workers; empty when they can."""
        if self.workers % n_processes == 0:
            return ""
        return f"{self.workers} workers cannot be shared by {n_processes} processes. Set passes.workers to a multiple of {n_processes}."


PASSES: tuple[type[Passes], ...] = (OnePass, GradientCache, CrossBatch)
