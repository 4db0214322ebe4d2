"""Signals that imitate a teacher: a cross-encoder's score of each pair says how relevant, not only whether."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from core.errors import ParameterError
from core.params import Citation, param
from core.sampling.crossed import CROSS_HELP, AsksCross
from core.sampling.signal import SIMILARITIES, SIMILARITY_HELP, Signal, _mean_over_negatives

if TYPE_CHECKING:
    from torch import Tensor

    from core.sampling.context import MiningContext

MARGIN_MSE = Citation(
    "Hofstätter et al.",
    2020,
    "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge Distillation",
    "https://arxiv.org/abs/2010.02666",
)
TIGHT = Citation(
    "Lin et al.", 2020, "Distilling Dense Representations for Ranking using Tightly-Coupled Teachers", "https://arxiv.org/abs/2010.11386"
)
SCORES_HELP = "file of teacher scores with query-id, doc-id and score (tsv, csv, jsonl, parquet); empty = the cross-encoder"
# A probability of exactly 0 or 1 has no log-odds; float32 holds nothing between this and 1.
LEAST = 1e-6


class Distilled(AsksCross, Signal):
    """Base of the signals with a teacher, which scores the query's positive and its own mined negatives.

    The cross-encoder's score is the log-odds of its probability; a file's scores are taken as they are. A pair without a
    teacher's score takes no part, and neither do the batch's other documents: no teacher has read them for this query.
    """

    needs_teacher: ClassVar[bool] = True
    scores: str

    @property
    def asks_cross(self) -> bool:
        return not self.scores

    def teach(self, context: MiningContext, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32, shape of ``doc_rows`` (Q,) or (Q, C): the teacher's scores, larger = more relevant; NaN = it has none."""
        if self.scores:
            return context.index.given_scores(self.scores).of(query_rows, doc_rows)
        p = np.clip(self.relevance(context, query_rows, doc_rows).astype(np.float64), LEAST, 1 - LEAST)
        return np.where(doc_rows >= 0, np.log(p) - np.log1p(-p), np.nan).astype(np.float32)

    def teacher_sentence(self, context: MiningContext, query_rows: np.ndarray, doc_rows: np.ndarray) -> str:
        """Who teaches these training pairs; raises ParameterError where nobody can."""
        if not self.scores:
            if not self.cross(context).is_trained:
                raise ParameterError(
                    f"{self.title} needs a teacher, and the corpus has too few labelled training queries for a cross-encoder. "
                    "Add judged pairs to qrels/train.tsv, or name a file of scores in signal.scores."
                )
            return "The teacher is the cross-encoder; no query is scored by a network that saw its labels."
        given = context.index.given_scores(self.scores)
        n_known = int(np.isfinite(given.of(query_rows, doc_rows)).sum())
        if not n_known:
            raise ParameterError(
                f"signal.scores: none of the {len(query_rows)} training pairs has a score in that file ({given.n_unknown} of its rows "
                "name a query or a document that this corpus does not have). It must score the positives too."
            )
        return (
            f"The teacher is a file of {len(given.keys)} scores (sha256 {given.digest}); {n_known} of the {len(query_rows)} training pairs "
            f"have one, and {given.n_unknown} rows name a query or a document that this corpus does not have."
        )


def _known(is_allowed: Tensor, teacher: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """(positive (B,), negative (B, M)) of the teacher without NaN, and bool (B, M): pairs of which both scores are known."""
    positive, negative = teacher
    is_known = is_allowed & ~negative.isnan() & ~positive.isnan()[:, None]
    return positive.nan_to_num(), negative.nan_to_num(), is_known


@dataclass(frozen=True, kw_only=True)
class MarginMSE(Distilled):
    """The distance between positive and negative shall be the teacher's, not as large as possible.

    Loss ((s+ - s-) / t - (T+ - T-))^2, the mean over a query's mined negatives, T the teacher's scores. Of a false negative the
    teacher says T- near T+ (or above), so it is pushed away no farther than it deserves: labels need no cleaning. The paper compares
    dot products with t = 1; with cosines t brings the two scales together. It cannot be better than its teacher, and
    the batch's other documents take no part, because the teacher would have to read B x B pairs.
    """

    key = "margin-mse"
    title = "MarginMSE, distilled"
    cost = "medium"
    difficulty = "medium"
    source = MARGIN_MSE
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    temperature: float = param(0.05, "divides the student's score difference", ge=0.001, le=100.0)
    scores: str = param("", SCORES_HELP)
    model: str = param("", CROSS_HELP)

    def loss(self, positive, negative, is_allowed, log_weight=None, teacher=None):
        t_positive, t_negative, is_known = _known(is_allowed, teacher)
        margin = (positive[:, None] - negative) / self.temperature
        per_pair = (margin - (t_positive[:, None] - t_negative)).square()
        return _mean_over_negatives(per_pair, is_known, log_weight).mean()


@dataclass(frozen=True, kw_only=True)
class KLDistillation(Distilled):
    """The softmax over the positive and its negatives shall be the teacher's softmax.

    Loss sum_i p_i log(p_i / q_i), p the teacher's softmax over the list (T / its temperature), q the student's (s / t). The gradient
    on candidate i is (q_i - p_i) / t: InfoNCE is the case where the teacher puts all on the labelled one. A false negative gets the share
    that the teacher gives it. A sharp teacher (small temperature) turns it back into hard labels. sentence-transformers multiplies
    by t^2, which Adam undoes; ours leaves it out, so that weights compare with InfoNCE's.
    """

    key = "kl-distillation"
    title = "KL over the list, distilled"
    cost = "medium"
    difficulty = "medium"
    is_distribution = True
    source = TIGHT
    similarity: str = param("cosine", SIMILARITY_HELP, choices=SIMILARITIES)
    temperature: float = param(0.05, "divides the student's scores", ge=0.001, le=100.0)
    teacher_temperature: float = param(1.0, "divides the teacher's scores", ge=0.001, le=1000.0)
    scores: str = param("", SCORES_HELP)
    model: str = param("", CROSS_HELP)

    def loss(self, positive, negative, is_allowed, log_weight=None, teacher=None):
        import torch

        t_positive, t_negative, is_known = _known(is_allowed, teacher)
        student = torch.cat([positive[:, None], negative.masked_fill(~is_known, -torch.inf)], 1) / self.temperature
        given = torch.cat([t_positive[:, None], t_negative.masked_fill(~is_known, -torch.inf)], 1) / self.teacher_temperature
        if log_weight is not None:  # a weight of 2 counts a candidate twice, on both sides
            shift = torch.nn.functional.pad(log_weight.expand_as(negative), (1, 0))
            student, given = student + shift, given + shift
        is_none = torch.nn.functional.pad(~is_known, (1, 0))
        log_q, log_p = (side.log_softmax(1).masked_fill(is_none, 0.0) for side in (student, given))
        return (given.softmax(1) * (log_p - log_q)).sum(1).mean()


DISTILLED: tuple[type[Distilled], ...] = (MarginMSE, KLDistillation)
