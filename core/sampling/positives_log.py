"""Positives from the log of a search service: what was clicked, and what searchers who clicked nothing probably wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.params import Citation, digest, param
from core.sampling.positive_base import Positives
from core.sampling.positives_extract import static_encoder
from core.sampling.positives_queries import LABELLED, open_queries

EBR = Citation("Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632")


class FromLog(Positives):
    """Base of the positives that a log gives: pairs of the corpus's own queries, none of them held out.

    What is trained on takes the place of the training labels; these only keep known answers from serving as negatives.
    """

    uses_labels = False
    needs = ("impressions",)

    def found(self, corpus: Corpus) -> Judgements:
        """The pairs, grade 1, over the corpus's queries."""
        raise TypeError(f"{type(self).__name__} finds nothing")

    def about_labels(self):
        return "Labels only keep known answers from serving as negatives."

    def lacks(self, corpus, recipe=None):
        if corpus.has_impressions:
            return ""
        return (
            f"{self.title} needs a log of what searchers were shown and clicked, and this corpus has none. Add impressions.tsv: "
            "query-id, doc-id, clicked, and position and session where they are known."
        )

    def pairs(self, context):
        corpus = context.corpus
        query_rows, doc_rows, _ = (corpus.splits["train"] if LABELLED in corpus.splits else self._open(corpus)).pairs()
        return query_rows, doc_rows

    def trained_corpus(self, corpus):
        if LABELLED in corpus.splits:
            return corpus
        splits = {name: table for name, table in corpus.splits.items() if name != "train"}
        labels = corpus.splits.get("train", Judgements.empty(corpus.n_queries))
        return Corpus(
            corpus.name,
            corpus.documents,
            corpus.queries,
            {"train": self._open(corpus), LABELLED: labels, **splits},
            corpus.truth,
            corpus.notes,
            fingerprint=digest([corpus.fingerprint, self.to_dict()]),  # a cross-encoder of these labels is another one
            facts=corpus.facts,
            imported=corpus.imported,
            impressions=corpus.impressions,
        )

    def _open(self, corpus: Corpus) -> Judgements:
        return self.found(corpus).only_queries(open_queries(corpus))


@dataclass(frozen=True, kw_only=True)
class Clicked(FromLog):
    """A document that was clicked for the query is pulled towards it.

    How: every pair of query and document that the log shows clicked, in enough sessions, is one example; held-out queries
    are left out. Clicks cost nothing and there are many of them, about what people really ask.

    Fails by position bias: what stands first is looked at most, so it is clicked more than it deserves, and what the old ranking
    never showed can never be a positive. A model trained on clicks learns the habits of the ranking that made the log. A
    stricter number of sessions takes out single mistaken clicks, and with them most of the rare queries.
    """

    key = "clicked"
    title = "Clicked"
    source = EBR
    min_sessions: int = param(1, "impressions with a click that a pair needs", ge=1, le=1000)

    def found(self, corpus):
        return clicked_pairs(corpus, self.min_sessions)


def clicked_pairs(corpus: Corpus, least: int) -> Judgements:
    """Pairs with at least ``least`` clicked impressions, grade 1."""
    log = corpus.impressions
    assert log is not None
    keys = log.query_rows[log.is_clicked] * corpus.n_documents + log.doc_rows[log.is_clicked]
    keys, counts = np.unique(keys, return_counts=True)
    query_rows, doc_rows = np.divmod(keys[counts >= least], max(corpus.n_documents, 1))
    return Judgements.from_pairs(query_rows, doc_rows, np.ones(len(query_rows), np.int16), corpus.n_queries)


@dataclass(frozen=True, kw_only=True)
class HardPositives(FromLog):
    """What searchers who clicked nothing probably wanted is pulled towards their query.

    How: a session without a click failed. Its likely targets are the documents clicked for the same query in other sessions; where
    there are none, those clicked for the query most like it, if that is alike enough (cosine of the untrained static
    vectors). A target that the failed session showed among its first results was seen and passed over, so it is none. Clicks may
    be trained on beside them, as the paper does with good results.

    Fails where people clicked nothing because the results page answered them, or gave up for another reason; and like all
    clicks by position bias, for targets are clicks, too. The paper mines targets from searchers' later activity,
    which an impression log does not have; the rules here are ours.
    """

    key = "hard-positives"
    title = "Hard positives"
    cost = "low"
    difficulty = "medium"
    source = EBR
    likeness: float = param(0.8, "least cosine of another query whose clicks count", ge=-1.0, le=1.0)
    seen: int = param(3, "first positions that a searcher surely looked at", unit="positions", ge=0, le=1000)
    with_clicks: bool = param(True, "clicks are positives, too")

    def lacks(self, corpus, recipe=None):
        missing = super().lacks(corpus)
        if missing or corpus.impressions.in_failed_session.any():
            return missing
        return (
            f"{self.title} needs sessions without a click, and the log of this corpus names none. Add the column 'session' to "
            "impressions.tsv, or choose clicked positives."
        )

    def found(self, corpus):
        mined = failed_targets(corpus, self.likeness, self.seen)
        return mined.union(clicked_pairs(corpus, 1)) if self.with_clicks else mined


def failed_targets(corpus: Corpus, likeness: float, seen: int) -> Judgements:
    """The likely targets of the sessions without a click, grade 1; the log must exist."""
    log = corpus.impressions
    assert log is not None
    clicked = log.clicked.only_queries(open_queries(corpus))
    failed = np.flatnonzero(log.in_failed_session)
    wanted = np.intersect1d(log.query_rows[failed], open_queries(corpus))
    donors = _donors(corpus, wanted, clicked, likeness)
    seen_by: dict[int, set[int]] = {}
    sessions_of: dict[int, set[int]] = {}
    for i in failed.tolist():
        session = int(log.sessions[i])
        sessions_of.setdefault(int(log.query_rows[i]), set()).add(session)
        if 0 < log.positions[i] <= seen:
            seen_by.setdefault(session, set()).add(int(log.doc_rows[i]))
    pairs = set()
    for query in wanted.tolist():
        targets = clicked.positives(donors[query]).tolist() if query in donors else []
        for session in sessions_of[query]:
            pairs |= {(query, doc) for doc in targets if doc not in seen_by.get(session, ())}
    rows = np.array(sorted(pairs), np.int64).reshape(-1, 2)
    return Judgements.from_pairs(rows[:, 0], rows[:, 1], np.ones(len(rows), np.int16), corpus.n_queries)


def _donors(corpus: Corpus, wanted: np.ndarray, clicked: Judgements, likeness: float) -> dict[int, int]:
    """Whose clicks are a query's likely targets: its own, else those of the most alike query with any; ties: the smaller row."""
    has_clicks = clicked.n_per_query() > 0
    donors = {int(query): int(query) for query in wanted if has_clicks[query]}
    others, givers = wanted[~has_clicks[wanted]], np.flatnonzero(has_clicks)
    if len(others) and len(givers):
        encode = static_encoder()
        scores = encode(corpus.query_texts(others)) @ encode(corpus.query_texts(givers)).T
        best = scores.argmax(1)
        near = scores[np.arange(len(others)), best] >= likeness
        donors |= dict(zip(others[near].tolist(), givers[best[near]].tolist(), strict=True))
    return donors
