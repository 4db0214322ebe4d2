"""The embedded cross-encoder's networks: a few small ones for each fold, trained side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.search.cross_analogy import Analogies
from core.search.cross_features import PairFeatures
from core.search.cross_task import DRAW, Task

if TYPE_CHECKING:
    import torch

    from core.search.cross_encoder import EmbeddedCrossEncoder

LEARNING_RATE = 1e-2
WEIGHT_DECAY = 0.1
DROPOUT = 0.25
BATCH_POSITIVES = 128
# Standardised features beyond this many deviations say nothing more.
MOST_DEVIATIONS = 5.0
BLOCK_PAIRS = 1 << 16
# Rows multiplied at a time: what a processor's cache holds.
BLOCK_ROWS = 1 << 11


class Networks:
    """Scores of pairs, by the networks that never saw the pair's query.

    ``weights``: float32 arrays by name, the folds' in front: first (folds, members, features, hidden), second (..., hidden,
    hidden), last (..., hidden, 1) and their shifts. ``mean``, ``spread``: float32 (folds, features), of what the fold's networks saw.
    """

    def __init__(self, analogies: Analogies, weights: dict[str, np.ndarray]):
        self.analogies, self.weights = analogies, weights
        self.n_folds = len(weights["first"])

    @classmethod
    def train(cls, piece: EmbeddedCrossEncoder, features: PairFeatures, task: Task, seed: int) -> Networks:
        """Networks trained with binary cross-entropy; equal seeds, equal weights (on one thread)."""
        analogies = Analogies(features, task)
        query_rows = np.concatenate([task.query_rows, task.pool_queries])
        doc_rows = np.concatenate([task.doc_rows, task.pool_docs])
        plain = features.of(query_rows, doc_rows)
        folds = []
        for fold in range(task.n_folds):
            table = np.concatenate([plain, analogies.of(query_rows, doc_rows, fold)], axis=1)
            # Not even the scale of the features may come from the fold: its pool depends on its labels.
            seen = table[task.fold_of[query_rows] != fold]
            mean, spread = seen.mean(0), seen.std(0) + np.float32(1e-3)
            own = np.flatnonzero(task.fold_of[task.query_rows] != fold)
            weights = _fit(piece, task, _standard(table, mean, spread), own, [seed, DRAW, fold])
            folds.append({**weights, "mean": mean, "spread": spread})
        return cls(analogies, {name: np.stack([fold[name] for fold in folds]) for name in folds[0]})

    def logits(self, query_rows: np.ndarray, doc_rows: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """float64 (N,): each pair by the network of its fold; the mean over all where the fold is -1."""
        found = np.zeros(len(query_rows), np.float64)
        for first in range(0, len(query_rows), BLOCK_PAIRS):
            block = slice(first, first + BLOCK_PAIRS)
            found[block] = self._logits(query_rows[block], doc_rows[block], folds[block])
        return found

    def _logits(self, query_rows: np.ndarray, doc_rows: np.ndarray, folds: np.ndarray) -> np.ndarray:
        plain = self.analogies.features.of(query_rows, doc_rows)
        found = np.zeros(len(query_rows), np.float64)
        for fold in range(self.n_folds):
            at = np.flatnonzero((folds == fold) | (folds < 0))
            if not len(at):
                continue
            table = np.concatenate([plain[at], self.analogies.of(query_rows[at], doc_rows[at], fold)], axis=1)
            weights = {name: value[fold] for name, value in self.weights.items()}
            values = _forward(_standard(table, weights["mean"], weights["spread"]), weights)
            found[at] += values / np.where(folds[at] < 0, self.n_folds, 1)
        return found

    def save(self, folder: Path) -> None:
        """Write the weights; features are made again from the corpus."""
        np.savez(folder / "networks.npz", **self.weights)

    @classmethod
    def open(cls, folder: Path, features: PairFeatures, task: Task) -> Networks:
        """The networks that :meth:`save` wrote for the same corpus, piece and seed."""
        with np.load(folder / "networks.npz", allow_pickle=False) as stored:
            weights = {name: stored[name] for name in stored.files}
        return cls(Analogies(features, task), weights)


def _standard(table: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    return np.clip((table - mean) / spread, -MOST_DEVIATIONS, MOST_DEVIATIONS)


def _forward(table: np.ndarray, weights: dict[str, np.ndarray]) -> np.ndarray:
    """float64 (N,): the members' mean logit. In float64, so that the last bits of a block's product never decide."""
    exact = {name: value.astype(np.float64) for name, value in weights.items()}
    total = np.zeros(len(table), np.float64)
    for first in range(0, len(table), BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        rows = table[block].astype(np.float64)
        for member in range(len(weights["first"])):
            values = _gelu(rows @ exact["first"][member] + exact["first_shift"][member])
            values = _gelu(values @ exact["second"][member] + exact["second_shift"][member])
            total[block] += (values @ exact["last"][member] + exact["last_shift"][member])[:, 0]
    return total / len(weights["first"])


def _gelu(values: np.ndarray) -> np.ndarray:
    """x * P(normal <= x), tanh's approximation (Hendrycks and Gimpel 2016), as torch computes it."""
    return 0.5 * values * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values * values * values)))


