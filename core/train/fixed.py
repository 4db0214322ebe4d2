"""Training against document vectors that never change: two towers, and the corpus searched for the batch's queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from core.corpus.judgements import Judgements
from core.encode.kernels import in_parts, own_dots, own_sums
from core.encode.model import EncoderModel, load_model
from core.encode.tables import TableModel
from core.errors import ParameterError, TrialError
from core.sampling.batch import BatchStep
from core.search.exact import top_k_of
from core.search.products import Documents, VectorPair

if TYPE_CHECKING:
    from core.train.step import Batch


class _OwnDots(torch.autograd.Function):
    """Dot products of each query with its own rows of vectors that do not learn, without a copy of these rows.

    A copy would hold queries x rows x dim numbers, and there are hundreds of rows a query; most weigh nothing in the gradient.
    """

    @staticmethod
    def forward(ctx: Any, queries: torch.Tensor, vectors: np.ndarray, rows: np.ndarray) -> torch.Tensor:
        ctx.vectors, ctx.rows = vectors, rows
        own, dots = queries.detach().contiguous().numpy(), np.empty(rows.shape, np.float32)
        _for_queries(rows, lambda first, last: own_dots(own[first:last], vectors, rows[first:last], dots[first:last]))
        return torch.from_numpy(dots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        vectors, rows, weights = ctx.vectors, ctx.rows, grad.contiguous().numpy()
        sums = np.empty((len(rows), vectors.shape[1]), np.float32)
        _for_queries(rows, lambda first, last: own_sums(vectors, rows[first:last], weights[first:last], sums[first:last]))
        return torch.from_numpy(sums), None, None


def _for_queries(rows: np.ndarray, work: Callable[[int, int], Any]) -> None:
    in_parts(np.arange(len(rows) + 1) * rows.shape[1], work)


class FixedVectors:
    """All document vectors, as they are compared; ``similarity`` is the signal's, ``depth`` the batch piece's."""

    def __init__(self, vectors: torch.Tensor, similarity: str, depth: int):
        self.vectors, self.depth = vectors, depth
        # Vectors of length 1 already: the dot product is the cosine.
        self._side = Documents.of(vectors.numpy(), "l2" if similarity == "l2" else "dot")
        self._squares = torch.from_numpy(self._side.norms**2).float() if similarity == "l2" else None

    def search(self, queries: np.ndarray, protected: np.ndarray) -> np.ndarray:
        """int64 (B, depth): the closest documents of each query vector that are not ``protected`` (B, P), -1 at the end."""
        owners, columns = np.nonzero(protected >= 0)
        banned = Judgements.from_pairs(owners, protected[owners, columns], np.ones(len(owners)), len(queries))
        return top_k_of(VectorPair.against(queries, self._side), self.depth, exclude=banned).doc_rows

    def compare(self, queries: torch.Tensor, doc_rows: torch.Tensor) -> torch.Tensor:
        """Scores (B, m) of each query (B, D) with its own documents ``doc_rows`` int64 (B, m); that of -1 means nothing."""
        dots = _OwnDots.apply(queries, self._side.vectors, doc_rows.numpy())
        if self._squares is not None:
            return 2 * dots - queries.square().sum(1)[:, None] - self._squares[doc_rows.clamp(min=0)]
        return dots

    def batch(self, queries: torch.Tensor, batch: Batch) -> tuple[Batch, BatchStep]:
        """The batch with what the search found behind its own mined negatives; of its documents only the positives' vectors are copied."""
        found = self.search(queries.detach().numpy(), batch.protected)
        batch = dataclasses.replace(batch, mined_rows=np.concatenate([batch.mined_rows, found], 1))
        positive_rows, mined_rows = torch.from_numpy(batch.positive_rows), torch.from_numpy(batch.mined_rows)
        return batch, BatchStep(self.vectors[positive_rows], positive_rows, None, mined_rows)


def two_towers(model: EncoderModel) -> EncoderModel:
    """The model with a table for each side, from equal starts where it had one; raises ParameterError where it has neither."""
    state = model.state()
    sides = {side: state.get(side, state.get("shared")) for side in ("query", "document")}
    if any(table is None for table in sides.values()):
        raise ParameterError(f"{model.encoder.title} has no tower of its own for each side. Choose a static encoder for this recipe.")
    return TableModel(model.encoder.but(towers="separate"), model.tokenizer, sides)


def start_model(trial: str, home: Path) -> EncoderModel:
    """The finished trial's model; ``home``: the folder of the trials. Raises TrialError where there is none."""
    folder = home / trial / "model"
    if not folder.is_dir():
        raise TrialError(f"{home / trial} has no model to start from. Wait until that trial has finished, or choose another.")
    return load_model(folder)
