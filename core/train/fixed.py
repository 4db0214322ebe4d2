"""Training against document vectors that never change: two towers, and the corpus searched for the batch's queries."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from core.corpus.judgements import Judgements
from core.encode.model import EncoderModel, load_model
from core.encode.tables import TableModel
from core.errors import ParameterError, TrialError
from core.sampling.batch import BatchStep
from core.search.exact import top_k

if TYPE_CHECKING:
    from core.train.step import Batch


class FixedVectors:
    """All document vectors, as they are compared; ``similarity`` is the signal's, ``depth`` the batch piece's."""

    def __init__(self, vectors: torch.Tensor, similarity: str, depth: int):
        self.vectors, self.depth = vectors, depth
        self._array = vectors.numpy()
        # Vectors of length 1 already: the dot product is the cosine, and no norm is computed at each step.
        self._is_l2 = similarity == "l2"
        self._similarity = "dot" if similarity == "cosine" else similarity

    def search(self, queries: np.ndarray, protected: np.ndarray) -> np.ndarray:
        """int64 (B, depth): the closest documents of each query vector that are not ``protected`` (B, P), -1 at the end."""
        owners, columns = np.nonzero(protected >= 0)
        banned = Judgements.from_pairs(owners, protected[owners, columns], np.ones(len(owners)), len(queries))
        return top_k(queries, self._array, self.depth, similarity=self._similarity, exclude=banned).doc_rows

    def compare(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Scores (B, m) of each query (B, D) with its own documents (B, m, D), which carry no gradient.

        One product for each query: the elementwise one of the other steps would hold B m D numbers twice, and m is large here.
        """
        dots = torch.bmm(documents, queries[:, :, None])[:, :, 0]
        if self._is_l2:
            return 2 * dots - queries.square().sum(1)[:, None] - documents.square().sum(2)
        return dots

    def batch(self, queries: torch.Tensor, batch: Batch) -> tuple[Batch, BatchStep]:
        """The batch with what the search found behind its own mined negatives, and its vectors, none with a gradient."""
        found = self.search(queries.detach().numpy(), batch.protected)
        batch = dataclasses.replace(batch, mined_rows=np.concatenate([batch.mined_rows, found], 1))
        positive_rows, mined_rows = torch.from_numpy(batch.positive_rows), torch.from_numpy(batch.mined_rows)
        mined = self.vectors[mined_rows.clamp(min=0).reshape(-1)].reshape(*mined_rows.shape, -1)
        return batch, BatchStep(self.vectors[positive_rows], positive_rows, mined, mined_rows)


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
