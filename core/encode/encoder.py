"""What every encoder is: a light piece that declares its parameters and builds its model when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from core.encode.features import field_names, with_features
from core.errors import ParameterError
from core.params import Piece

if TYPE_CHECKING:
    import pyarrow as pa

    from core.corpus.corpus import Corpus
    from core.encode.model import EncoderModel

TOWERS = ("shared", "separate")
TOWERS_HELP = (
    "shared: one table of vectors reads queries and documents; separate: each side trains its own, from equal starts"
)
FIELDS_HELP = (
    "fields of the documents that are read as feature tokens beside the words, joined by commas, such as place,category; "
    "empty = the words alone"
)


class Encoder(Piece):
    """Base of the encoders: texts to vectors.

    ``learning_rate``: Adam's step size where nobody chose one. ``is_table``: the vector is a mean of token vectors, so that a
    score is a sum over tokens. ``is_light``: a step is too small to share between threads.
    """

    family: ClassVar[str] = "encoder"
    learning_rate: ClassVar[float] = 0.01
    is_table: ClassVar[bool] = True
    is_light: ClassVar[bool] = True
    towers: str

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        """An untrained model. ``corpus_texts``: as :meth:`document_texts` gives them, for encoders that learn a vocabulary or
        features; equal seeds, equal bytes."""
        raise TypeError(f"{type(self).__name__} builds no model")

    @property
    def field_names(self) -> tuple[str, ...]:
        """The fields that it reads as feature tokens."""
        return field_names(getattr(self, "fields", ""))

    def lacks(self, corpus: Corpus) -> str:
        """Why it cannot be built for this corpus, as far as that is seen at once, with the remedy; '' = it can."""
        return self.lacks_fields(corpus)

    def lacks_fields(self, corpus: Corpus) -> str:
        """Which of its fields the documents do not have, with the remedy; '' = none."""
        there = [name for name in corpus.documents.column_names if name not in ("doc_id", "title", "text")]
        missing = [name for name in self.field_names if name not in there]
        if not missing:
            return ""
        known = f"They have: {', '.join(there)}." if there else "They have no fields besides title and text."
        return f"The documents of this corpus have no field {missing[0]!r}. {known} Change {type(self).__name__}.fields."

    def document_texts(self, corpus: Corpus, rows=None) -> list[str]:
        """What it reads of these document rows, or of all: title and text, behind the features of its fields.

        Raises ParameterError for a field that the corpus lacks.
        """
        lack = self.lacks_fields(corpus)
        if lack:
            raise ParameterError(lack)
        return self._read(corpus.documents, corpus.document_texts(rows), self.field_names, rows)

    def query_texts(self, corpus: Corpus, rows=None) -> list[str]:
        """What it reads of these query rows, or of all: the text, behind the features of those fields that queries have."""
        names = tuple(name for name in self.field_names if name in corpus.queries.column_names)
        return self._read(corpus.queries, corpus.query_texts(rows), names, rows)

    def _read(self, table: pa.Table, texts: list[str], names: tuple[str, ...], rows) -> list[str]:
        if not names:
            return texts
        part = table.select(list(names))
        if rows is not None:
            import numpy as np

            part = part.take(np.asarray(rows, np.int64).reshape(-1))
        return with_features(texts, names, [part[name].to_pylist() for name in names])
