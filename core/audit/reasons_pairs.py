"""Reasons that compare the candidate with what people did label: with the positive, and with the positives of like queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.evidence import largest
from core.audit.reason import Reason
from core.params import Citation, param
from core.sampling.filters import NearDuplicates

SENTENCE_BERT = Citation(
    "Reimers and Gurevych", 2019, "Sentence-BERT: Sentence embeddings using siamese BERT-networks", "https://arxiv.org/abs/1908.10084"
)


@dataclass(frozen=True, kw_only=True)
class CopyOfPositive(Reason):
    """The candidate is a copy of a positive with a few words changed.

    Doubt = the largest Jaccard overlap of word 3-shingles with any known positive of the query, counted exactly. Copies under
    another id are the commonest false negatives that users of miners report. A paraphrase shares no shingles and passes.
    """

    key = "near-duplicate"
    title = "Near-duplicate of a positive"
    short = "copy"
    needs = ()
    source = NearDuplicates.source
    threshold: float = param(0.8, "Jaccard overlap from which a text is a copy", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        beside = evidence.against_positives(query_rows, doc_rows)
        return beside.most(evidence.words.resemblance(beside.docs, beside.positives))


@dataclass(frozen=True, kw_only=True)
class MeansThePositive(Reason):
    """The candidate says nearly the same as the labelled positives, in the main model's eyes.

    Doubt = the cosine between the candidate's vector and a known positive's, the mean over the query's positives: what they have in
    common is the answer. Two texts that say the same answer the same query, however far both lie from it. Texts on one subject lie
    close as well, so facts about the same thing are accused.
    """

    key = "like-positive"
    title = "Means what a positive means"
    short = "~ positive"
    source = SENTENCE_BERT
    threshold: float = param(0.7, "mean cosine to the positives from which a candidate is doubted", ge=-1.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        beside = evidence.against_positives(query_rows, doc_rows)
        return beside.mean(evidence.document_likeness(evidence.vectors, beside.docs, beside.positives))


@dataclass(frozen=True, kw_only=True)
class MeansThePositiveByGuide(Reason):
    """The same, in the eyes of a model that was not trained here.

    Doubt = the mean cosine to the positives by the guide's vectors. Training pulls all positives of one query together and pushes
    its negatives away, false ones too; the guide's view of what two texts have in common is untouched by that.
    """

    key = "like-positive-guide"
    title = "Means what a positive means, by the guide"
    short = "~ by guide"
    needs = ("guide",)
    source = SENTENCE_BERT
    threshold: float = param(0.7, "mean cosine to the positives from which a candidate is doubted", ge=-1.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        beside = evidence.against_positives(query_rows, doc_rows)
        return beside.mean(evidence.document_likeness(evidence.guide, beside.docs, beside.positives))


@dataclass(frozen=True, kw_only=True)
class PositiveOfLikeQuery(Reason):
    """The candidate is a labelled positive of a query that asks nearly the same.

    Doubt = the largest cosine between this query's vector and that of another training query with the candidate among its
    positives; unsaid where it is nobody else's. Labels of one query then complete those of another. Queries on one subject with
    different questions are close, too.
    """

    key = "like-query"
    title = "Positive of a like query"
    short = "like query"
    source = Citation("Wen et al.", 2001, "Clustering user queries of a search engine", "https://doi.org/10.1145/371920.371974")
    threshold: float = param(0.8, "cosine of the two queries from which the candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        pair, others = evidence.labelled_queries(query_rows, doc_rows)
        likeness = evidence.query_likeness(evidence.vectors, query_rows[pair], others)
        return largest(len(query_rows), pair, np.maximum(likeness, 0))


@dataclass(frozen=True, kw_only=True)
class SharesAPositive(Reason):
    """A query that this one shares a positive with has the candidate as a positive.

    Doubt = the largest Jaccard overlap of this query's training positives with those of another query that the candidate is a
    positive of; 0 where they share none, unsaid where nobody labelled it. Two steps over people's own labels, no model asked.
    Documents that answer everything (an overview) tie unrelated queries together; the overlap keeps such ties weak.
    """

    key = "shared-positive"
    title = "Labelled together"
    short = "co-labelled"
    spread = 0.15
    needs = ()
    source = Citation(
        "Beeferman and Berger", 2000, "Agglomerative clustering of a search engine query log", "https://doi.org/10.1145/347090.347176"
    )
    threshold: float = param(0.3, "overlap of the two queries' positives from which the candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        from scipy.sparse import csr_matrix

        from core.audit.evidence_words import paired_sums

        labels = evidence.training_labels
        shape = (labels.n_queries, evidence.corpus.n_documents)
        table = csr_matrix((np.ones(labels.n_pairs, np.float32), labels.doc_rows, labels.indptr), shape=shape)
        pair, others = evidence.labelled_queries(query_rows, doc_rows)
        common = paired_sums(table, query_rows[pair], table, others)
        sizes = labels.n_per_query()
        overlap = common / np.maximum(sizes[query_rows[pair]] + sizes[others] - common, 1)
        return largest(len(query_rows), pair, overlap)
