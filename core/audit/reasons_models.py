"""Reasons that ask somebody else: a cross-encoder, a guide, several sources, other trials, the training's own history."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.reason import Reason
from core.audit.rules import above_by
from core.params import Citation, param

ROCKETQA = Citation(
    "Qu et al.", 2020, "RocketQA: An optimized training approach to dense passage retrieval", "https://arxiv.org/abs/2010.08191"
)
CONSENSUS = Citation(
    "Brodley and Friedl", 1999, "Identifying mislabeled training data", "https://arxiv.org/abs/1106.0219"
)


@dataclass(frozen=True, kw_only=True)
class CrossEncoderSays(Reason):
    """A model that reads query and document together thinks that the document answers.

    Doubt = its calibrated probability. RocketQA keeps as negatives only what its cross-encoder gives less than .1, and takes
    what it gives more than .9 as a positive. It sees word pairs that two separate vectors cannot; trained on the same labels,
    it repeats their blind spots. Scores come from folds that never saw the query.
    """

    key = "cross-encoder"
    title = "Cross-encoder says relevant"
    short = "cross p"
    spread = 0.15
    cost = "medium"
    needs = ("cross",)
    source = ROCKETQA
    threshold: float = param(0.75, "probability from which a candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        found = evidence.once("cross", query_rows, doc_rows, lambda: evidence.cross.probabilities(query_rows, doc_rows))
        return np.asarray(found, np.float32)


@dataclass(frozen=True, kw_only=True)
class GuideDisagrees(Reason):
    """Another model scores the candidate above the positive.

    Doubt = guide(q, d-) - guide(q, d+), the lowest positive. GISTEmbed masks every pair that its guide scores above the positive
    minus a margin. Here the guide is the encoder before any training, or another trial: it was not pushed away from this
    candidate. A guide that is weak on the corpus' subject accuses at random.
    """

    key = "guide"
    title = "Guide model disagrees"
    short = "guide"
    spread = 0.05
    cost = "low"
    needs = ("guide",)
    source = Citation(
        "Solatorio", 2024, "GISTEmbed: Guided in-sample selection of training negatives for text embedding fine-tuning",
        "https://arxiv.org/abs/2402.16829",
    )  # fmt: skip
    threshold: float = param(0.0, "distance above the positive, by the guide, from which a candidate is doubted", unit="score",
                             ge=-1000.0, le=1000.0)  # fmt: skip

    def doubt(self, query_rows, doc_rows, evidence):
        guide = evidence.guide
        return above_by(evidence.scores(guide, query_rows, doc_rows), evidence.positive_scores(guide, query_rows)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class SourcesAgree(Reason):
    """Several ways of searching rank the candidate above the positive.

    Doubt = the share of BM25, the guide and the main model that score it at least as high as the query's lowest positive.
    Their errors differ: words fool BM25, topics fool an untrained encoder. What fools all three - the right words about the
    right topic, and yet no answer - is accused by all three.
    """

    key = "sources"
    title = "Sources agree"
    short = "sources"
    spread = 0.2
    source = CONSENSUS
    threshold: float = param(0.66, "share of the sources that place it above the positive", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        votes = [above_by(evidence.lexical_scores(query_rows, doc_rows), evidence.lexical_positive_scores(query_rows))]
        for vectors in (evidence.vectors, evidence.guide):
            if vectors is not None:
                votes.append(above_by(evidence.scores(vectors, query_rows, doc_rows), evidence.positive_scores(vectors, query_rows)))
        return _share_above(votes)


@dataclass(frozen=True, kw_only=True)
class TrialsAgree(Reason):
    """Models of other trials score the candidate above the positive, too.

    Doubt = the share of the other trials that do. Trials that differ only in their seed make different accidental errors, so
    what all of them believe is less likely an accident. They share the labels and the encoder, and with them the same blindness.
    """

    key = "trials"
    title = "Other trials agree"
    short = "trials"
    spread = 0.25
    cost = "high"
    needs = ("model", "trials")
    source = CONSENSUS
    threshold: float = param(0.5, "share of the other trials that place it above the positive", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        return _share_above(
            [
                above_by(evidence.scores(vectors, query_rows, doc_rows), evidence.positive_scores(vectors, query_rows))
                for vectors in evidence.others
            ]
        )


@dataclass(frozen=True, kw_only=True)
class WillNotFall(Reason):
    """It was trained against for long, but its score would not fall.

    Each pair's fall is its score when it was first mined minus its score by the finished model. A line through all pairs that
    were trained against gives the fall to expect from the pull on them (uses x d loss / d score). Doubt = how much less this
    one fell, in standard deviations: the positives keep lifting what resembles them. NaN where it was never trained against.
    Short trials have little history, and pairs that are pulled once say next to nothing.
    """

    key = "history"
    title = "Will not fall"
    short = "won't fall"
    spread = 0.5
    needs = ("model", "history")
    source = Citation(
        "Toneva et al.", 2018, "An empirical study of example forgetting during deep neural network learning", "https://arxiv.org/abs/1812.05159"
    )
    threshold: float = param(1.0, "standard deviations less than expected that the score fell", ge=-100.0, le=100.0)

    def doubt(self, query_rows, doc_rows, evidence):
        queries, docs, resistance = evidence.once("history", _NOTHING, _NOTHING, lambda: resistance_of(evidence))
        stride = evidence.corpus.n_documents
        keys, wanted = queries * stride + docs, query_rows * stride + doc_rows
        if not len(keys):
            return np.full(len(wanted), np.nan, np.float32)
        place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        return np.where(keys[place] == wanted, resistance[place], np.nan).astype(np.float32)


_NOTHING = np.empty(0, np.int64)


def resistance_of(evidence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(query rows, document rows, resistance) of every pair that the trial trained against, ascending.

    Resistance: (expected fall - fall) / standard deviation of the residuals, the expectation linear in log(1 + pull).
    """
    from core.audit.trial_figures import pairs_of

    table = evidence.table
    pairs = pairs_of(table)
    stride = int(table.doc_row.max(initial=0)) + 1
    keys = table.query_row.astype(np.int64) * stride + table.doc_row
    first = np.unique(keys, return_index=True)[1]  # rows stand in the order of the tables
    is_told = (pairs.times_used > 0) & ~np.isnan(table.score[first])
    queries, docs, first = pairs.query_row[is_told], pairs.doc_row[is_told], first[is_told]
    fall = table.score[first].astype(np.float64) - evidence.vectors.score_pairs(queries, docs)
    pull = np.log1p(np.maximum(pairs.pull[is_told], 0))  # below 0: a teacher had it drawn closer
    if not len(fall):
        return queries, docs, fall
    slope = ((pull - pull.mean()) * (fall - fall.mean())).sum() / max(((pull - pull.mean()) ** 2).sum(), 1e-12)
    residual = fall.mean() + slope * (pull - pull.mean()) - fall
    return queries, docs, residual / max(residual.std(), 1e-12)


def _share_above(distances: list[np.ndarray]) -> np.ndarray:
    """float32 (N,): the share of the rows that are 0 or more; NaN where one of them cannot be said."""
    stacked = np.stack(distances)
    return np.where(np.isnan(stacked).any(0), np.nan, (stacked >= 0).mean(0)).astype(np.float32)
