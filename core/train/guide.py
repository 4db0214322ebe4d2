"""A guide's opinion of the pairs of one step: fixed vectors of another model, by row number."""

from __future__ import annotations

import torch

from core.sampling.context import Vectors


class Guide:
    """Vectors of every query and document by a model that does not learn here; compared by cosine.

    The batch's own rows are gathered and normalised in each step, so that no second copy of the corpus is kept.
    """

    def __init__(self, vectors: Vectors):
        self.queries, self.documents = (torch.from_numpy(v).float() for v in (vectors.queries, vectors.documents))

    def scores(self, query_rows: torch.Tensor, doc_rows: torch.Tensor) -> torch.Tensor:
        """Cosines float32: (B, M) of each query with all of ``doc_rows`` (M,), or (B, m) with its own (B, m); -1 gives any number."""
        normalize = torch.nn.functional.normalize
        queries, documents = normalize(self.queries[query_rows], dim=-1), normalize(self.documents[doc_rows], dim=-1)
        return queries @ documents.T if doc_rows.ndim == 1 else (queries[:, None] * documents).sum(-1)

    def positive_scores(self, query_rows: torch.Tensor, doc_rows: torch.Tensor) -> torch.Tensor:
        """Cosines (B,) of each query with its own document."""
        return self.scores(query_rows, doc_rows[:, None])[:, 0]
