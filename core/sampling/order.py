"""Which training pairs share a batch: any, or those about one topic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.params import Citation, Piece, param
from core.sampling.context import MiningContext

CLUSTERS_HELP = "clusters of the training pairs; 0 = so many that one holds about two batches"
TRIAL_HELP = "id or folder of the finished trial whose vectors are clustered; empty = the encoder before training"


class Order(Piece):
    """Base of the orders. Every pair comes once in an epoch, in batches of equal size but for the last."""

    family = "order"

    def groups(
        self, context: MiningContext, query_rows: np.ndarray, positive_rows: np.ndarray, size: int, rng: np.random.Generator
    ) -> np.ndarray | None:
        """int64 (N,) group of each training pair, made once before the first step; None = there are none.

        ``size``: pairs in a batch. The context's ``"start"`` vectors are those of the model before its first step.
        """
        return None

    def arrange(self, groups: np.ndarray | None, n: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """int64 (n,): the pairs in the order of one epoch; each ``size`` of them in a row are a batch."""
        return rng.permutation(n) if groups is None else batches_of_groups(groups, size, rng)


@dataclass(frozen=True, kw_only=True)
class Shuffled(Order):
    """Any pairs meet in a batch, drawn anew each epoch.

    The negatives of a batch are random answers: easy, and safe, because two random queries seldom share an answer.
    """

    key = "shuffled"
    title = "Shuffled"
    source = Citation(
        "Karpukhin et al.", 2020, "Dense Passage Retrieval for Open-Domain Question Answering", "https://arxiv.org/abs/2004.04906"
    )


@dataclass(frozen=True, kw_only=True)
class TopicAware(Order):
    """The queries of a batch come from one topic, so that the batch's own negatives are hard.

    The training queries are clustered once by k-means of their vectors (as the similarity sees them), before the first step;
    each batch is drawn from one cluster. Nothing is mined and nothing searched. TAS-B draws clusters and queries at random for
    each batch; here every pair still comes once in an epoch: what is left of a cluster after its full batches fills batches with
    the rest of other clusters. It fails where clusters are smaller than a batch, and where labels are incomplete: queries about
    one topic answer each other. On sample:lab, in batches of 32 by the untrained encoder, 4.8 % of the free negatives score at or
    above the positive instead of 1.7 %, and .16 % are answers by the truth instead of .02 %.
    """

    key = "topic-aware"
    title = "Topic-aware batches"
    cost = "low"
    difficulty = "medium"
    source = Citation(
        "Hofstätter et al.",
        2021,
        "Efficiently Teaching an Effective Dense Retriever with Balanced Topic Aware Sampling",
        "https://arxiv.org/abs/2104.06967",
    )
    clusters: int = param(0, CLUSTERS_HELP, unit="clusters", ge=0, le=10_000)
    trial: str = param("", TRIAL_HELP)

    def groups(self, context, query_rows, positive_rows, size, rng):
        from core.search.kmeans import k_means

        distinct, place = np.unique(query_rows, return_inverse=True)
        vectors = context.vectors(self.trial or "start")
        rows = vectors.queries[distinct]
        if vectors.similarity == "cosine":  # as the model compares them: lengths would make one large cluster and some of odd ones
            rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
        k = n_clusters(self.clusters, len(distinct), len(query_rows), size)
        return k_means(rows, k, rng)[0][place.reshape(-1)]


@dataclass(frozen=True, kw_only=True)
class Clustered(Order):
    """Each batch stays inside one cluster of the training data, found by the direction of its vectors.

    Spherical k-means of the pairs' documents (or of their queries; the paper tried both, with ten clusters), then batches as in
    topic-aware sampling. Its author reads it as TAS-B and ANCE in one picture: what lies close together is each other's hard
    negative. The more and the smaller the clusters, the harder the batch, and the likelier that it holds a query's
    unlabelled answer; a rare topic fills no batch of its own. On sample:lab, in batches of 32 by the untrained encoder, 4.5 % of
    the free negatives score at or above the positive instead of 1.7 %, and .20 % are answers by the truth instead of .02 %.
    """

    key = "clustered"
    title = "Clustered batches"
    cost = "low"
    difficulty = "medium"
    source = Citation(
        "Merrick", 2024, "Embedding And Clustering Your Data Can Improve Contrastive Pretraining", "https://arxiv.org/abs/2407.18887"
    )
    of: str = param("documents", "whose vectors are clustered", choices=("documents", "queries"))
    clusters: int = param(0, CLUSTERS_HELP, unit="clusters", ge=0, le=10_000)
    trial: str = param("", TRIAL_HELP)

    def groups(self, context, query_rows, positive_rows, size, rng):
        from core.search.kmeans import k_means

        vectors = context.vectors(self.trial or "start")
        rows, table = (positive_rows, vectors.documents) if self.of == "documents" else (query_rows, vectors.queries)
        distinct, place = np.unique(rows, return_inverse=True)
        k = n_clusters(self.clusters, len(distinct), len(rows), size)
        return k_means(table[distinct], k, rng, is_spherical=True)[0][place.reshape(-1)]


def n_clusters(asked: int, n_distinct: int, n_pairs: int, size: int) -> int:
    """The clusters asked for; for 0 as many as hold two batches each, at least two. Never more than there are vectors."""
    return min(asked or max(2, round(n_pairs / (2 * size))), n_distinct)


def batches_of_groups(groups: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """int64 (N,): positions in batches of ``size``, each of one group as far as the groups' sizes allow; the short batch is last.

    Every group is shuffled and cut into full batches. What is left of the groups follows one another, in random order of the
    groups, and is cut the same way, so that a mixed batch holds few groups. Full batches come in random order.
    """
    shuffled = rng.permutation(len(groups))
    in_groups = shuffled[np.argsort(groups[shuffled], kind="stable")]
    ends = np.flatnonzero(np.diff(groups[in_groups])) + 1
    stretches = np.split(in_groups, ends)
    full = [stretch[: len(stretch) // size * size] for stretch in stretches]
    rest = [stretches[i][len(full[i]) :] for i in rng.permutation(len(stretches))]
    everything = np.concatenate([*full, *rest])
    n_full = len(everything) // size
    batches = everything[: n_full * size].reshape(n_full, size)[rng.permutation(n_full)]
    return np.concatenate([batches.reshape(-1), everything[n_full * size :]])


def share_of_one_group(groups: np.ndarray, order: np.ndarray, size: int) -> float:
    """Share of an epoch's batches whose pairs are all of one group."""
    batches = [groups[order[first : first + size]] for first in range(0, len(order), size)]
    return float(np.mean([(batch == batch[0]).all() for batch in batches])) if batches else 0.0


ORDERS: tuple[type[Order], ...] = (Shuffled, TopicAware, Clustered)
