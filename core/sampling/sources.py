"""Where negatives come from: each source ranks documents for queries and can score any pair on its own scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from core.params import Citation, Piece, param
from core.sampling.context import MiningContext, score_pairs_padded
from core.search.hits import Hits
from core.search.index_kinds import INDEX_KEYS, Index, make_index


class Source(Piece):
    """Base of the sources. ``is_redrawn``: a new draw each epoch; ``is_dynamic``: changes with the model."""

    family = "source"
    is_redrawn: ClassVar[bool] = False
    is_dynamic: ClassVar[bool] = False

    def retrieve(
        self, context: MiningContext, query_rows: np.ndarray, depth: int, rng: np.random.Generator
    ) -> Hits:
        """The first ``depth`` documents for each query, known positives among them where the source ranks them.

        Returns Hits with doc_rows int64 (Q, depth), -1 at the end of short rows; scores on this source's scale.
        """
        raise TypeError(f"{type(self).__name__} retrieves nothing")

    def score(self, context: MiningContext, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 scores, shape of ``doc_rows`` (Q,) or (Q, C), on this source's scale; -inf where -1."""
        return context.vectors("current").score_pairs(query_rows, doc_rows)


def draw_distinct(
    n_queries: int, depth: int, pool: np.ndarray, is_forbidden, rng: np.random.Generator
) -> np.ndarray:
    """int64 (n_queries, depth) entries of ``pool`` drawn uniformly without replacement within a row, -1 padded.

    ``is_forbidden(row_index, values)`` masks values that a row must not take. Sequential rejection: an entry that is
    forbidden or repeats an earlier one of its row is drawn again, which is exactly sampling without replacement.
    """
    pool = np.unique(pool)
    depth_drawn = min(depth, len(pool))
    drawn = np.full((n_queries, depth), -1, np.int64)
    if depth_drawn == 0 or n_queries == 0:
        return drawn
    if len(pool) < 4 * depth:
        for row in range(n_queries):
            allowed = pool[~is_forbidden(np.full(len(pool), row), pool)]
            taken = rng.permutation(allowed)[:depth]
            drawn[row, : len(taken)] = taken
        return drawn
    drawn = pool[rng.integers(0, len(pool), (n_queries, depth))]
    rows = np.broadcast_to(np.arange(n_queries)[:, None], drawn.shape)
    is_bad = is_forbidden(rows, drawn) | _repeats(drawn)
    for _ in range(64):
        if not is_bad.any():
            return drawn
        drawn[is_bad] = pool[rng.integers(0, len(pool), int(is_bad.sum()))]
        bad_rows = np.flatnonzero(is_bad.any(1))
        rows = np.broadcast_to(bad_rows[:, None], (len(bad_rows), depth))
        is_bad[bad_rows] = is_forbidden(rows, drawn[bad_rows]) | _repeats(drawn[bad_rows])
    # A row that is still not filled has nearly everything forbidden: finish it by a plain permutation.
    for row in np.flatnonzero(is_bad.any(1)):
        allowed = pool[~is_forbidden(np.full(len(pool), row), pool)]
        taken = rng.permutation(allowed)[:depth]
        drawn[row] = -1
        drawn[row, : len(taken)] = taken
    return drawn


def _repeats(values: np.ndarray) -> np.ndarray:
    """True where an entry equals one to its left in the same row."""
    order = np.argsort(values, axis=1, kind="stable")
    in_order = np.take_along_axis(values, order, 1)
    is_repeat = np.zeros_like(values, bool)
    is_repeat[:, 1:] = in_order[:, 1:] == in_order[:, :-1]
    result = np.empty_like(is_repeat)
    np.put_along_axis(result, order, is_repeat, 1)
    return result


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


_INDEX_HELP = "how the nearest documents are found: flat looks at all of them, the others miss some and say which on the Indexes page"
_SETTINGS_HELP = "parameters of the index that differ from its defaults, joined by ';', such as probes=4;lists=64"


def search_vectors(
    context: MiningContext, which: str, query_rows: np.ndarray, depth: int, index: Index | None = None
) -> Hits:
    """Dense retrieval by one model of the context: exact, or what an approximate ``index`` finds."""
    from core.search.exact import top_k

    vectors = context.vectors(which)
    if index is None or index.key == "flat":
        return top_k(vectors.queries[query_rows], vectors.documents, depth, similarity=vectors.similarity)
    return context.built_index(vectors, index).search(vectors.queries[query_rows], depth)


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


SOURCES: tuple[type[Source], ...] = (RandomCorpus, Gold, BM25Source, Dense, StaticDense)
