"""Transformer towers: modules of sentence-transformers, trained and read in batches of like length."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from core.encode.encoder import Encoder
from core.encode.model import EncoderModel, Side
from core.encode.tokens import Tokens
from core.errors import ParameterError

BLOCK_TEXTS = 512  # tokenised at a time
BLOCK_TOKENS = 8192  # padded tokens in one pass through a tower


def device() -> torch.device:
    """Where transformers run: the first GPU, unless NEGSPACE_DEVICE=cpu; there equal seeds need not give equal bytes."""
    is_wanted = os.environ.get("NEGSPACE_DEVICE", "") != "cpu"
    return torch.device("cuda" if is_wanted and torch.cuda.is_available() else "cpu")


class TowerTokenizer:
    """Token ids exactly as the tower's own module prepares them: special tokens included, cut at its longest length."""

    def __init__(self, module: Any):
        self.module = module
        self.pad: int = module.tokenizer.pad_token_id or 0
        self.n_ids: int = len(module.tokenizer)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        found = Tokens.from_lists([])
        for first in range(0, len(texts), BLOCK_TEXTS):
            features = self.module.preprocess(list(texts[first : first + BLOCK_TEXTS]))
            mask = features["attention_mask"].numpy().astype(bool)
            ids = features["input_ids"].numpy()
            found = found.followed_by(Tokens(ids[mask].astype(np.int64), np.concatenate([[0], np.cumsum(mask.sum(1))])))
        return found


class TransformerModel(EncoderModel):
    """One tower for both sides, or one a side.

    ``towers``: keys ``shared``, or ``query`` and ``document``; lists of sentence-transformers modules, a Transformer first, none
    of them Normalize. There is no dropout, neither in training nor later: a step depends on nothing but weights and batch.
    """

    def __init__(self, encoder: Encoder, towers: dict[str, list[Any]]):
        self.device = device()
        self.towers = {side: torch.nn.ModuleList(modules).to(self.device).eval() for side, modules in sorted(towers.items())}
        super().__init__(encoder, TowerTokenizer(next(iter(self.towers.values()))[0]), _weights(self.towers))
        self.dim: int = _dim(next(iter(self.towers.values())))

    def forward(self, tokens: Tokens, side: Side) -> torch.Tensor:
        """Vectors, float32 (N, dim) on the CPU. Texts are taken in the order of their length, so that little is padded."""
        tower = self.towers["shared"] if "shared" in self.towers else self.towers[side]
        if not len(tokens):
            return torch.zeros(0, self.dim)
        order = np.argsort(-tokens.lengths, kind="stable")
        parts = []
        for rows in _blocks(order, tokens.lengths):
            features = self._padded(tokens.take(rows))
            for module in tower:
                features = module(features)
            parts.append(features["sentence_embedding"].float().to("cpu"))
        return torch.cat(parts)[torch.from_numpy(np.argsort(order, kind="stable"))]

    def clone(self) -> Self:
        twin = copy.copy(self)
        twin.towers = copy.deepcopy(self.towers)
        twin.weights = _weights(twin.towers)
        return twin

    def modules_of(self, side: str) -> list[Any]:
        """The modules of a tower, to be saved."""
        return list(self.towers[side])

    def _padded(self, tokens: Tokens) -> dict[str, torch.Tensor]:
        lengths = tokens.lengths
        mask = np.arange(lengths.max(initial=1))[None] < lengths[:, None]
        ids = np.full(mask.shape, self.tokenizer.pad, np.int64)
        ids[mask] = tokens.ids
        return {
            "input_ids": torch.from_numpy(ids).to(self.device),
            "attention_mask": torch.from_numpy(mask.astype(np.int64)).to(self.device),
        }


def _blocks(order: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Stretches of ``order`` whose padded size stays under BLOCK_TOKENS; the first row of a stretch is its longest."""
    first = 0
    while first < len(order):
        n = max(1, BLOCK_TOKENS // max(1, int(lengths[order[first]])))
        yield order[first : first + n]
        first += n


def _weights(towers: dict[str, torch.nn.ModuleList]) -> dict[str, torch.nn.Parameter]:
    return {f"{side}.{name}": weight for side, tower in towers.items() for name, weight in tower.named_parameters()}


def _dim(modules: Any) -> int:
    found = [module.get_embedding_dimension() for module in modules if hasattr(module, "get_embedding_dimension")]
    return int([size for size in found if size][-1])


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars of transformers, which would fill a worker's log."""
    from transformers.utils import logging

    is_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if is_shown:
            logging.enable_progress_bar()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's own generator set to ``seed`` inside the block, for weights that a library draws; the former state comes back."""
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def load_modules(where: str, owner: str, seed: int) -> list[Any]:
    """The modules of the sentence-transformers model in the folder, or of that name on the hub.

    Raises ParameterError where it cannot be had. Weights that the folder lacks are drawn from ``seed``.
    """
    from sentence_transformers import SentenceTransformer

    is_folder = Path(where).expanduser().is_dir()
    name = str(Path(where).expanduser()) if is_folder else where
    for only_local in (True,) if is_folder else (True, False):  # what was fetched before needs no network
        try:
            with seeded(seed):
                return list(SentenceTransformer(name, device="cpu", local_files_only=only_local, trust_remote_code=False))
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if is_folder:
        raise ParameterError(f"{owner}.model {where!r} cannot be opened by sentence-transformers: {why}")
    raise ParameterError(
        f"{owner}.model {where!r} is no folder here, and the model hub does not give it: this machine may be offline, or the name "
        "is wrong. Name a folder that sentence-transformers saved, or connect once, so that the model is kept."
    )


def without_normalize(modules: Sequence[Any]) -> list[Any]:
    """The modules without a Normalize at their end: the similarity does that."""
    kept = list(modules)
    while kept and type(kept[-1]).__name__ == "Normalize":
        kept.pop()
    return kept
