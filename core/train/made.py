"""Pairs that a recipe makes without labels, as a trial reads them: texts of the epoch, their tokens, what is masked."""

from __future__ import annotations

import numpy as np

from core.corpus.corpus import Corpus
from core.sampling.context import MiningContext, identical_groups
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.recipe import Recipe
from core.train.step import Stepper


class Made:
    """The pairs of one trial, made anew each epoch where the piece draws at random.

    A pair's document keeps its row, so that what must be masked is known by row; only the text that is read for it may be
    another. Tokens of made texts stand behind the corpus's own in the stepper's tables and are never searched.
    """

    def __init__(self, builder: PositiveBuilder, context: MiningContext, stepper: Stepper, seed: int):
        self.builder, self.stepper, self.seed = builder, stepper, seed
        self._corpus_tokens = stepper.query_tokens, stepper.doc_tokens
        self._groups = identical_groups(context.corpus.document_texts())
        self._material = builder.read(context)
        self._epoch = -1
        self.pairs: MadePairs
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Make the epoch's texts and put their tokens where the stepper finds them."""
        if not self.builder.is_redrawn:
            epoch = 0
        if epoch == self._epoch:
            return
        self._epoch = epoch
        self.pairs = pairs = self.builder.draw_epoch(self._material, self.seed, epoch)
        queries, documents = self._corpus_tokens
        n_queries, n_documents = len(queries), len(documents)
        tokenize = self.stepper.model.tokenize
        self.stepper.query_tokens = queries.followed_by(tokenize(list(pairs.query_texts)))
        self.query_rows = n_queries + np.arange(len(pairs))
        self.positive_texts: np.ndarray | None = None
        self.stepper.doc_tokens = documents
        if pairs.doc_texts is not None:
            self.stepper.doc_tokens = documents.followed_by(tokenize(list(pairs.doc_texts)))
            self.positive_texts = n_documents + np.arange(len(pairs))
        self.protected = self._with_copies(np.concatenate([pairs.doc_rows[:, None], pairs.protected], 1))

    def _with_copies(self, rows: np.ndarray) -> np.ndarray:
        """``rows`` and every document with exactly the text of one of them, -1 padded."""
        sizes = np.bincount(self._groups, minlength=1)
        is_copied = (rows >= 0) & (sizes[self._groups[np.maximum(rows, 0)]] > 1)
        if not is_copied.any():
            return rows
        order = np.argsort(self._groups, kind="stable")
        starts = np.concatenate([[0], np.cumsum(sizes)])
        more = [
            np.concatenate([order[starts[g] : starts[g + 1]] for g in np.unique(self._groups[own[hit]])]) if hit.any() else own[:0]
            for own, hit in zip(rows, is_copied, strict=True)
        ]
        padded = np.full((len(rows), max(map(len, more))), -1, np.int64)
        for row, own in enumerate(more):
            padded[row, : len(own)] = own
        return np.concatenate([rows, padded], 1)

    def sentence(self, corpus: Corpus) -> str:
        """How many pairs there are and from what, for the trial's log."""
        n, n_documents = len(self.pairs), len(np.unique(self.pairs.doc_rows))
        again = "new texts each epoch" if self.builder.is_redrawn else "the same texts in every epoch"
        labels = "The training labels serve too." if self.builder.uses_labels else "No training label is used."
        return (
            f"{self.builder.title} makes {n:,} pairs for {n_documents:,} of {corpus.n_documents:,} documents, {again}. {labels} "
            "Evaluation is on the corpus's own held-out queries."
        )


def make_pairs(recipe: Recipe, context: MiningContext, stepper: Stepper, seed: int) -> Made | None:
    """The pairs that the recipe's positives make; None where they are the corpus's own."""
    builder = recipe.positives
    return Made(builder, context, stepper, seed) if isinstance(builder, PositiveBuilder) else None
