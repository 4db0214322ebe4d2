"""Positives from queries: BM25's ranking taught to a dense model, and queries made richer by their cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import ParameterError
from core.params import Citation, param
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.positives_extract import static_encoder
from core.sampling.text_units import STOP_WORDS, sentences
from core.search.words import tokenize

#: The split that keeps the labels of a corpus whose training split is another one's find, so that they stay known.
LABELLED = "train (labels)"


def open_queries(corpus: Corpus) -> np.ndarray:
    """Rows of the queries that evaluate nothing: all but those with a judgement in another split than train; int64, ascending."""
    held_out = [table.pairs()[0] for name, table in corpus.splits.items() if name not in ("train", LABELLED)]
    return np.setdiff1d(np.arange(corpus.n_queries), np.concatenate(held_out) if held_out else [])


@dataclass(frozen=True, kw_only=True)
class SparLambda(PositiveBuilder):
    """What BM25 ranks first is the positive: a dense model learns to imitate a lexical one.

    How: every query is searched with BM25 once; of its first fifty the ten best are positives, one drawn each epoch, and
    the last five hard negatives. No label is read: queries are those of the corpus that are not held out, or, where
    there are none, sentences of its documents. The result is SPAR's Lambda: it matches rare words that a dense model
    blurs. To have both, join its vectors with another model's: [base; w Lambda] scores s_base + w s_Lambda
    (`negspace compare BASE LAMBDA --joined`).

    Fails as a retriever of its own: it inherits BM25's blindness to other words for the same thing. With fewer than fifty
    hits the hard negatives are the last of what there is. The paper trains one Lambda on questions, one on sentences.
    """

    key = "spar-lambda"
    title = "SPAR Lambda: BM25 as teacher"
    cost = "low"
    difficulty = "medium"
    source = Citation(
        "Chen et al.",
        2022,
        "Salient Phrase Aware Dense Retrieval: Can a Dense Retriever Imitate a Sparse One?",
        "https://arxiv.org/abs/2110.06918",
    )
    ask: str = param("queries", "what BM25 is asked with", choices=("queries", "sentences"))
    depth: int = param(50, "ranks of BM25 that are looked at", unit="ranks", ge=2, le=1000)
    n_positives: int = param(10, "first ranks that are positives", unit="ranks", ge=1, le=999)
    n_negatives: int = param(5, "last ranks that are hard negatives", unit="ranks", ge=0, le=100)

    def check(self):
        if self.depth < self.n_positives + self.n_negatives:
            raise ParameterError(
                f"SparLambda.depth must be >= n_positives + n_negatives; got {self.depth} < {self.n_positives} + {self.n_negatives}."
            )

    def lacks(self, corpus, recipe=None):
        if self.ask == "queries" and not len(open_queries(corpus)):
            return f"{self.title}: every query of this corpus is held out. Set 'ask' to sentences, so that the documents give the queries."
        return ""

    def read(self, context):
        corpus = context.corpus
        if self.ask == "queries":
            rows = open_queries(corpus)
            texts = corpus.query_texts(rows)
        else:
            texts = [text[a:b] for text in corpus.documents["text"].to_pylist() for a, b in sentences(text)[:1]]
            rows = np.full(len(texts), -1, np.int64)
        hits = context.bm25.search(texts, self.depth).doc_rows if texts else np.empty((0, self.depth), np.int64)
        n_hits = (hits >= 0).sum(1)
        kept = np.flatnonzero(n_hits > 0)
        first = hits[kept, : self.n_positives]
        last = np.full((len(kept), self.n_negatives), -1, np.int64)
        for i, q in enumerate(kept):
            tail = hits[q, max(self.n_positives, n_hits[q] - self.n_negatives) : n_hits[q]]
            last[i, : len(tail)] = tail
        return [texts[i] for i in kept], rows[kept], first, last

    def draw(self, material, rng):
        texts, rows, first, last = material
        chosen = (rng.random(len(texts)) * (first >= 0).sum(1)).astype(np.int64)
        positives = first[np.arange(len(texts)), chosen] if len(texts) else np.empty(0, np.int64)
        return MadePairs(texts, positives, protected=first, negative_rows=last, query_rows=rows)


@dataclass(frozen=True)
class Clusters:
    """Training pairs and the clusters of their queries; ``terms``: the words that mark each cluster, best first."""

    query_rows: np.ndarray
    doc_rows: np.ndarray
    texts: dict[int, str]
    cluster: dict[int, int]
    members: list[np.ndarray]
    terms: list[list[str]]
    protected: np.ndarray


@dataclass(frozen=True, kw_only=True)
class QueryClusters(PositiveBuilder):
    """A labelled query is made richer by words, or by a sibling, of its cluster.

    How: the training queries are clustered by their untrained static vectors (spherical k-means). Each epoch a labelled pair is
    kept as it is or, with a probability, its query gets some of the words that mark its cluster and that it lacks; or the
    text of another query of the cluster behind its own. The positive stays. More wordings lead to the same document,
    which helps most where a document has one short query.

    Fails where clusters are mixed: words of another need pull the document towards queries it does not answer. Uses the training
    labels, unlike its neighbours here. The survey names the idea and no recipe; rates and weights are ours: a word
    marks a cluster by its count there times the logarithm of its rarity among all training queries.
    """

    key = "query-clusters"
    title = "Query augmentation by clusters"
    cost = "low"
    difficulty = "medium"
    uses_labels = True
    source = Citation(
        "Wischounig, Abdallah and Jatowt", 2026, "Negative Sampling Techniques in Dense Retrieval: A Survey", "https://arxiv.org/abs/2603.18005"
    )
    way: str = param("terms", "what is added", choices=("terms", "sibling"))
    probability: float = param(0.5, "probability that a pair's query is augmented in an epoch", ge=0.0, le=1.0)
    n_terms: int = param(3, "words added", unit="words", ge=1, le=50)
    size: int = param(8, "queries in a cluster, on average", unit="queries", ge=2, le=10_000)

    def read(self, context):
        query_rows, doc_rows = context.training_pairs
        distinct, position = np.unique(query_rows, return_inverse=True)
        texts = context.corpus.query_texts(distinct)
        labels = _clusters(static_encoder()(texts), max(1, round(len(distinct) / self.size)))
        members = [distinct[labels == c] for c in range(int(labels.max(initial=-1)) + 1)]
        by_row = dict(zip(distinct.tolist(), texts, strict=True))
        return Clusters(
            query_rows,
            doc_rows,
            by_row,
            dict(zip(distinct.tolist(), labels.tolist(), strict=True)),
            members,
            cluster_terms([[by_row[row] for row in own.tolist()] for own in members]),
            context.protected.padded(distinct)[position.reshape(-1)],
        )

    def draw(self, material, rng):
        queries = []
        for row in material.query_rows.tolist():
            text, cluster = material.texts[row], material.cluster[row]
            if rng.random() < self.probability:
                text = f"{text} {self._addition(material, row, cluster, rng)}".strip()
            queries.append(text)
        return MadePairs(queries, material.doc_rows, protected=material.protected, query_rows=material.query_rows)

    def _addition(self, material: Clusters, row: int, cluster: int, rng: np.random.Generator) -> str:
        if self.way == "sibling":
            siblings = material.members[cluster][material.members[cluster] != row]
            return material.texts[int(siblings[rng.integers(len(siblings))])] if len(siblings) else ""
        own = set(tokenize(material.texts[row]))
        terms = [term for term in material.terms[cluster] if term not in own][: 3 * self.n_terms]
        return " ".join(terms[i] for i in sorted(rng.permutation(len(terms))[: self.n_terms]))


def cluster_terms(clusters: list[list[str]]) -> list[list[str]]:
    """The words of each cluster's texts by count there times log(n / document frequency), largest first, ties by word; no stop words."""
    bags = [[set(tokenize(text)) - STOP_WORDS for text in own] for own in clusters]
    n = sum(map(len, bags))
    frequency = Counter(word for own in bags for bag in own for word in bag)
    found = []
    for own in bags:
        counts = Counter(word for bag in own for word in bag)
        weight = {word: count * np.log(n / frequency[word]) for word, count in counts.items()}
        found.append(sorted((word for word in weight if weight[word] > 0), key=lambda word: (-weight[word], word)))
    return found


def _clusters(vectors: np.ndarray, k: int) -> np.ndarray:
    """The cluster of each vector, int64 (N,), numbered without a gap; always the same for the same vectors."""
    from core.search.kmeans import k_means

    if not len(vectors):
        return np.empty(0, np.int64)
    labels, _ = k_means(vectors, min(k, len(vectors)), np.random.default_rng(0), is_spherical=True)
    return np.unique(labels, return_inverse=True)[1].reshape(-1)
