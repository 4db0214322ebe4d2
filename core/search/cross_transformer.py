"""A transformer cross-encoder, fine-tuned once a fold through sentence-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ParameterError
from core.search.cross_task import DRAW, Task

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.search.cross_encoder import TransformerCrossEncoder

WARM_SHARE = 0.1
# Pairs read in one call when scoring.
BLOCK_PAIRS = 4096


class Transformers:
    """One fine-tuned model a fold; a pair of a training query is scored by the model that never saw the query."""

    def __init__(self, piece: TransformerCrossEncoder, corpus: Corpus, models: list[Any]):
        self.piece, self.models = piece, models
        self._queries, self._documents = corpus.query_texts(), corpus.document_texts()

    @classmethod
    def train(cls, piece: TransformerCrossEncoder, corpus: Corpus, task: Task, seed: int) -> Transformers:
        """The models, one a fold; raises ParameterError where the named one cannot be had."""
        import torch

        made = cls(piece, corpus, [])
        with torch.random.fork_rng(devices=[]):  # a new head's weights and dropout are drawn from torch's own generator
            for fold in range(task.n_folds):
                rng = np.random.default_rng([seed, DRAW, fold])
                torch.manual_seed(int(rng.integers(2**31)))
                made.models.append(_load(piece, piece.model))
                own = np.flatnonzero(task.fold_of[task.query_rows] != fold)
                made._fit(made.models[-1], task, own, rng)
        return made

    def logits(self, query_rows: np.ndarray, doc_rows: np.ndarray, folds: np.ndarray) -> np.ndarray:
        """float64 (N,): each pair by the model of its fold; the mean over all where the fold is -1."""
        found = np.zeros(len(query_rows), np.float64)
        for fold, model in enumerate(self.models):
            at = np.flatnonzero((folds == fold) | (folds < 0))
            for first in range(0, len(at), BLOCK_PAIRS):
                block = at[first : first + BLOCK_PAIRS]
                found[block] += self._score(model, query_rows[block], doc_rows[block]) / np.where(folds[block] < 0, len(self.models), 1)
        return found

    def save(self, folder: Path) -> None:
        """Write each fold's model in sentence-transformers' format."""
        for fold, model in enumerate(self.models):
            model.save_pretrained(str(folder / f"fold-{fold}"))

    @classmethod
    def open(cls, piece: TransformerCrossEncoder, folder: Path, corpus: Corpus, task: Task) -> Transformers:
        """The models that :meth:`save` wrote."""
        return cls(piece, corpus, [_load(piece, str(folder / f"fold-{fold}")) for fold in range(task.n_folds)])

    def _texts(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> list[tuple[str, str]]:
        pairs = zip(query_rows.tolist(), doc_rows.tolist(), strict=True)
        return [(self._queries[query], self._documents[doc]) for query, doc in pairs]

    def _score(self, model: Any, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        import torch

        texts = self._texts(query_rows, doc_rows)
        scores = model.predict(
            texts, batch_size=self.piece.batch_size, show_progress_bar=False, activation_fn=torch.nn.Identity(), convert_to_numpy=True
        )
        return np.asarray(scores, np.float64).reshape(-1)

    def _fit(self, model: Any, task: Task, own: np.ndarray, rng: np.random.Generator) -> None:
        import torch
        from torch.nn.functional import binary_cross_entropy_with_logits

        piece = self.piece
        if not piece.epochs:
            return
        n_pairs = len(own) * (1 + piece.negatives_per_positive)
        n_steps = piece.epochs * -(-n_pairs // piece.batch_size)
        optimizer = torch.optim.AdamW(model.parameters(), lr=piece.learning_rate)
        warm = max(1, round(WARM_SHARE * n_steps))
        rate = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm, max(0.0, (n_steps - step) / max(1, n_steps - warm)))
        )
        model.train()
        for _ in range(piece.epochs):
            places = task.draw(own, piece.negatives_per_positive, rng).reshape(-1)
            places = places[places >= 0]
            queries = np.concatenate([task.query_rows[own], task.pool_queries[places]])
            docs = np.concatenate([task.doc_rows[own], task.pool_docs[places]])
            labels = np.concatenate([np.ones(len(own), np.float32), np.zeros(len(places), np.float32)])
            order = rng.permutation(len(queries))
            for first in range(0, len(order), piece.batch_size):
                rows = order[first : first + piece.batch_size]
                inputs = model.preprocess(self._texts(queries[rows], docs[rows]))
                inputs = {name: value.to(model.device) if hasattr(value, "to") else value for name, value in inputs.items()}
                logits = model(inputs)["scores"].reshape(-1)
                loss = binary_cross_entropy_with_logits(logits, torch.from_numpy(labels[rows]).to(logits.device))
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                rate.step()
        model.eval()


def _load(piece: TransformerCrossEncoder, where: str) -> Any:
    from sentence_transformers import CrossEncoder

    try:
        return CrossEncoder(where, num_labels=1, max_length=piece.longest)
    except (OSError, ValueError) as error:
        raise ParameterError(
            f"TransformerCrossEncoder.model {where!r} cannot be loaded: {str(error).splitlines()[0]} "
            "Name a folder with a transformer model, or connect to the hub once."
        ) from error
