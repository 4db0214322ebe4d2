"""Positives that a cross-encoder reads off queries nobody labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.params import param
from core.sampling.crossed import CROSS_HELP, AsksCross
from core.sampling.filters import ROCKETQA
from core.sampling.positives import Labelled
from core.sampling.sources import search_vectors
from core.search.words import tokenize

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.context import MiningContext

#: The random stream that chooses the queries whose labels are put aside.
ASIDE = 11


@dataclass(frozen=True, kw_only=True)
class CrossAugmented(AsksCross, Labelled):
    """Queries without labels are trained on as well: what a cross-encoder is sure of becomes their positive.

    A dense search gives each unlabelled query its first documents; those with a probability above the threshold are its positives
    (RocketQA: .9), at most a few, likeliest first. Its negatives come from the recipe's lanes; with a cross-encoder cut at .1 they are
    those that it is sure are none, and what lies between is left out. Labels grow at the price of a search, but only with what the
    teacher knows, and its sure errors are trained on.

    Unlabelled is a query that no split judges at all, and whose text no held-out query has: what evaluates is never trained on, with or
    without its labels. Where the corpus has no such query, a share of the training queries plays one: their labels are put aside,
    not trained on, and tell how many of the new positives are right. No network of the cross-encoder scores a query that it saw (folds);
    the labels put aside stay known positives, which no negative may be.
    """

    key = "cross-augmented"
    title = "Labelled and pseudo-labelled"
    cost = "medium"
    difficulty = "hard"
    source = ROCKETQA
    above: float = param(0.9, "probability of being relevant above which a document becomes a positive", ge=0.0, le=1.0)
    depth: int = param(50, "documents of each unlabelled query that are read", unit="documents", ge=1, le=10_000)
    per_query: int = param(2, "most positives for each unlabelled query", ge=1, le=1000)
    aside: float = param(0.25, "share of the training queries whose labels are put aside where the corpus has no unlabelled query",
                         ge=0.0, le=0.9)  # fmt: skip
    trial: str = param("", "id or folder of the finished trial to search with; empty = the encoder before training")
    model: str = param("", CROSS_HELP)

    def pairs(self, context):
        query_rows, doc_rows = super().pairs(context)
        unlabelled, is_put_aside = self.unlabelled(context)
        if is_put_aside:
            is_kept = ~np.isin(query_rows, unlabelled)
            query_rows, doc_rows = query_rows[is_kept], doc_rows[is_kept]
        new_queries, new_docs = self.sure(context, unlabelled)
        query_rows, doc_rows = np.concatenate([query_rows, new_queries]), np.concatenate([doc_rows, new_docs])
        order = np.lexsort((doc_rows, query_rows))
        return query_rows[order], doc_rows[order]

    def unlabelled(self, context: MiningContext) -> tuple[np.ndarray, bool]:
        """(query rows, ascending; whether they are training queries whose labels are put aside)."""
        rows = unlabelled_queries(context.corpus)
        if len(rows):
            return rows, False
        asked = np.unique(super().pairs(context)[0])
        n = round(self.aside * len(asked))
        return np.sort(np.random.default_rng([context.index.seed, ASIDE]).permutation(asked)[:n]), n > 0

    def sure(self, context: MiningContext, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(query_rows, doc_rows) of the new positives of these queries."""
        if not len(query_rows):
            return np.empty(0, np.int64), np.empty(0, np.int64)
        found = search_vectors(context, self.trial or "start", query_rows, self.depth).doc_rows
        p = np.where(found >= 0, self.relevance(context, query_rows, found), 0.0)
        order = np.argsort(-p, axis=1, kind="stable")[:, : self.per_query]
        is_sure = np.take_along_axis(p, order, 1) > self.above
        rows, columns = np.nonzero(is_sure)
        return query_rows[rows], found[rows, order[rows, columns]]

    def told(self, context: MiningContext, query_rows: np.ndarray, doc_rows: np.ndarray) -> str:
        """What became of the unlabelled queries, in words; the pairs are those that :meth:`pairs` gave."""
        unlabelled, is_put_aside = self.unlabelled(context)
        is_new = np.isin(query_rows, unlabelled)
        if not len(unlabelled):
            return "The corpus has no unlabelled query, so there is nothing to add to its labels."
        what = f"{len(unlabelled)} unlabelled queries"
        if is_put_aside:
            what = f"The corpus has no unlabelled query: the labels of {len(unlabelled)} training queries are put aside. Of these queries"
        n_with = len(np.unique(query_rows[is_new]))
        text = f"{what}, {n_with} got {int(is_new.sum())} positives (probability above {self.above:g})."
        if is_put_aside and is_new.any():
            right = context.corpus.splits["train"].grade_of(query_rows[is_new], doc_rows[is_new]) >= self.min_grade
            text += f" {right.mean():.0%} of them are among the labels put aside"
            truth = context.corpus.truth
            if truth is not None:
                share = (truth.grade_of(query_rows[is_new], doc_rows[is_new]) >= 1).mean()
                text += f", {share:.0%} are relevant by the truth, which no piece reads"
            text += "."
        return text


def unlabelled_queries(corpus: Corpus) -> np.ndarray:
    """int64, ascending: queries that no split judges and whose words are not those of a query of a held-out split."""
    is_judged = np.zeros(corpus.n_queries, bool)
    is_held_out = is_judged.copy()
    for name, split in corpus.splits.items():
        is_judged |= split.n_per_query() > 0
        is_held_out |= (split.n_per_query() > 0) & (name != "train")
    rows = np.flatnonzero(~is_judged)
    if not len(rows):
        return rows
    held_out = {"", *_words(corpus, np.flatnonzero(is_held_out))}
    return rows[[words not in held_out for words in _words(corpus, rows)]]


def _words(corpus: Corpus, query_rows: np.ndarray) -> list[str]:
    return [" ".join(tokenize(text)) for text in corpus.query_texts(query_rows)]


AUGMENTED: tuple[type[CrossAugmented], ...] = (CrossAugmented,)
