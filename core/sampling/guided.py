"""Batch negatives under a guide: a second model, which does not learn, says which pairs of the batch look like answers."""

from __future__ import annotations

from dataclasses import dataclass

from core.params import Citation, param
from core.sampling.batch import InBatch

GIST = Citation(
    "Solatorio",
    2024,
    "GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding Fine-tuning",
    "https://arxiv.org/abs/2402.16829",
)
STRATEGIES = ("absolute", "relative")


@dataclass(frozen=True, kw_only=True)
class GuidedInBatch(InBatch):
    """In-batch, but what a guide model finds closer to the query than its positive is left out.

    Masks d- where g(q, d-) > g(q, d+) - margin, g the guide's cosine (relative: > g+ - |g+| margin). The guide is fixed, so the model
    cannot talk it into its own errors, and its vectors are made once: the price is one more matrix product a step. The mask holds for
    all documents of the batch, mined ones too. The authors' code also adds query-query and document-document pairs to the softmax
    and masks them alike; retrieval compares queries with documents only, and so do we. A guide that is weak on the subject masks at
    random; one that mistakes the positive masks nearly everything of that query.
    """

    key = "guided"
    title = "In-batch, guided mask"
    cost = "low"
    difficulty = "medium"
    source = GIST
    guide: str = param("", "id or folder of the finished trial that guides; empty = the encoder before training")
    margin: float = param(0.0, "how far below the positive's score, by the guide, a negative must lie", unit="score", ge=0.0, le=1000.0)
    strategy: str = param("absolute", "what the margin is: a score, or a share of the positive's score", choices=STRATEGIES)

    @property
    def guided_by(self):
        return self.guide or "start"

    def pass_guide(self, scores, positive):
        size = positive.abs() if self.strategy == "relative" else 1.0
        return scores <= (positive - self.margin * size)[:, None]


GUIDED: tuple[type[GuidedInBatch], ...] = (GuidedInBatch,)
