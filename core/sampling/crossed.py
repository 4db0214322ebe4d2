"""Pieces that ask a cross-encoder: which one, and its probabilities of any pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from core.sampling.context import MiningContext
    from core.search.cross_encoder import CrossModel

CROSS_HELP = "transformer for it, a folder or a hub name; empty = the embedded one, nothing to download"


class AsksCross:
    """Beside a piece's own base: the piece has a parameter ``model``, declared with CROSS_HELP."""

    model: str

    @property
    def asks_cross(self) -> bool:
        """Whether this piece, as its parameters are, needs the cross-encoder."""
        return True

    def cross(self, context: MiningContext) -> CrossModel:
        """The model that decides; trained when first asked for."""
        from core.search.cross_encoder import EmbeddedCrossEncoder, TransformerCrossEncoder

        return context.cross(TransformerCrossEncoder(model=self.model) if self.model else EmbeddedCrossEncoder())

    def relevance(self, context: MiningContext, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32, shape of ``doc_rows`` (Q,) or (Q, C): the chance of being relevant; 0 where -1, or where nothing was learned."""
        cross = self.cross(context)
        found = np.zeros(doc_rows.shape, np.float32)
        if cross.is_trained:
            is_real = doc_rows >= 0
            rows = np.broadcast_to(query_rows.reshape(-1, *[1] * (doc_rows.ndim - 1)), doc_rows.shape)
            found[is_real] = cross.probabilities(rows[is_real], doc_rows[is_real])
        return found
