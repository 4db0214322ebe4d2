"""Models whose vector is the mean of token vectors: one table for both sides, or one a side."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Self

import numpy as np
import torch

from core.encode.bag import RowAdam, mean_bag, means_of
from core.encode.encoder import Encoder
from core.encode.model import EncoderModel, Side
from core.encode.token_tables import TextTokenizer, TokenTables
from core.encode.tokens import Tokens


class TableModel(EncoderModel):
    """Mean-pooled token vectors. ``tables``: keys ``shared``, or ``query`` and ``document``; float32 (n_ids, dim), copied.

    An empty text is the zero vector.
    """

    def __init__(self, encoder: Encoder, tokenizer: TextTokenizer, tables: dict[str, np.ndarray]):
        super().__init__(encoder, tokenizer, {
            name: torch.nn.Parameter(torch.from_numpy(np.array(table, dtype=np.float32))) for name, table in sorted(tables.items())
        })  # fmt: skip
        self.dim: int = next(iter(self.weights.values())).shape[1]

    def forward(self, tokens: Tokens, side: Side) -> torch.Tensor:
        """Raw pooled vectors, float32 (N, dim), with a sparse gradient to the side's table."""
        return mean_bag(self._table(side), tokens.ids, tokens.offsets)

    def forward_pair(
        self, queries: Tokens, documents: Tokens, then: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As the base; a shared table is read, and its gradient summed, once instead of twice."""
        if "shared" not in self.weights:
            return super().forward_pair(queries, documents, then)
        both = then(self.forward(queries.followed_by(documents), "query"))
        return both.split([len(queries), len(documents)])

    def encode(self, tokens: Tokens, side: Side) -> np.ndarray:
        return means_of(self._table(side).detach().numpy(), tokens.ids, tokens.offsets)

    def token_tables(self) -> TokenTables:
        return TokenTables(self.tokenizer, {name: table.detach().numpy() for name, table in self.weights.items()}, self.encoder)

    def optimizers(self, lr: float) -> list[RowAdam]:  # type: ignore[override]
        """Adam over the rows that a batch uses (SparseAdam's update)."""
        return [RowAdam(self.parameters(), lr=lr)]

    def clone(self) -> Self:
        twin = copy.copy(self)
        twin.weights = {name: torch.nn.Parameter(table.detach().clone()) for name, table in self.weights.items()}
        return twin

    def _table(self, side: Side) -> torch.nn.Parameter:
        return self.weights["shared"] if "shared" in self.weights else self.weights[side]
