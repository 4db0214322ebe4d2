"""Where negatives come from: each source ranks documents for queries and can score any pair on its own scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.params import Citation, param
from core.sampling.context import score_pairs_padded
from core.sampling.source import Source, draw_distinct, search_vectors
from core.search.hits import Hits

__all__ = ["SOURCES", "BM25Source", "Dense", "Gold", "RandomCorpus", "Source", "StaticDense", "draw_distinct", "search_vectors"]


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

    def retrieve(self, context, query_rows, depth, rng):
        return search_vectors(context, "current", query_rows, depth)


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

    def retrieve(self, context, query_rows, depth, rng):
        return search_vectors(context, self.trial or "start", query_rows, depth)

    def score(self, context, query_rows, doc_rows):
        return context.vectors(self.trial or "start").score_pairs(query_rows, doc_rows)

    def likeness(self, context, from_rows, doc_rows):
        return context.vectors(self.trial or "start").score_documents(from_rows, doc_rows)


SOURCES: tuple[type[Source], ...] = (RandomCorpus, Gold, BM25Source, Dense, StaticDense)
