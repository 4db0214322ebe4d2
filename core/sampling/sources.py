"""Where negatives come from: each source ranks documents for queries and can score any pair on its own scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.params import Citation, param
from core.sampling.context import score_pairs_padded
from core.sampling.source import Source, draw_distinct, search_vectors
from core.sampling.sources_mined import MINED_SOURCES
from core.search.hits import Hits
from core.search.index_kinds import INDEX_KEYS, make_index

__all__ = [
    "MNS", "SOURCES", "BM25Source", "Dense", "Gold", "Popularity", "RandomCorpus", "Source", "StaticDense", "draw_distinct",
    "search_vectors",
]  # fmt: skip

MNS = Citation(
    "Yang et al.",
    2020,
    "Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations",
    "https://doi.org/10.1145/3366424.3386195",
)


@dataclass(frozen=True, kw_only=True)
class RandomCorpus(Source):
    """Any document of the corpus, all equally likely.

    Drawn anew each epoch, the query's known positives excluded. Most are so unlike the query that the softmax gives
    them almost no weight, so they teach little each; but they are the safest negatives there are, and they keep the
    whole space in order. They fail to teach the fine distinctions between near-misses.
    """

    key = "random"
    title = "Random corpus"
    is_redrawn = True
    source = Citation(
        "Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632"
    )

    def retrieve(self, context, query_rows, depth, rng):
        pool = np.arange(context.corpus.n_documents)
        protected = context.protected
        rows = draw_distinct(
            len(query_rows), depth, pool, lambda index, docs: protected.contains(query_rows[index], docs), rng
        )
        return Hits(rows, self.score(context, query_rows, rows))


@dataclass(frozen=True, kw_only=True)
class Gold(Source):
    """The positives of other training queries, drawn from the whole training set.

    They are texts that answer some question, so they are more alike in kind than random documents; unlike in-batch
    negatives they are not limited to the batch. Documents that are nobody's positive are never seen, and popular
    positives come more often only in the batch, not here: each document counts once.
    """

    key = "gold"
    title = "Gold: positives of others"
    is_redrawn = True
    source = Citation(
        "Karpukhin et al.",
        2020,
        "Dense Passage Retrieval for Open-Domain Question Answering",
        "https://arxiv.org/abs/2004.04906",
    )

    def retrieve(self, context, query_rows, depth, rng):
        _, pool = context.training_pairs
        protected = context.protected
        rows = draw_distinct(
            len(query_rows), depth, pool, lambda index, docs: protected.contains(query_rows[index], docs), rng
        )
        return Hits(rows, self.score(context, query_rows, rows))


@dataclass(frozen=True, kw_only=True)
class Popularity(Source):
    """Documents drawn in proportion to how many training queries they answer.

    In-batch negatives follow this law without being asked: what is often a positive is often in the batch. Drawn outright it
    shows what that does: popular documents are pushed away most, documents that are nobody's positive never, unless smoothing gives them a
    share. Power 0 makes all equal, .75 is word2vec's choice, 1 the batch's own law. Where every document answers one
    query it is no different from gold negatives.
    """

    key = "popularity"
    title = "By popularity"
    is_redrawn = True
    source = MNS
    power: float = param(1.0, "the count of positives is raised to this; 0 = all equally likely", ge=0.0, le=4.0)
    smoothing: float = param(0.0, "added to each document's count, so that nobody's positives are drawn too", ge=0.0, le=1e6)

    def weights(self, context) -> np.ndarray:
        """float64 (C,): what each document's probability is proportional to."""
        _, docs = context.training_pairs
        counts = np.bincount(docs, minlength=context.corpus.n_documents) + self.smoothing
        return counts**self.power

    def retrieve(self, context, query_rows, depth, rng):
        weights = self.weights(context)
        pool = np.flatnonzero(weights)
        protected = context.protected
        rows = draw_distinct(
            len(query_rows), depth, pool, lambda index, docs: protected.contains(query_rows[index], docs), rng, weights[pool]
        )
        return Hits(rows, self.score(context, query_rows, rows))


