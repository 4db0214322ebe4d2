"""Every token's vector as plain arrays, to look into a model without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from core.encode.tokens import Tokens


class TextTokenizer(Protocol):
    """What a model needs from a tokenizer."""

    n_ids: int

    def tokenize(self, texts: Sequence[str]) -> Tokens: ...

    def spans(self, text: str) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class TokenTables:
    """``tables``: as of EncoderModel, float32 (n_ids, dim) under ``shared``, or under ``query`` and ``document``."""

    tokenizer: TextTokenizer
    tables: dict[str, np.ndarray]

    def of(self, text: str, side: Literal["query", "document"]) -> tuple[np.ndarray, np.ndarray]:
        """(int64 (n, 2): the characters of each token; float64 (n, dim): its vector); their mean is the text's vector."""
        table = self.tables["shared"] if "shared" in self.tables else self.tables[side]
        ids = self.tokenizer.tokenize([text]).ids
        return self.tokenizer.spans(text), table[ids].astype(np.float64)
