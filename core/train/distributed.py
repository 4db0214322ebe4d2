"""Several processes, one batch: cross-batch negatives under torchrun (Qu et al. 2021, RocketQA).

The first process leads: it mines, evaluates and writes, and tells the others each step's batch. Every process encodes its share of
the batch; vectors are gathered, every process computes the loss of the whole batch and carries the gradient of its own
vectors back; the weights' gradients are summed. All take the same optimiser step, so all keep the same weights.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from core.corpus.corpus import Corpus
from core.encode.model import EncoderModel
from core.encode.tokens import Tokens
from core.errors import TrialError
from core.train.checkpoint import read_checkpoint, unpack_stepper
from core.train.config import read_config
from core.train.encoding import Then, Whole, parts_of
from core.train.step import Batch

BATCH, END = 1, 0
# The others wait while the first process mines and evaluates; one that dies is noticed at once, by its closed connection.
PATIENCE = timedelta(days=1)
NO_LIGHT = -1


@dataclass(frozen=True)
class Group:
    """The processes of one training; ``rank`` 0 leads. ``light_weight`` of a received batch is the trial's own."""

    rank: int
    size: int

    def wait(self) -> None:
        """Until every process is here."""
        distributed.barrier()

    def share_text(self, text: str = "") -> str:
        """The leader's text, in every process."""
        data = torch.tensor(list(text.encode()), dtype=torch.uint8)
        length = torch.tensor([len(data)])
        distributed.broadcast(length, 0)
        if self.rank:
            data = torch.zeros(int(length), dtype=torch.uint8)
        distributed.broadcast(data, 0)
        return bytes(data.tolist()).decode()

    def send_batch(self, batch: Batch | None) -> None:
        """The leader tells the next batch; None = there is none any more."""
        if batch is None:
            distributed.broadcast(torch.tensor([END, 0, 0, 0, 0]), 0)
            return
        widths = [batch.mined_rows.shape[1], batch.protected.shape[1], NO_LIGHT if batch.light is None else batch.light.shape[1]]
        distributed.broadcast(torch.tensor([BATCH, len(batch.query_rows), *widths]), 0)
        parts = [batch.query_rows, batch.positive_rows, batch.mined_rows, batch.protected]
        parts += [] if batch.light is None else [batch.light]
        distributed.broadcast(torch.from_numpy(np.concatenate([np.asarray(part, np.int64).ravel() for part in parts])), 0)

    def receive_batch(self, light_weight: float = 1.0) -> Batch | None:
        """What the leader sent."""
        head = torch.zeros(5, dtype=torch.int64)
        distributed.broadcast(head, 0)
        kind, n, *widths = head.tolist()
        if kind == END:
            return None
        columns = [1, 1, widths[0], widths[1], max(widths[2], 0)]
        data = torch.zeros(n * sum(columns), dtype=torch.int64)
        distributed.broadcast(data, 0)
        ends = np.cumsum([n * width for width in columns])[:-1]
        tables = [part.reshape(n, width) for part, width in zip(np.split(data.numpy(), ends), columns, strict=True)]
        queries, positives, mined, protected, light = tables
        return Batch(queries[:, 0], positives[:, 0], mined, protected, None if widths[2] == NO_LIGHT else light, light_weight)

    def gather(self, own: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
        """Every process's rows one after the other, (sum(sizes), D); a gradient reaches this process's own rows.

        ``sizes``: rows of each process, known to all. Every process computes the same loss from the result, so the gradient of the
        own rows is complete without asking the others.
        """
        return _Gather.apply(own, tuple(sizes), self.rank)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Each parameter's gradient becomes the sum over the processes, added in the order of their ranks where it is sparse."""
        parameters = list(parameters)
        mine = torch.tensor([[p.grad is not None and p.grad.is_sparse, _n_rows(p.grad)] for p in parameters], dtype=torch.int64)
        heads = [torch.zeros_like(mine) for _ in range(self.size)]
        distributed.all_gather(heads, mine)
        for i, weights in enumerate(parameters):
            sizes = [int(head[i, 1]) for head in heads]
            if not any(int(head[i, 0]) for head in heads):
                weights.grad = torch.zeros_like(weights) if weights.grad is None else weights.grad
                distributed.all_reduce(weights.grad)
                continue
            rows = weights.new_zeros(0, *weights.shape[1:]) if weights.grad is None else weights.grad._values()
            ids = torch.zeros(0, dtype=torch.int64) if weights.grad is None else weights.grad._indices()[0]
            all_ids, all_rows = _gather_rows(ids, sizes), _gather_rows(rows, sizes)
            weights.grad = torch.sparse_coo_tensor(all_ids[None], all_rows, weights.shape, check_invariants=False)

    def leave(self) -> None:
        """End the connection."""
        distributed.destroy_process_group()


def join() -> Group:
    """Meet the other processes that torchrun started: gloo for vectors in memory, nccl for those on a GPU."""
    if os.environ.get("MASTER_ADDR") in ("localhost", "127.0.0.1"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # a machine's own name may lead nowhere
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
        distributed.init_process_group("cpu:gloo,cuda:nccl", timeout=PATIENCE)
    else:
        distributed.init_process_group("gloo", timeout=PATIENCE)
    return Group(distributed.get_rank(), distributed.get_world_size())


def follow(folder: Path, corpus: Corpus, group: Group) -> int:
    """Take part in the training that the leader runs in ``folder`` until it ends; returns the steps. Writes nothing."""
    from core.train.setup import make_stepper

    config = read_config(folder)
    torch.set_num_threads(1)
    stepper = make_stepper(config, corpus, group)
    stored = read_checkpoint(folder / "checkpoint")
    if stored is not None:
        unpack_stepper(stepper, stored[0], stored[1]["step"])
    n_steps = 0
    try:
        group.wait()
        while (batch := group.receive_batch(config.verdict_weight)) is not None:
            stepper.step(batch)
            n_steps += 1
    except RuntimeError as error:
        raise TrialError(f"The training's first process ended, or cannot be reached any more ({str(error).splitlines()[0]}).") from None
    return n_steps


class Gathered(Whole):
    """This process encodes its share of the batch; the vectors of the others come by the gather."""

    def __init__(self, model: EncoderModel, then: Then, group: Group):
        super().__init__(model, then)
        self.group = group

    def forward(self, queries: Tokens, documents: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
        shares = [parts_of(side, self.group.size) for side in (queries, documents)]
        own = self.model.forward_pair(shares[0][self.group.rank], shares[1][self.group.rank], self.then)
        sizes = [[len(share) for share in side] for side in shares]
        return self.group.gather(own[0], sizes[0]), self.group.gather(own[1], sizes[1])

    def keys(self, model: EncoderModel, documents: Tokens) -> torch.Tensor:
        shares = parts_of(documents, self.group.size)
        return self.group.gather(super().keys(model, shares[self.group.rank]), [len(share) for share in shares])

    def backward(self) -> None:
        self.group.sum_gradients(self.model.parameters())


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: torch.Tensor, sizes: tuple[int, ...], rank: int) -> torch.Tensor:
        first = sum(sizes[:rank])
        ctx.own = slice(first, first + sizes[rank])
        return _gather_rows(own.detach(), sizes)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return grad[ctx.own], None, None


def _gather_rows(own: torch.Tensor, sizes: Sequence[int]) -> torch.Tensor:
    """The rows of all processes; they travel padded to the longest share, because a gather wants equal shapes."""
    longest = max(sizes)
    padded = own.new_zeros(longest, *own.shape[1:])
    padded[: len(own)] = own
    found = [torch.empty_like(padded) for _ in sizes]
    if longest:
        distributed.all_gather(found, padded)
    return torch.cat([rows[:n] for rows, n in zip(found, sizes, strict=True)])


def _n_rows(grad: torch.Tensor | None) -> int:
    return 0 if grad is None or not grad.is_sparse else grad._values().shape[0]
