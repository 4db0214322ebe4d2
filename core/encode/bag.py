"""Mean pooling of token vectors and its optimizer, both touching only the rows that a batch uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from core.encode.kernels import adam_rows, bag_gradient, bag_means, in_parts, unit_gradient, unit_rows

LEAST_LENGTH = 1e-12  # what torch's normalize divides by at least


def means_of(vectors: np.ndarray, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The mean vector of each bag, float32 (N, dim); an empty bag is the zero vector. ``ids``, ``offsets``: as in Tokens."""
    means = np.empty((len(offsets) - 1, vectors.shape[1]), np.float32)
    in_parts(offsets, lambda first, last: bag_means(vectors, ids, offsets[first : last + 1], means[first:last]))
    return means


class _MeanBag(torch.autograd.Function):
    """``embedding_bag(mode="mean", sparse=True)`` whose gradient arrives already summed by token id.

    torch's own backward writes one row for each token and leaves the sorting and summing to the optimizer;
    here the transposed bag sums the gradient of each distinct id directly, in a fixed order.
    """

    @staticmethod
    def forward(ctx: Any, vectors: torch.Tensor, ids: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(ids, offsets)
        ctx.shape = vectors.shape
        return torch.from_numpy(means_of(vectors.detach().numpy(), ids.numpy(), offsets.numpy()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        ids, offsets = (tensor.numpy() for tensor in ctx.saved_tensors)
        order = _stable_order(ids, ctx.shape[0])
        sorted_ids = ids[order]
        # Where the stretch of each distinct id begins, and the end.
        starts = np.append(np.flatnonzero(np.append(True, sorted_ids[1:] != sorted_ids[:-1])[: len(ids)]), len(ids))
        used, rows = np.empty(len(starts) - 1, np.int64), np.empty((len(starts) - 1, ctx.shape[1]), np.float32)
        sizes = np.diff(offsets)
        bag_of = np.repeat(np.arange(len(sizes)), sizes)
        share = np.float32(1) / np.maximum(sizes, 1).astype(np.float32)
        own = grad.contiguous().numpy()

        def sums(first: int, last: int) -> None:
            stretch, part = slice(starts[first], starts[last]), slice(first, last)
            bag_gradient(order[stretch], sorted_ids[stretch], bag_of, share, own, used[part], rows[part])

        in_parts(starts, sums)
        used, rows = torch.from_numpy(used), torch.from_numpy(rows)
        return torch.sparse_coo_tensor(used[None], rows, ctx.shape, check_invariants=False), None, None


class _Unit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: torch.Tensor) -> torch.Tensor:
        rows = vectors.detach().contiguous().numpy()
        units, scale = np.empty_like(rows), np.empty(len(rows), np.float32)
        unit_rows(rows, LEAST_LENGTH, units, scale)
        found = torch.from_numpy(units)
        ctx.save_for_backward(found, torch.from_numpy(scale))
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        units, scale = (tensor.numpy() for tensor in ctx.saved_tensors)
        out = np.empty_like(units)
        unit_gradient(units, scale, grad.contiguous().numpy(), out)
        return torch.from_numpy(out)


def unit(vectors: torch.Tensor) -> torch.Tensor:
    """``normalize(vectors, dim=-1)`` of float32 (N, dim), in one pass each way; the zero vector stays zero."""
    return _Unit.apply(vectors)


def _stable_order(ids: np.ndarray, n_ids: int) -> np.ndarray:
    """The positions that sort the ids, equal ones in their order; 16-bit ids take numpy's radix sort, four times as fast."""
    return np.argsort(ids.astype(np.uint16) if n_ids <= 2**16 else ids, kind="stable")


def mean_bag(vectors: torch.Tensor, ids: np.ndarray, offsets: np.ndarray) -> torch.Tensor:
    """:func:`means_of`, differentiable; ``vectors``: (V, dim). The gradient is sparse, one row an id used.
    """
    return _MeanBag.apply(vectors, torch.from_numpy(ids), torch.from_numpy(offsets))


class Moments:
    """Adam's two moments of the rows that were used so far, in the order of first use: most of a table never is.

    ``slots`` int64 (V,): where a row's moments are, -1 = not used yet. ``values`` float32 (V, 2, dim): mean and mean square;
    only the first ``n`` are set.
    """

    def __init__(self, n_rows: int, dim: int):
        self.n = 0
        self.slots = np.full(n_rows, -1, np.int64)
        self.values = np.empty((n_rows, 2, dim), np.float32)

    def of(self, ids: np.ndarray) -> tuple[np.ndarray, int]:
        """The slots of distinct rows, int64; those from the second value on are new and not set."""
        slots, n_old = self.slots[ids], self.n
        is_new = slots < 0
        self.n += int(is_new.sum())
        slots[is_new] = np.arange(n_old, self.n)
        self.slots[ids] = slots
        return slots, n_old

    def packed(self) -> dict[str, torch.Tensor]:
        """``ids`` int64 (n,) in the order of the slots, and the moments of each."""
        ids = np.empty(self.n, np.int64)
        used = np.flatnonzero(self.slots >= 0)
        ids[self.slots[used]] = used
        mean, square = (torch.from_numpy(self.values[: self.n, i].copy()) for i in range(2))
        return {"ids": torch.from_numpy(ids), "exp_avg": mean, "exp_avg_sq": square}

    def unpack(self, exp_avg: torch.Tensor, exp_avg_sq: torch.Tensor, ids: torch.Tensor | None = None) -> None:
        """Take over what was packed; without ``ids`` (checkpoints of earlier versions) there is a row for each."""
        self.n = len(exp_avg)
        self.slots[np.arange(self.n) if ids is None else ids.numpy()] = np.arange(self.n)
        self.values[: self.n, 0], self.values[: self.n, 1] = exp_avg.numpy(), exp_avg_sq.numpy()


class RowAdam:
    """``torch.optim.SparseAdam``'s update by gather and scatter of rows: the same numbers in less time.

    Rows without a gradient keep their vectors and moments. Parameters must be 2-D, gradients sparse. It has what training asks of
    a ``torch.optim.Optimizer`` and is none: the first one made in a process imports torch's compiler, which takes seconds.
    """

    def __init__(self, params: Iterable[torch.Tensor], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8):
        self.tables = list(params)
        self.settings: dict[str, Any] = {"lr": lr, "betas": betas, "eps": eps}
        self.state: dict[torch.Tensor, dict[str, Any]] = {}

    @torch.no_grad()
    def step(self) -> None:
        for vectors in self.tables:
            if vectors.grad is not None:
                self._update(vectors, vectors.grad)

    def zero_grad(self, set_to_none: bool = True) -> None:
        assert set_to_none, "a table of zeros would be a gradient of every row"
        for vectors in self.tables:
            vectors.grad = None

    def state_dict(self) -> dict[str, Any]:
        used = {i: self.state[table] for i, table in enumerate(self.tables) if table in self.state}
        state = {i: {"step": own["step"], **own["moments"].packed()} for i, own in used.items()}
        return {"state": state, "settings": dict(self.settings)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.settings, self.state = dict(state_dict["settings"]), {}
        for i, packed in state_dict["state"].items():
            moments = Moments(*self.tables[i].shape)
            moments.unpack(**{name: value for name, value in packed.items() if name != "step"})
            self.state[self.tables[i]] = {"step": packed["step"], "moments": moments}

    def _update(self, vectors: torch.Tensor, grad: torch.Tensor) -> None:
        group, state = self.settings, self.state.setdefault(vectors, {})
        if not state:
            state.update(step=0, moments=Moments(*vectors.shape))
        state["step"] += 1
        ids, values = grad._indices()[0], grad._values()
        beta1, beta2 = group["betas"]
        # As SparseAdam: eps joins the root before the bias correction.
        rate = group["lr"] * (1 - beta2 ** state["step"]) ** 0.5 / (1 - beta1 ** state["step"])
        ids, values = _each_once(ids.numpy(), values.numpy(), len(vectors))
        slots, n_old = state["moments"].of(ids)
        table, moments = vectors.numpy(), state["moments"].values
        scalars = [np.float32(x) for x in (1 - beta1, 1 - beta2, group["eps"], rate)]

        def update(first: int, last: int) -> None:
            adam_rows(table, moments, slots[first:last], n_old, ids[first:last], values[first:last], *scalars)

        in_parts(np.arange(len(ids) + 1), update)


def _each_once(ids: np.ndarray, values: np.ndarray, n_ids: int) -> tuple[np.ndarray, np.ndarray]:
    """The gradient with the rows of a repeated id added up, in their order: Adam's update is not linear."""
    if (ids[1:] > ids[:-1]).all():  # as one bag's backward gives it
        return ids, values
    order = _stable_order(ids, n_ids)
    starts = np.flatnonzero(np.append(True, np.diff(ids[order]) != 0))
    return ids[order][starts], np.add.reduceat(values[order], starts, axis=0)
