"""Negatives of earlier batches: a memory queue, and a queue that a slow copy of the encoder fills."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.params import Citation, param
from core.sampling.batch import BatchNegatives, BatchStep, _batch_pools

if TYPE_CHECKING:
    from torch import Tensor


def _start_queue(size: int, dim: int) -> dict[str, Tensor]:
    import torch

    return {
        "vectors": torch.zeros(size, dim),
        "rows": torch.full((size,), -1, dtype=torch.int64),
        "next": torch.zeros((), dtype=torch.int64),
        "made": torch.full((size,), -1, dtype=torch.int64),
        "steps": torch.zeros((), dtype=torch.int64),
    }


def _enqueue(step: BatchStep, state: dict[str, Tensor]) -> None:
    """First in, first out; a batch larger than the queue leaves its last documents. ``made``: the step of each, from 0."""
    import torch

    size = len(state["rows"])
    vectors, rows = step.positives.detach()[-size:], step.positive_rows[-size:]
    places = (state["next"] + torch.arange(len(rows))) % size
    state["vectors"][places] = vectors
    state["rows"][places] = rows
    state["made"][places] = state["steps"]
    state["steps"] = state["steps"] + 1
    state["next"] = (state["next"] + len(rows)) % size


def _kept(state: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    is_filled = (state["rows"] >= 0) & (state["made"] >= 0)
    return state["vectors"][is_filled], state["rows"][is_filled], state["steps"] - state["made"][is_filled]


@dataclass(frozen=True, kw_only=True)
class Queue(BatchNegatives):
    """Documents of earlier batches stay in a queue and go on serving as negatives.

    Many more negatives than the batch holds, without encoding them again. Their vectors come from earlier states
    of the model: the longer the queue, the staler. On a small corpus it soon holds the query's own positive, which is
    masked by its row number.
    """

    key = "queue"
    title = "Memory queue"
    cost = "low"
    difficulty = "medium"
    source = Citation(
        "Wu et al.", 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", "https://arxiv.org/abs/1805.01978"
    )
    size: int = param(1024, "documents kept", unit="documents", ge=1, le=1_000_000)

    @property
    def shares_mined(self):
        return True

    def start(self, dim):
        return _start_queue(self.size, dim)

    def pools(self, step, state):
        return [*_batch_pools(step, True), (state["vectors"], state["rows"])]

    def finish(self, step, state):
        _enqueue(step, state)

    def kept(self, state):
        return _kept(state)


@dataclass(frozen=True, kw_only=True)
class MoCo(BatchNegatives):
    """A queue filled by a slow copy of the encoder, so that its entries agree with each other.

    The key encoder follows k <- m k + (1 - m) q and makes every document vector, positives included; only the query
    side carries a gradient. Contriever used m = .9995 and 131,072 keys; such an m needs tens of thousands of steps, so
    short trainings want a smaller one. Both sides must share one tower.
    """

    key = "moco"
    title = "MoCo"
    cost = "medium"
    difficulty = "hard"
    uses_key_encoder = True
    needs = ("shared towers",)
    source = Citation(
        "He et al.", 2019, "Momentum Contrast for Unsupervised Visual Representation Learning", "https://arxiv.org/abs/1911.05722"
    )
    size: int = param(1024, "keys kept", unit="documents", ge=1, le=1_000_000)
    momentum: float = param(0.99, "share of the old key encoder kept at each step", ge=0.0, le=0.99999)

    def start(self, dim):
        return _start_queue(self.size, dim)

    def pools(self, step, state):
        # The keys of this batch serve as negatives too: with an empty queue the first step would have none.
        return [(step.positives, step.positive_rows), (state["vectors"], state["rows"])]

    def finish(self, step, state):
        _enqueue(step, state)

    def kept(self, state):
        return _kept(state)


QUEUES: tuple[type[BatchNegatives], ...] = (Queue, MoCo)