@dataclass(frozen=True, kw_only=True)
class BM25Source(Source):
    """Documents that share the query's rare words but are not its positive.

    The corpus is searched once with the query text. These are hard for a model that has learned only topics, and
    they stay the same during the whole training. They fail where the words agree because the document is right:
    unlabelled positives share words too.
    """

    key = "bm25"
    title = "BM25"
    cost = "low"
    source = Citation(
        "Karpukhin et al.",
        2020,
        "Dense Passage Retrieval for Open-Domain Question Answering",
        "https://arxiv.org/abs/2004.04906",
    )

    def retrieve(self, context, query_rows, depth, rng):
        return context.bm25.search(context.corpus.query_texts(query_rows), depth)

    def score(self, context, query_rows, doc_rows):
        texts = context.corpus.query_texts(query_rows)
        index = np.arange(len(query_rows))
        return score_pairs_padded(
            lambda position, docs: context.bm25.score_pairs(texts, position, docs), index, doc_rows
        )

    def likeness(self, context, from_rows, doc_rows):
        texts = context.corpus.document_texts(np.maximum(from_rows, 0))
        scores = score_pairs_padded(
            lambda position, docs: context.bm25.score_pairs(texts, position, docs), np.arange(len(from_rows)), doc_rows
        )
        return np.where(from_rows[:, None] >= 0, scores, np.float32(-np.inf))


_INDEX_HELP = "how the nearest documents are found: flat looks at all of them, the others miss some and say which on the Indexes page"
_SETTINGS_HELP = "parameters of the index that differ from its defaults, joined by ';', such as probes=4;lists=64"


@dataclass(frozen=True, kw_only=True)
class Dense(Source):
    """What the model itself ranks highest right now, and should not.

    The corpus is encoded and searched with the model in training; with a schedule that refreshes, this is ANCE. These
    negatives carry the largest gradients, and as the model improves they change with it. They fail where labels are
    incomplete: the best-ranked unlabelled documents are often true answers.
    """

    key = "dense"
    title = "Dense, current model"
    cost = "high"
    difficulty = "hard"
    is_dynamic = True
    source = Citation(
        "Xiong et al.",
        2020,
        "Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text Retrieval",
        "https://arxiv.org/abs/2007.00808",
    )
    index: str = param("flat", _INDEX_HELP, choices=INDEX_KEYS, is_late=True)
    index_settings: str = param("", _SETTINGS_HELP, is_late=True)

    def check(self) -> None:
        make_index(self.index, self.index_settings)

    def retrieve(self, context, query_rows, depth, rng):
        return search_vectors(context, "current", query_rows, depth, make_index(self.index, self.index_settings))


@dataclass(frozen=True, kw_only=True)
class StaticDense(Source):
    """What an earlier model ranks highest: mined once from a finished trial.

    A trained retriever is run over the training queries and its best non-positives are used for the whole of a new
    training. Cheaper than refreshing, harder than BM25 - and stale: once the new model has learned them, they
    teach little more. Without a trial the encoder's start weights are searched.
    """

    key = "static-dense"
    title = "Dense, from a trial"
    cost = "medium"
    difficulty = "medium"
    source = Citation(
        "Gillick et al.", 2019, "Learning Dense Representations for Entity Retrieval", "https://arxiv.org/abs/1909.10506"
    )
    trial: str = param("", "id or folder of the finished trial to search with; empty = the encoder before training")
    index: str = param("flat", _INDEX_HELP, choices=INDEX_KEYS, is_late=True)
    index_settings: str = param("", _SETTINGS_HELP, is_late=True)

    def check(self) -> None:
        make_index(self.index, self.index_settings)

    def retrieve(self, context, query_rows, depth, rng):
        index = make_index(self.index, self.index_settings)
        return search_vectors(context, self.trial or "start", query_rows, depth, index)

    def score(self, context, query_rows, doc_rows):
        return context.vectors(self.trial or "start").score_pairs(query_rows, doc_rows)

    def likeness(self, context, from_rows, doc_rows):
        return context.vectors(self.trial or "start").score_documents(from_rows, doc_rows)


SOURCES: tuple[type[Source], ...] = (RandomCorpus, Gold, Popularity, BM25Source, Dense, StaticDense, *MINED_SOURCES)
