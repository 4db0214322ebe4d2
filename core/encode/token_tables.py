"""Every token's vector as plain arrays, to look into a model without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from core.encode.tokens import Tokens

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.encode.encoder import Encoder


class TextTokenizer(Protocol):
    """What a model needs from a tokenizer."""

    n_ids: int

    def tokenize(self, texts: Sequence[str]) -> Tokens: ...

    def spans(self, text: str) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class TokenTables:
    """``tables``: as of TableModel, float32 (n_ids, dim) under ``shared``, or under ``query`` and ``document``."""

    tokenizer: TextTokenizer
    tables: dict[str, np.ndarray]
    encoder: Encoder | None = None

    def texts(self, corpus: Corpus, query_row: int, doc_row: int) -> tuple[str, str]:
        """What the model reads of a query and of a document, feature tokens included."""
        if self.encoder is None:
            return corpus.query_texts([query_row])[0], corpus.document_texts([doc_row])[0]
        return self.encoder.query_texts(corpus, [query_row])[0], self.encoder.document_texts(corpus, [doc_row])[0]

    def of(self, text: str, side: Literal["query", "document"]) -> tuple[np.ndarray, np.ndarray]:
        """(int64 (n, 2): the characters of each token; float64 (n, dim): its vector); their mean is the text's vector."""
        table = self.tables["shared"] if "shared" in self.tables else self.tables[side]
        ids = self.tokenizer.tokenize([text]).ids
        return self.tokenizer.spans(text), table[ids].astype(np.float64)
