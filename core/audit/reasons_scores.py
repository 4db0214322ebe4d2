"""Reasons read off the main model's scores: the candidate stands where positives stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.reason import Reason
from core.audit.rules import above_by, share_of_positive
from core.params import Citation, param
from core.sampling.filters import NV_RETRIEVER


@dataclass(frozen=True, kw_only=True)
class HighScore(Reason):
    """The model finds the candidate close to the query, whatever it thinks of the positive.

    Doubt = s-. It needs no positive, so it also speaks where the label itself is bad. One value must fit every query: broad
    queries have many close documents that do not answer them, and the scale is the model's own (a dot product is no cosine).
    """

    key = "score"
    title = "Scores high"
    short = "s-"
    source = NV_RETRIEVER
    threshold: float = param(0.7, "score from which a candidate is doubted", unit="score", ge=-1000.0, le=1000.0)

    def doubt(self, query_rows, doc_rows, evidence):
        return evidence.scores(evidence.vectors, query_rows, doc_rows)


@dataclass(frozen=True, kw_only=True)
class AbovePositive(Reason):
    """The model scores the candidate above the positive, by a margin.

    Doubt = s- - s+, with s+ the query's lowest-scored positive; at threshold 0 the candidate has overtaken it. Qwen3-Embedding
    drops candidates above s+ + .1, others already those within a margin below. It finds what the model already believes: an
    answer in other words that the model does not understand stays hidden, and a hard true negative is accused.
    """

    key = "margin"
    title = "Above the positive"
    short = "s- - s+"
    spread = 0.05
    source = Citation(
        "Zhang et al.", 2025, "Qwen3 Embedding: Advancing text embedding and reranking through foundation models",
        "https://arxiv.org/abs/2506.05176",
    )  # fmt: skip
    threshold: float = param(0.0, "distance above the positive from which a candidate is doubted", unit="score", ge=-1000.0, le=1000.0)

    def doubt(self, query_rows, doc_rows, evidence):
        own, positive = evidence.vectors, evidence.positive_scores(evidence.vectors, query_rows)
        return above_by(evidence.scores(own, query_rows, doc_rows), positive).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class ShareOfPositive(Reason):
    """The candidate reaches a large share of the positive's score.

    Doubt = 1 + (s- - s+) / |s+|, which is s- / s+ for positive scores. NV-Retriever found .95 the best of its cuts. The share
    adapts to the query; where the positive itself scores badly it accuses nearly everything.
    """

    key = "percentage"
    title = "Share of the positive's score"
    short = "s- / s+"
    spread = 0.05
    source = NV_RETRIEVER
    threshold: float = param(0.95, "share of the positive's score from which a candidate is doubted", ge=-1000.0, le=1000.0)

    def doubt(self, query_rows, doc_rows, evidence):
        own, positive = evidence.vectors, evidence.positive_scores(evidence.vectors, query_rows)
        return share_of_positive(evidence.scores(own, query_rows, doc_rows), positive).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class PositivePercentile(Reason):
    """The candidate scores higher than this share of all labelled positives score.

    Doubt = the empirical distribution function of the training positives' scores, read at s-: at .5 the candidate scores as
    well as the middle positive of the corpus. The threshold means the same for every model and similarity, which an absolute
    cut does not. It knows nothing of the query: easy queries have high scores all over.
    """

    key = "percentile"
    title = "Percentile among the positives"
    short = "percentile"
    spread = 0.15
    source = Citation(
        "de Souza P. Moreira et al.", 2024, "NV-Retriever (cuts calibrated on the positives' scores)", "https://arxiv.org/abs/2407.15831"
    )
    threshold: float = param(0.5, "share of the labelled positives that score no higher than the candidate", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        labels = evidence.training_labels if evidence.training_labels.n_pairs else evidence.corpus.positives
        known = np.sort(evidence.scores(evidence.vectors, *labels.pairs()[:2]))
        if not len(known):
            return np.full(len(query_rows), np.nan, np.float32)
        scores = evidence.scores(evidence.vectors, query_rows, doc_rows)
        return (np.searchsorted(known, scores, "right") / len(known)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class ChooseEachOther(Reason):
    """Query and candidate are nearer to each other than either is to most.

    Doubt = 2 s- - r(q) - r(d): r(q) is the mean score of the query's 10 best documents, r(d) that of the document's 5 best training
    queries (cross-domain similarity local scaling). A document that is near to everything, a hub, is no longer accused for it,
    and a document that another query has a better claim on less so. An overview that truly answers many queries is missed.
    """

    key = "mutual"
    title = "Choose each other"
    short = "mutual"
    source = Citation("Conneau et al.", 2017, "Word translation without parallel data", "https://arxiv.org/abs/1710.04087")
    threshold: float = param(0.15, "how much nearer they are than their neighbours", unit="score", ge=-1000.0, le=1000.0)

    def doubt(self, query_rows, doc_rows, evidence):
        from core.search.exact import top_k

        own = evidence.vectors
        queries, query_index = np.unique(query_rows, return_inverse=True)
        docs, doc_index = np.unique(doc_rows, return_inverse=True)
        asked = evidence.training_labels.query_rows_with_positives()
        asked = asked if len(asked) else np.arange(evidence.corpus.n_queries)
        n_docs, n_queries = min(10, evidence.corpus.n_documents), min(5, len(asked))
        of_queries = top_k(own.queries[queries], own.documents, n_docs, similarity=own.similarity).scores.mean(1)
        of_docs = top_k(own.documents[docs], own.queries[asked], n_queries, similarity=own.similarity).scores.mean(1)
        return 2 * evidence.scores(own, query_rows, doc_rows) - of_queries[query_index] - of_docs[doc_index]
