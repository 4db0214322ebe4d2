"""A frozen model, asked once for each text, and a small trained head on its vectors."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from core.encode.encoder import Encoder
from core.encode.model import EncoderModel, Side
from core.encode.tokens import Tokens
from core.encode.transformer import device

BATCH_TEXTS = 64


class FrozenBase:
    """The vectors of every text that the frozen model was asked for; as a tokenizer, a text has one id: its vector's row."""

    def __init__(self, modules: Sequence[Any]):
        from sentence_transformers import SentenceTransformer

        self.modules = list(modules)
        self.model = SentenceTransformer(modules=self.modules, device=str(device()))
        self.model.requires_grad_(False).eval()
        self.dim: int = int(self.model.get_embedding_dimension() or 0)
        self.vectors = np.empty((0, self.dim), np.float32)
        self.folder: Path | None = None
        self._rows: dict[bytes, int] = {}
        self._hash: str = ""

    @property
    def n_ids(self) -> int:
        return len(self.vectors)

    def hash(self) -> str:
        """32 hexadecimal digits over every weight of the frozen model."""
        if not self._hash:
            digest = hashlib.blake2b(digest_size=16)
            for name, weight in sorted(self.model.state_dict().items()):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(weight.detach().cpu().float().numpy()).data)
            self._hash = digest.hexdigest()
        return self._hash

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """One id a text; what was never asked before is encoded now, longest first as sentence-transformers does."""
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._rows}
        if new:
            self._rows |= {key: len(self.vectors) + i for i, key in enumerate(new)}
            self.vectors = np.concatenate([self.vectors, self._encoded(new)])
        ids = np.fromiter((self._rows[key] for key in keys), np.int64, len(keys))
        return Tokens(ids, np.arange(len(keys) + 1))

    def _encoded(self, new: dict[bytes, str]) -> np.ndarray:
        kept = None
        if self.folder is not None:
            name = hashlib.blake2b(b"".join([self.hash().encode(), *new]), digest_size=16).hexdigest()
            kept = self.folder / f"{name}.npy"
            if kept.is_file():
                return np.load(kept, allow_pickle=False)
        found = self.model.encode(list(new.values()), batch_size=BATCH_TEXTS, show_progress_bar=False, convert_to_numpy=True)
        found = np.ascontiguousarray(found, np.float32)
        if kept is not None:
            part = kept.with_name(f"{kept.stem}-{os.getpid()}.part.npy")
            try:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.save(part, found)
                part.replace(kept)
            except OSError:  # a full or read-only disk: another process encodes them again
                part.unlink(missing_ok=True)
        return found


class FrozenModel(EncoderModel):
    """``heads``: keys ``shared``, or ``query`` and ``document``; lists of sentence-transformers' Dense modules."""

    def __init__(self, encoder: Encoder, base: FrozenBase, heads: dict[str, list[Any]]):
        self.heads = {side: torch.nn.ModuleList(layers).eval() for side, layers in sorted(heads.items())}
        super().__init__(encoder, base, _weights(self.heads))
        self.base = base
        self.dim: int = base.dim

    def forward(self, tokens: Tokens, side: Side) -> torch.Tensor:
        features = {"sentence_embedding": torch.from_numpy(self.base.vectors[tokens.ids])}
        for layer in self.heads["shared"] if "shared" in self.heads else self.heads[side]:
            features = layer(features)
        return features["sentence_embedding"]

    def keep_in(self, folder: Path) -> None:
        self.base.folder = folder

    def clone(self) -> Self:
        twin = copy.copy(self)
        twin.heads = copy.deepcopy(self.heads)
        twin.weights = _weights(twin.heads)
        return twin

    def modules_of(self, side: str) -> list[Any]:
        """The frozen modules and the side's head, to be saved."""
        return [*self.base.modules, *self.heads[side]]


def _weights(heads: dict[str, torch.nn.ModuleList]) -> dict[str, torch.nn.Parameter]:
    return {f"{side}.{name}": weight for side, head in heads.items() for name, weight in head.named_parameters()}


def new_head(dim: int, hidden: int, seed: int) -> list[Any]:
    """Layers that give their input back before training; with ``hidden`` units of which none is heard yet.

    Without hidden units one linear layer that starts at the identity. With them x is carried past the rectifiers as
    relu(x) - relu(-x), which is x, and the hidden units' outgoing weights start at 0.
    """
    from sentence_transformers.base.modules import Dense

    eye, identity = torch.eye(dim), torch.nn.Identity()
    if not hidden:
        return [Dense(dim, dim, activation_function=identity, init_weight=eye, init_bias=torch.zeros(dim))]
    random = np.random.default_rng(seed).standard_normal((hidden, dim), dtype=np.float32) * np.float32((2 / dim) ** 0.5)
    into = torch.cat([eye, -eye, torch.from_numpy(random)])
    out = torch.cat([eye, -eye, torch.zeros(dim, hidden)], 1)
    return [
        Dense(dim, len(into), activation_function=torch.nn.ReLU(), init_weight=into, init_bias=torch.zeros(len(into))),
        Dense(len(into), dim, activation_function=identity, init_weight=out, init_bias=torch.zeros(dim)),
    ]
