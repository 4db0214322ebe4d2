"""Which of the allowed candidates are taken: the last step of mining."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.params import Citation, Piece, param

#: Log weights of TriSampler: of what is as far from the positive's score as can be told, and of what lies outside of its triangle.
FARTHEST, OUTSIDE = -1e6, -1e8


class Picker(Piece):
    """Base of the pickers. ``is_random``: draws anew each epoch from the same candidates. ``asks_likeness``: wants to know how
    close each candidate is to the query's positive, which is scored for such pickers only."""

    family = "picker"
    is_random: ClassVar[bool] = False
    asks_likeness: ClassVar[bool] = False

    def log_weights(self, scores: np.ndarray, positive_scores: np.ndarray) -> np.ndarray:
        """float64 (Q, C) unnormalised log probabilities of taking each candidate; -inf = never.

        A picker that asks for likeness gets it as a third argument: float32 (Q, C), the candidate's score with the query's
        lowest-scored positive on the source's scale.
        """
        raise TypeError(f"{type(self).__name__} has no law")

    def pick(
        self,
        scores: np.ndarray,
        positive_scores: np.ndarray,
        is_allowed: np.ndarray,
        k: int,
        rng: np.random.Generator,
        likeness: np.ndarray | None = None,
    ) -> np.ndarray:
        """int64 (Q, k) columns of the taken candidates, no column twice in a row, -1 at the end where too few.

        ``scores`` float32 (Q, C) in rank order, ``is_allowed`` bool (Q, C). Random pickers draw without replacement by
        Gumbel top-k in log space (Kool et al. 2019), so that large exponents do not underflow; columns come in order of
        the draw.
        """
        n_queries, n_candidates = scores.shape
        k_taken = min(k, n_candidates)
        columns = np.full((n_queries, k), -1, np.int64)
        if k_taken == 0 or n_queries == 0:
            return columns
        if self.is_random:
            safe = np.where(is_allowed, scores, 0.0)
            asked = (likeness,) if self.asks_likeness else ()
            keys = self.log_weights(safe, positive_scores, *asked) + rng.gumbel(size=scores.shape)
        else:
            keys = np.broadcast_to(-np.arange(n_candidates, dtype=np.float64), scores.shape)
        keys = np.where(is_allowed, keys, -np.inf)
        if k_taken < n_candidates:
            part = np.argpartition(-keys, k_taken - 1, axis=1)[:, :k_taken]
        else:
            part = np.broadcast_to(np.arange(n_candidates), keys.shape)
        part_keys = np.take_along_axis(keys, part, 1)
        # Equal keys are ordered by column: two keys can only tie at -inf, and those are dropped below.
        order = np.argsort(-part_keys, axis=1, kind="stable")
        taken = np.take_along_axis(part, order, 1)
        is_real = np.take_along_axis(part_keys, order, 1) > -np.inf
        columns[:, :k_taken] = np.where(is_real, taken, -1)
        return columns


@dataclass(frozen=True, kw_only=True)
class Top(Picker):
    """The hardest allowed candidates, in order.

    Always the same ones for the same scores: the largest gradients, and the largest share of unlabelled positives.
    """

    key = "top"
    title = "Top"
    source = Citation(
        "Gillick et al.", 2019, "Learning Dense Representations for Entity Retrieval", "https://arxiv.org/abs/1909.10506"
    )


@dataclass(frozen=True, kw_only=True)
class Uniform(Picker):
    """Any allowed candidate of the window, all equally likely, drawn anew each epoch.

    Spreads the risk of false negatives over the window and shows the model more different texts than Top.
    """

    key = "uniform"
    title = "Uniform"
    is_random = True
    source = Citation(
        "Xiong et al.",
        2020,
        "Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text Retrieval",
        "https://arxiv.org/abs/2007.00808",
    )

    def log_weights(self, scores, positive_scores):
        return np.zeros(scores.shape)


@dataclass(frozen=True, kw_only=True)
class SimANS(Picker):
    """Candidates that score about as high as the positive: neither too easy nor too hard.

    Drawn without replacement with p proportional to exp(-a (s- - s+ - b)^2). Those far above the positive are probably
    unlabelled answers, those far below teach nothing. Our b is the score difference s- - s+ at the peak (the
    authors' text and code differ in its sign; this follows the formula of the paper). ``a`` depends on the scale: BM25
    scores and cosines need different ones.
    """

    key = "simans"
    title = "SimANS: near the positive"
    difficulty = "medium"
    is_random = True
    source = Citation(
        "Zhou et al.",
        2022,
        "SimANS: Simple Ambiguous Negatives Sampling for Dense Text Retrieval",
        "https://arxiv.org/abs/2210.11773",
    )
    a: float = param(50.0, "sharpness of the peak; 0 = uniform", ge=0.0, le=1e6)
    b: float = param(0.0, "score difference s- - s+ at the peak", unit="score", ge=-1000.0, le=1000.0)

    def log_weights(self, scores, positive_scores):
        difference = scores.astype(np.float64) - positive_scores.astype(np.float64)[:, None] - self.b
        return -self.a * np.minimum(np.abs(difference), 1e6) ** 2


@dataclass(frozen=True, kw_only=True)
class TriSampler(Picker):
    """Candidates that score like the positive and lie closer to the positive than to the query.

    Drawn without replacement with p proportional to ReLU(s(d+, d-) - s(q, d-)) exp(-(s- - s+)^2 / spread). Query, positive and
    negative then make a triangle that is nearly regular, so the gradient on the document is informative and the draw
    keeps to the positive's side. The paper's spread is 4, made for unbounded dot products: on cosines that factor is almost flat and the
    first one decides. Candidates whose first factor is 0 come last, when nothing else is left. What lies close to the positive
    is also where copies and unlabelled answers lie. d+ is the query's lowest-scored positive.
    """

    key = "trisampler"
    title = "TriSampler: quasi-triangle"
    cost = "low"
    difficulty = "medium"
    is_random = True
    asks_likeness = True
    source = Citation(
        "Yang et al.",
        2024,
        "TriSampler: A Better Negative Sampling Principle for Dense Retrieval",
        "https://arxiv.org/abs/2402.11855",
    )
    spread: float = param(4.0, "divides the squared score difference; smaller = only near the positive's score", ge=1e-6, le=1e6)

    def log_weights(self, scores, positive_scores, likeness):
        difference = scores.astype(np.float64) - positive_scores.astype(np.float64)[:, None]
        law = np.maximum(-(difference**2) / self.spread, FARTHEST)
        excess = likeness.astype(np.float64) - scores
        is_inside = excess > 0
        # Not -inf: a query all of whose candidates lie outside would otherwise train on nothing, unseen.
        return np.where(is_inside, law + np.log(np.where(is_inside, excess, 1.0)), OUTSIDE + law)


PICKERS: tuple[type[Picker], ...] = (Top, Uniform, SimANS, TriSampler)
