"""Rules that refuse candidates suspected to be unlabelled positives. Sampling and filtering compose freely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.errors import ParameterError
from core.params import Citation, Piece, param
from core.sampling.context import MiningContext
from core.sampling.crossed import CROSS_HELP, AsksCross

if TYPE_CHECKING:
    from core.sampling.sources import Source

NV_RETRIEVER = Citation(
    "Moreira et al.",
    2024,
    "NV-Retriever: Improving text embedding models with effective hard-negative mining",
    "https://arxiv.org/abs/2407.15831",
)
ROCKETQA = Citation(
    "Qu et al.",
    2021,
    "RocketQA: An Optimized Training Approach to Dense Passage Retrieval for Open-Domain Question Answering",
    "https://arxiv.org/abs/2010.08191",
)


@dataclass(frozen=True)
class Looked:
    """One block of candidates as filters and pickers see it.

    ``query_rows`` int64 (Q,); ``doc_rows`` int64 (Q, C), -1 = none; ``ranks`` int32 (Q, C), 1-based, raw;
    ``scores`` float32 (Q, C) on the source's scale, -inf where none; ``positive_scores`` float32 (Q,): the lowest score
    that the same source gives to a positive of the query, so that a cut protects every one of them.
    ``source``: who scored, for rules that ask it about other pairs; None where there is none.
    """

    query_rows: np.ndarray
    doc_rows: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray
    positive_scores: np.ndarray
    source: Source | None = None


class Filter(Piece):
    """Base of the filters."""

    family = "filter"

    @property
    def models(self) -> tuple[str, ...]:
        """Models other than the current one that :meth:`keep` asks for at every mining: "start", trials."""
        return ()

    def keep(self, context: MiningContext, looked: Looked) -> np.ndarray:
        """bool (Q, C): False where the rule refuses the candidate."""
        raise TypeError(f"{type(self).__name__} filters nothing")


@dataclass(frozen=True, kw_only=True)
class NearDuplicates(Filter):
    """A near copy of a positive is not a negative.

    Word shingles of three tokens are compared exactly; a document whose Jaccard overlap with any known positive of the
    query reaches the threshold is refused. Users of every miner report copies of the positive under another id.
    It does not see paraphrases, which share the meaning but not the words.
    """

    key = "near-duplicates"
    title = "Near-duplicates of the positive"
    cost = "low"
    source = Citation(
        "Broder", 1997, "On the resemblance and containment of documents", "https://doi.org/10.1109/SEQUEN.1997.666900"
    )
    threshold: float = param(0.8, "Jaccard overlap of word 3-shingles from which a text is a copy", ge=0.1, le=1.0)

    def keep(self, context, looked):
        twins = context.twins(self.threshold)
        return ~twins.contains(looked.query_rows[:, None], looked.doc_rows)


@dataclass(frozen=True, kw_only=True)
class AbsoluteCut(Filter):
    """A candidate that scores above a fixed value is refused.

    Keeps s- < c. Simple, but one value must fit every query: those whose positive itself scores low lose nothing,
    those with many close documents lose all. The value is on the source's own scale (BM25 scores are not cosines).
    """

    key = "absolute"
    title = "Absolute cut"
    source = NV_RETRIEVER
    maximum: float = param(0.7, "largest score that may stay", unit="score", ge=-1000.0, le=1000.0)

    def keep(self, context, looked):
        return looked.scores < self.maximum


@dataclass(frozen=True, kw_only=True)
class MarginCut(Filter):
    """A candidate must score below the positive by a margin.

    Keeps s- <= s+ - m, with s+ the lowest-scored positive of the query. It adapts to the query; the same margin means
    less where scores spread more.
    """

    key = "margin"
    title = "Margin below the positive"
    source = NV_RETRIEVER
    margin: float = param(0.05, "distance that must lie between the positive and a negative", unit="score", ge=0.0, le=1000.0)

    def keep(self, context, looked):
        return looked.scores <= (looked.positive_scores - np.float32(self.margin))[:, None]


@dataclass(frozen=True, kw_only=True)
class PercentageCut(Filter):
    """A candidate must score below a share of the positive's score.

    Keeps s- <= s+ - |s+| (1 - r): for positive scores s- <= r s+, and still a stricter rule where scores are negative.
    NV-Retriever found r = .95 best among its cuts. A badly scored positive refuses everything; then fewer negatives are
    returned, and the table says so.
    """

    key = "percentage"
    title = "Percentage of the positive"
    source = NV_RETRIEVER
    ratio: float = param(0.95, "share of the positive's score that a negative may reach", ge=0.0, le=1.0)

    def keep(self, context, looked):
        positive = looked.positive_scores
        return looked.scores <= (positive - np.abs(positive) * np.float32(1 - self.ratio))[:, None]


@dataclass(frozen=True, kw_only=True)
class CrossEncoderCut(AsksCross, Filter):
    """A candidate that a cross-encoder holds for relevant is refused.

    Query and document are read together by a model trained on the corpus's own labels, which tells a paraphrase of the answer
    from a near-miss better than the dual encoder that found it; a pair is scored by a network that never saw its query. Keeps
    p < threshold. RocketQA keeps only p < .1; .5, what is likelier relevant than not, leaves more of the near-misses, which teach
    most. On sample:lab's held-out labels .5 refuses 85 % of the positives and 6 % of the drawn negatives, .1 refuses 96 % and 16 %.
    It costs seconds of training, once a corpus. It fails where labels are few or wrong: it learns from the same labels.
    """

    key = "cross-encoder"
    title = "Cross-encoder cut"
    cost = "medium"
    difficulty = "medium"
    source = ROCKETQA
    threshold: float = param(0.5, "probability of being relevant from which a candidate is refused", ge=0.0, le=1.0)
    model: str = param("", CROSS_HELP)

    def keep(self, context, looked):
        if not self.cross(context).is_trained:
            return np.ones(looked.doc_rows.shape, bool)
        return (self.relevance(context, looked.query_rows, looked.doc_rows) < self.threshold) | (looked.doc_rows < 0)


@dataclass(frozen=True, kw_only=True)
class PercentileCut(AsksCross, Filter):
    """A candidate that scores like the corpus's labelled positives is refused.

    F(s), the share of the training positives that score no higher than s, is read off the labels by the same source (or by the
    cross-encoder); keeps F(s-) < percentile. So the threshold is calibrated: .1 means that nine positives in ten lie above
    whatever is kept, whatever the scale, the model and the moment. Unlike the cuts against the query's own positive it survives a badly
    scored label; but it does not adapt to the query, and a query with many close documents loses all of them.
    """

    key = "percentile"
    title = "Percentile of the positives"
    cost = "low"
    source = NV_RETRIEVER
    percentile: float = param(0.25, "share of the training positives that may score no higher than a negative", ge=0.0, le=1.0)
    by: str = param("source", "whose scores: the lane's own source, or the cross-encoder", choices=("source", "cross-encoder"))
    model: str = param("", CROSS_HELP)

    @property
    def asks_cross(self):
        return self.by == "cross-encoder"

    def keep(self, context, looked):
        query_rows, doc_rows = context.training_pairs
        if self.asks_cross:
            known = self.relevance(context, query_rows, doc_rows)
            scores = self.relevance(context, looked.query_rows, looked.doc_rows)
        else:
            known, scores = looked.source.score(context, query_rows, doc_rows), looked.scores
        return share_below(known, scores) < self.percentile


def share_below(known: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """F(scores), float64 of their shape: the share of ``known`` (N,) that is no higher; 0 everywhere where nothing is known."""
    return np.searchsorted(np.sort(known), scores, "right") / max(len(known), 1)


@dataclass(frozen=True, kw_only=True)
class Consensus(Filter):
    """A candidate that several detectors rank above the positive is refused.

    BM25, the encoder before training, the model as it is now and any finished trials each vote: does the candidate score above the
    query's lowest-scored positive? From the given share of the votes on it is refused. Their errors differ - words fool one, topics
    another, the training's own drift a third - so what most of them believe is less likely an accident, and one judge alone refuses
    nothing. Where all read the same words they err together: a near-miss in the very words of the question is refused by all.
    """

    key = "consensus"
    title = "Consensus of detectors"
    cost = "low"
    difficulty = "medium"
    source = Citation("Brodley and Friedl", 1999, "Identifying Mislabeled Training Data", "https://arxiv.org/abs/1106.0219")
    share: float = param(0.66, "share of the detectors above the positive from which a candidate is refused", ge=0.0, le=1.0)
    bm25: bool = param(True, "BM25 votes")
    start: bool = param(True, "the encoder before training votes")
    current: bool = param(True, "the model as it is now votes")
    trials: str = param("", "ids or folders of finished trials that vote, with commas between; best such that differ in their seed")

    def check(self) -> None:
        if not (self.bm25 or self.start or self.current or self._trials):
            raise ParameterError("Consensus needs a detector: BM25, the encoder before training, the current model or a trial.")

    @property
    def _trials(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for part in self.trials.split(",") if (name := part.strip())))

    @property
    def models(self):
        return (*(("start",) if self.start else ()), *self._trials)

    def keep(self, context, looked):
        return self.votes(context, looked).mean(0) < self.share

    def votes(self, context: MiningContext, looked: Looked) -> np.ndarray:
        """bool (V, Q, C): what each detector, in the order of the parameters, ranks above the query's lowest-scored positive."""
        from core.sampling.mine import lowest_positive
        from core.sampling.sources import BM25Source

        scorers = [BM25Source().score] if self.bm25 else []
        for name in (*self.models[: self.start], *(("current",) if self.current else ()), *self._trials):
            vectors = context.vectors(name)
            scorers.append(lambda context, queries, docs, vectors=vectors: vectors.score_pairs(queries, docs))
        found = []
        for score in scorers:
            _, positive = lowest_positive(score, context, looked.query_rows)
            found.append(score(context, looked.query_rows, looked.doc_rows) > positive[:, None])
        return np.stack(found)


FILTERS: tuple[type[Filter], ...] = (
    NearDuplicates, AbsoluteCut, MarginCut, PercentageCut, CrossEncoderCut, PercentileCut, Consensus,
)  # fmt: skip
