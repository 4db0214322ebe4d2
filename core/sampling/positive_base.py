"""What a positive builder is, and the pairs that one makes without labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.errors import ParameterError
from core.params import Piece

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.context import MiningContext

#: Purpose of the random stream that makes pairs; an epoch's texts depend on (seed, purpose, epoch) alone.
MAKE = 41


class Positives(Piece):
    """Base of the positive builders."""

    family = "positives"
    #: True where the queries to train on are texts that the piece makes, not the corpus's own.
    makes_queries: ClassVar[bool] = False
    #: False where nothing of the training labels is read.
    uses_labels: ClassVar[bool] = True

    def pairs(self, context: MiningContext) -> tuple[np.ndarray, np.ndarray]:
        """Training pairs as two int64 arrays (query_rows, doc_rows), ordered by query then document."""
        raise TypeError(f"{type(self).__name__} builds no pairs")

    def about_labels(self) -> str:
        """What the training labels are to this piece, in a sentence."""
        return "The training labels are used." if self.uses_labels else "No label is used to make or to train on them."

    def trained_corpus(self, corpus: Corpus) -> Corpus:
        """The corpus whose training split is what this piece trains on; the corpus itself for most. Rows stay."""
        return corpus


@dataclass(frozen=True)
class MadePairs:
    """N pairs of one epoch: a made query text, and the document that shall come closest to it.

    ``doc_rows`` int64 (N,): whose text, or part of whose text, is the positive. ``doc_texts``: what the model reads for
    it; None = the documents as they are. ``protected`` int64 (N, P), -1 padded: further documents that the query is
    never pushed from, such as the one that it was cut from. ``negative_rows`` int64 (N, h), -1 padded: hard negatives
    that come with the pairs. ``query_rows`` int64 (N,): the corpus's query behind the text, -1 = none.
    """

    query_texts: Sequence[str]
    doc_rows: np.ndarray
    doc_texts: Sequence[str] | None = None
    protected: np.ndarray = field(default=None)  # type: ignore[assignment]
    negative_rows: np.ndarray = field(default=None)  # type: ignore[assignment]
    query_rows: np.ndarray = field(default=None)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        n = len(self.query_texts)
        empty = np.full((n, 0), -1, np.int64)
        object.__setattr__(self, "doc_rows", np.asarray(self.doc_rows, np.int64))
        for name, otherwise in (("protected", empty), ("negative_rows", empty), ("query_rows", np.full(n, -1, np.int64))):
            value = getattr(self, name)
            object.__setattr__(self, name, otherwise if value is None else np.asarray(value, np.int64))
        texts = self.query_texts if self.doc_texts is None else self.doc_texts
        if not len(self.doc_rows) == len(self.protected) == len(self.negative_rows) == len(self.query_rows) == len(texts) == n:
            raise ValueError("every part of MadePairs needs one entry a pair")

    def __len__(self) -> int:
        return len(self.doc_rows)


class PositiveBuilder(Positives):
    """Base of the builders that make the query's text, too, from the corpus alone.

    :meth:`read` looks at the corpus once; :meth:`draw` makes the pairs of an epoch from what it found, always the same
    number, in the same order of documents. Where a piece draws nothing at random, ``is_redrawn`` is False and the first
    epoch's texts are kept.
    """

    makes_queries = True
    uses_labels = False
    is_redrawn: ClassVar[bool] = True

    def read(self, context: MiningContext) -> Any:
        """What drawing needs of the corpus."""
        raise TypeError(f"{type(self).__name__} reads nothing")

    def draw(self, material: Any, rng: np.random.Generator) -> MadePairs:
        """The pairs of one epoch."""
        raise TypeError(f"{type(self).__name__} draws nothing")

    def draw_epoch(self, material: Any, seed: int, epoch: int) -> MadePairs:
        """The pairs of an epoch of the training with this seed."""
        return self.draw(material, np.random.default_rng([seed, MAKE, epoch if self.is_redrawn else 0]))

    def pairs(self, context):
        raise ParameterError(
            f"{self.title} makes its own queries, so there are no pairs of the corpus's queries to mine for or to export. "
            "Choose a recipe with labelled positives."
        )
