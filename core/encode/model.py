"""An encoder's trainable model: what training, mining and saving ask of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import torch

from core.encode.encoder import Encoder
from core.encode.tokens import Tokens

if TYPE_CHECKING:
    from core.encode.token_tables import TokenTables

__all__ = ["EncoderModel", "Side", "Tokens", "load_model"]

Side = Literal["query", "document"]


class EncoderModel:
    """Base of the models. ``encoder``: the piece that declares how it was made. ``dim``: numbers in a vector.

    ``weights``: what is trained, by name. Vectors are never normalised here: the similarity does that where it is needed.
    """

    dim: int

    def __init__(self, encoder: Encoder, tokenizer: Any, weights: dict[str, torch.nn.Parameter]):
        self.encoder, self.tokenizer = encoder, tokenizer
        self.weights = weights

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The token ids of ``texts``; the same for both sides."""
        return self.tokenizer.tokenize(texts)

    def forward(self, tokens: Tokens, side: Side) -> torch.Tensor:
        """Raw vectors, float32 (N, dim), with a gradient to the side's weights."""
        raise TypeError(f"{type(self).__name__} encodes nothing")

    def forward_pair(
        self, queries: Tokens, documents: Tokens, then: Callable[[torch.Tensor], torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``then(forward(...))`` of both sides; ``then`` works on each row alone, such as a normalisation."""
        return then(self.forward(queries, "query")), then(self.forward(documents, "document"))

    def encode(self, tokens: Tokens, side: Side) -> np.ndarray:
        """The same vectors without a gradient, float32 (N, dim)."""
        with torch.no_grad():
            return self.forward(tokens, side).numpy()

    def encode_texts(self, texts: Sequence[str], side: Side) -> np.ndarray:
        """``encode`` of the texts' tokens."""
        return self.encode(self.tokenize(texts), side)

    def token_tables(self) -> TokenTables | None:
        """Every token's vector as plain arrays that share this model's memory; None where a vector is no mean of such."""
        return None

    def keep_in(self, folder: Path) -> None:
        """A folder where what training never changes may be kept for other processes; most models have nothing to keep."""

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.weights.values())

    def optimizers(self, lr: float) -> list[torch.optim.Optimizer]:
        """Adam over all weights."""
        return [torch.optim.Adam(self.parameters(), lr=lr)]

    def state(self) -> dict[str, np.ndarray]:
        """The weights by name, float32, copied."""
        return {name: weight.detach().cpu().numpy().copy() for name, weight in self.weights.items()}

    @torch.no_grad()
    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Take over the weights that ``state`` gave; raises ValueError when names or shapes differ."""
        if state.keys() != self.weights.keys():
            raise ValueError(f"State has {sorted(state)}, this model needs {sorted(self.weights)}.")
        for name, weight in self.weights.items():
            if state[name].shape != tuple(weight.shape):
                raise ValueError(f"State {name} has shape {state[name].shape}, not {tuple(weight.shape)}.")
            weight.copy_(torch.from_numpy(np.array(state[name], dtype=np.float32)))

    def clone(self) -> Self:
        """A model with its own copy of the weights; the tokenizer is shared."""
        raise TypeError(f"{type(self).__name__} cannot be copied")

    @torch.no_grad()
    def momentum_update(self, online: EncoderModel, m: float) -> None:
        """``self = m * self + (1 - m) * online``, in place (He et al. 2020, MoCo, eq. 2)."""
        for name, weight in self.weights.items():
            weight.mul_(m).add_(online.weights[name], alpha=1 - m)

    def weights_hash(self) -> str:
        """32 hexadecimal digits over the encoder and every byte of the weights: the key of vector caches."""
        digest = hashlib.blake2b(json.dumps(self.encoder.to_dict(), sort_keys=True).encode(), digest_size=16)
        for name, weight in self.weights.items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(weight.detach().cpu().numpy()).data)
        return digest.hexdigest()

    def save(self, folder: str | Path, similarity: str) -> None:
        """Write a folder that ``SentenceTransformer(folder)`` opens; cosine adds its Normalize module."""
        from core.encode.store import save_model

        save_model(self, Path(folder), similarity)


def load_model(folder: str | Path) -> EncoderModel:
    """The model saved in ``folder``; see core.encode.store.read_model."""
    from core.encode.store import read_model

    return read_model(Path(folder))
