"""An encoder's trainable model: token tables, pooling, state, and the folder it is saved in."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch

from core.encode.bag import RowAdam, mean_bag, means_of
from core.encode.encoders import Encoder
from core.encode.token_tables import TextTokenizer, TokenTables
from core.encode.tokens import Tokens

__all__ = ["EncoderModel", "Side", "Tokens", "load_model"]

Side = Literal["query", "document"]


class EncoderModel:
    """Mean-pooled token vectors, one table for both sides or one a side.

    ``encoder``: the piece that declares how it was made. ``dim``: numbers in a vector. ``tables``: keys
    ``shared``, or ``query`` and ``document``; float32 (n_ids, dim), copied. Vectors are never normalised
    here: the similarity does that where it is needed. An empty text is the zero vector.
    """

    def __init__(self, encoder: Encoder, tokenizer: TextTokenizer, tables: dict[str, np.ndarray]):
        self.encoder, self.tokenizer = encoder, tokenizer
        self._tables = {
            name: torch.nn.Parameter(torch.from_numpy(np.array(table, dtype=np.float32)))
            for name, table in sorted(tables.items())
        }
        self.dim: int = next(iter(self._tables.values())).shape[1]

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The token ids of ``texts``; the same for both sides."""
        return self.tokenizer.tokenize(texts)

    def forward(self, tokens: Tokens, side: Side) -> torch.Tensor:
        """Raw pooled vectors, float32 (N, dim), with a sparse gradient to the side's table."""
        return mean_bag(self._table(side), tokens.ids, tokens.offsets)

    def forward_pair(
        self, queries: Tokens, documents: Tokens, then: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``then(forward(...))`` of both sides; ``then`` works on each row alone, such as a normalisation.

        A shared table is read, and its gradient summed, once instead of twice.
        """
        if "shared" not in self._tables:
            return then(self.forward(queries, "query")), then(self.forward(documents, "document"))
        both = then(self.forward(queries.followed_by(documents), "query"))
        return both.split([len(queries), len(documents)])

    def encode(self, tokens: Tokens, side: Side) -> np.ndarray:
        """The same vectors without a gradient, float32 (N, dim)."""
        return means_of(self._table(side).detach().numpy(), tokens.ids, tokens.offsets)

    def encode_texts(self, texts: Sequence[str], side: Side) -> np.ndarray:
        """``encode`` of the texts' tokens."""
        return self.encode(self.tokenize(texts), side)

    def token_tables(self) -> TokenTables:
        """Every token's vector as plain arrays that share this model's memory."""
        return TokenTables(self.tokenizer, {name: table.detach().numpy() for name, table in self._tables.items()})

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self._tables.values())

    def optimizers(self, lr: float) -> list[torch.optim.Optimizer]:
        """Adam over the rows that a batch uses (SparseAdam's update)."""
        return [RowAdam(self.parameters(), lr=lr)]

    def state(self) -> dict[str, np.ndarray]:
        """The weights by name, float32, copied."""
        return {name: table.detach().numpy().copy() for name, table in self._tables.items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over the weights that ``state`` gave; raises ValueError when names or shapes differ."""
        if state.keys() != self._tables.keys():
            raise ValueError(f"State has {sorted(state)}, this model needs {sorted(self._tables)}.")
        for name, table in self._tables.items():
            if state[name].shape != tuple(table.shape):
                raise ValueError(f"State {name} has shape {state[name].shape}, not {tuple(table.shape)}.")
            table.copy_(torch.from_numpy(np.array(state[name], dtype=np.float32)))

    def clone(self) -> Self:
        """A model with its own copy of the weights; the tokenizer is shared."""
        twin = copy.copy(self)
        twin._tables = {name: torch.nn.Parameter(table.detach().clone()) for name, table in self._tables.items()}
        return twin

    @torch.no_grad()
    def momentum_update(self, online: EncoderModel, m: float) -> None:
        """``self = m * self + (1 - m) * online``, in place (He et al. 2020, MoCo, eq. 2)."""
        for name, table in self._tables.items():
            table.mul_(m).add_(online._tables[name], alpha=1 - m)

    def weights_hash(self) -> str:
        """32 hexadecimal digits over the encoder and every byte of the weights: the key of vector caches."""
        digest = hashlib.blake2b(json.dumps(self.encoder.to_dict(), sort_keys=True).encode(), digest_size=16)
        for name, table in self._tables.items():
            digest.update(name.encode())
            digest.update(table.detach().numpy().data)
        return digest.hexdigest()

    def save(self, folder: str | Path, similarity: str) -> None:
        """Write a folder that ``SentenceTransformer(folder)`` opens; cosine adds its Normalize module."""
        from core.encode.store import save_model

        save_model(self, Path(folder), similarity)

    def _table(self, side: Side) -> torch.nn.Parameter:
        return self._tables["shared"] if "shared" in self._tables else self._tables[side]


def load_model(folder: str | Path) -> EncoderModel:
    """The model saved in ``folder``; see core.encode.store.read_model."""
    from core.encode.store import read_model

    return read_model(Path(folder))
