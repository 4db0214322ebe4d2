"""How a step encodes its batch: whole, in chunks whose gradients are cached (Gao et al. 2021), or as several workers would."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.encode.model import EncoderModel
from core.encode.tokens import Tokens
from core.sampling.passes import CrossBatch, GradientCache, Passes

if TYPE_CHECKING:
    from core.train.distributed import Group

Then = Callable[[torch.Tensor], torch.Tensor]
RandomState = tuple[torch.Tensor, torch.Tensor | None]


class Whole:
    """One forward pass over the whole batch; ``then`` works on each vector alone, such as a normalisation."""

    def __init__(self, model: EncoderModel, then: Then):
        self.model, self.then = model, then

    def forward(self, queries: Tokens, documents: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors of both sides, float32 (N, dim), from which the loss is computed."""
        return self.model.forward_pair(queries, documents, self.then)

    @torch.no_grad()
    def keys(self, model: EncoderModel, documents: Tokens) -> torch.Tensor:
        """Document vectors by another model, such as a key encoder, which carry no gradient."""
        return self.then(model.forward(documents, "document"))

    def backward(self) -> None:
        """What is still to do after ``loss.backward()`` until every weight has its gradient."""


class Cached(Whole):
    """Vectors first, without what a backward pass needs; gradients chunk by chunk afterwards.

    The state of torch's random generators before each chunk is kept, so that an encoder that draws (dropout) draws the same again.
    """

    def __init__(self, model: EncoderModel, then: Then, n_chunks: int):
        super().__init__(model, then)
        self.n_chunks = n_chunks
        self._chunks: list[tuple[Tokens, Tokens]] = []
        self._random: list[RandomState] = []
        self._vectors: tuple[torch.Tensor, torch.Tensor] | None = None

    def forward(self, queries: Tokens, documents: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
        self._chunks = list(zip(parts_of(queries, self.n_chunks), parts_of(documents, self.n_chunks), strict=True))
        self._random = []
        found = []
        with torch.no_grad():
            for chunk in self._chunks:
                self._random.append(random_state())
                found.append(self.model.forward_pair(*chunk, self.then))
        sides = [torch.cat(side).requires_grad_() for side in zip(*found, strict=True)]
        self._vectors = sides[0], sides[1]
        return self._vectors

    def keys(self, model: EncoderModel, documents: Tokens) -> torch.Tensor:
        return torch.cat([super(Cached, self).keys(model, part) for part in parts_of(documents, self.n_chunks)])

    def backward(self) -> None:
        assert self._vectors is not None  # forward was called
        gradients = [torch.zeros_like(v) if v.grad is None else v.grad for v in self._vectors]
        first = [0, 0]
        after = random_state()
        weights = self.model.parameters()
        sums: list[torch.Tensor | None] = [None] * len(weights)
        for chunk, random in zip(self._chunks, self._random, strict=True):
            set_random_state(random)
            vectors = self.model.forward_pair(*chunk, self.then)
            last = [start + len(tokens) for start, tokens in zip(first, chunk, strict=True)]
            torch.autograd.backward(vectors, [g[a:b] for g, a, b in zip(gradients, first, last, strict=True)])
            first = last
            for i, table in enumerate(weights):
                sums[i] = added(sums[i], table.grad)
                table.grad = None
        for table, total in zip(weights, sums, strict=True):
            table.grad = total
        set_random_state(after)
        self._chunks, self._random, self._vectors = [], [], None


class Split(Whole):
    """Each part by itself, as a worker would, then gathered; gradients flow through the gather to the worker that encoded."""

    def __init__(self, model: EncoderModel, then: Then, n_workers: int):
        super().__init__(model, then)
        self.n_workers = n_workers

    def forward(self, queries: Tokens, documents: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
        workers = zip(parts_of(queries, self.n_workers), parts_of(documents, self.n_workers), strict=True)
        sides = zip(*(self.model.forward_pair(*own, self.then) for own in workers), strict=True)
        gathered = [torch.cat(side) for side in sides]
        return gathered[0], gathered[1]


def encoding_of(passes: Passes, model: EncoderModel, then: Then, group: Group | None = None) -> Whole:
    """The way in which the piece wants a batch encoded; ``group``: by these processes instead of this one alone."""
    if group is not None:
        from core.train.distributed import Gathered

        return Gathered(model, then, group)
    if isinstance(passes, GradientCache):
        return Cached(model, then, passes.parts)
    return Split(model, then, passes.parts) if isinstance(passes, CrossBatch) else Whole(model, then)


def added(total: torch.Tensor | None, grad: torch.Tensor | None) -> torch.Tensor | None:
    """The sum of two gradients; rows of a sparse one come once each, so that chunk after chunk needs no more memory."""
    if total is None or grad is None:
        return grad if total is None else total
    if not grad.is_sparse:
        return total.add_(grad)
    ids = torch.cat([total._indices(), grad._indices()], 1)
    rows = torch.cat([total._values(), grad._values()])
    return torch.sparse_coo_tensor(ids, rows, grad.shape, check_invariants=False).coalesce()


def random_state() -> RandomState:
    """Of the processor's generator and of the current GPU's, None where none is in use."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None


def set_random_state(state: RandomState) -> None:
    """Go on drawing from where :func:`random_state` was asked."""
    torch.set_rng_state(state[0])
    if state[1] is not None:
        torch.cuda.set_rng_state(state[1])


def parts_of(tokens: Tokens, n_parts: int) -> list[Tokens]:
    """The texts in ``n_parts`` stretches whose numbers of texts differ by one at most; some are empty when texts are few."""
    ends = np.linspace(0, len(tokens), n_parts + 1).round().astype(int)
    return [tokens.part(first, last) for first, last in zip(ends[:-1], ends[1:], strict=True)]