def _fit(piece: EmbeddedCrossEncoder, task: Task, table: np.ndarray, own: np.ndarray, stream: list[int]) -> dict[str, np.ndarray]:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits, gelu

    n_members, n_positives = piece.members, len(task.query_rows)
    rng = np.random.default_rng(stream)
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    sizes = (table.shape[1], piece.hidden, piece.hidden, 1)
    weights: dict[str, torch.Tensor] = {}
    for name, n_in, n_out in zip(("first", "second", "last"), sizes[:-1], sizes[1:], strict=True):
        bound = n_in**-0.5
        weights[name] = (torch.rand((n_members, n_in, n_out), generator=generator) * 2 - 1) * bound
        weights[f"{name}_shift"] = torch.zeros((n_members, 1, n_out))
    for value in weights.values():
        value.requires_grad_()
    optimizer = torch.optim.AdamW(list(weights.values()), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    n_steps = piece.epochs * -(-len(own) // BATCH_POSITIVES)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=max(n_steps, 2), pct_start=0.2)
    all_rows = torch.from_numpy(np.ascontiguousarray(table, np.float32))

    def mask(shape: torch.Size) -> torch.Tensor:
        return (torch.rand(shape, generator=generator) >= DROPOUT) / (1 - DROPOUT)

    for _ in range(piece.epochs):
        order = np.stack([rng.permutation(own) for _ in range(n_members)])
        negatives = np.stack([task.draw(row, piece.negatives_per_positive, rng) for row in order])
        for first in range(0, len(own), BATCH_POSITIVES):
            positives = order[:, first : first + BATCH_POSITIVES]
            places = negatives[:, first : first + BATCH_POSITIVES].reshape(n_members, -1)
            rows = np.concatenate([positives, np.where(places >= 0, places + n_positives, 0)], axis=1)
            target = torch.zeros(rows.shape)
            target[:, : positives.shape[1]] = 1
            counts = torch.from_numpy(np.concatenate([np.ones_like(positives), places >= 0], axis=1).astype(np.float32))
            values = all_rows[torch.from_numpy(rows)]
            for name in ("first", "second"):
                values = gelu(torch.baddbmm(weights[f"{name}_shift"], values, weights[name]), approximate="tanh")
                values = values * mask(values.shape)
            logits = torch.baddbmm(weights["last_shift"], values, weights["last"])[:, :, 0]
            # Each member has a loss of its own; their sum trains them side by side.
            loss = (binary_cross_entropy_with_logits(logits, target, reduction="none") * counts).sum() / counts[0].sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return {name: value.detach().numpy() for name, value in weights.items()}
