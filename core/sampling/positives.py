"""Where the pairs (query, positive) come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.params import Citation, param
from core.sampling.positive_base import MadePairs, PositiveBuilder, Positives
from core.sampling.positives_extract import SalientExtract, SalientSpans, TitleAsQuery
from core.sampling.positives_log import Clicked, HardPositives
from core.sampling.positives_passages import NeighbouringPieces, RecurringSpans
from core.sampling.positives_queries import QueryClusters, SparLambda
from core.sampling.positives_spans import ContiguousSpans, InverseCloze, RandomCrops, WordNoise
from core.sampling.positives_written import GeneratedQueries, Paraphrases

__all__ = ["POSITIVES", "Labelled", "MadePairs", "PositiveBuilder", "Positives"]


@dataclass(frozen=True, kw_only=True)
class Labelled(Positives):
    """A document judged relevant to the query is pulled towards it.

    Every judged pair of the training split with at least the chosen grade is one example; a query with three
    positives gives three, and none of the three is ever used as its negative. It fails where the judgements do:
    most collections label one document of the many that would answer.
    """

    key = "labelled"
    title = "Labelled positives"
    source = Citation(
        "Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632"
    )
    min_grade: int = param(1, "lowest grade that counts as a positive to train on", ge=1, le=10)

    def pairs(self, context):
        train = context.corpus.splits.get("train")
        if train is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        query_rows, doc_rows, grades = train.pairs()
        is_used = grades >= self.min_grade
        return query_rows[is_used], doc_rows[is_used]


POSITIVES: tuple[type[Positives], ...] = (
    Labelled,
    Clicked,
    HardPositives,
    InverseCloze,
    RandomCrops,
    WordNoise,
    ContiguousSpans,
    NeighbouringPieces,
    RecurringSpans,
    SalientSpans,
    TitleAsQuery,
    SalientExtract,
    QueryClusters,
    SparLambda,
    GeneratedQueries,
    Paraphrases,
)
