"""The why-card: everything known about one candidate of one query, and the table of a query's candidates."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from core.audit.suspects import doubts, hardness
from core.corpus.corpus import Corpus
from core.sampling.context import MiningContext, Vectors
from core.train.results import TableInfo, TrialResults


@dataclass(frozen=True)
class SourceView:
    """How one source sees the pair: 1-based rank over the whole corpus (None = not returned at all), score, and the same for
    the query's lowest positive."""

    name: str
    rank: int | None
    score: float
    positive_rank: int | None
    positive_score: float

    @property
    def margin(self) -> float:
        """s+ - s-: how far the candidate lies below the positive; negative when it scores above it."""
        return self.positive_score - self.score


@dataclass(frozen=True)
class WhyCard:
    """See the module; rows are the corpus's."""

    query_row: int
    doc_row: int
    positive_rows: tuple[int, ...]
    nearest_positive: int
    sources: tuple[SourceView, ...]
    hardness: str
    reasons: dict[str, bool]
    is_known_positive: bool
    truth_grade: int | None
    terms: tuple[tuple[str, float, float], ...]
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def is_suspect(self) -> bool:
        return any(self.reasons.values())

    @property
    def times_used(self) -> int:
        return sum(row["times_used"] for row in self.history)

    @property
    def fate(self) -> str:
        """One sentence: what became of the candidate, last refresh first."""
        if self.is_known_positive:
            return "A known positive of this query: never a negative."
        if not self.history:
            return "No source of this trial looked at it for this query."
        last = self.history[-1]
        if self.times_used:
            return f"Trained against {self.times_used} times; last decision: {last['rule']}."
        return f"Never trained against; last decision: {last['rule']}."


class Cards:
    """Makes why-cards and tables for one trial on its corpus; keeps the vectors and the lexical index between calls.

    ``results``: None for a corpus without a trial (the preview): then there is no history.
    """

    def __init__(self, corpus: Corpus, results: TrialResults | None, models: dict[str, Vectors], context: MiningContext):
        self.corpus, self.results, self.models, self.context = corpus, results, models, context

    @cached_property
    def main(self) -> Vectors:
        """The model whose scores decide hardness and doubts: the last of ``models``."""
        return list(self.models.values())[-1]

    def positives(self, query_row: int) -> np.ndarray:
        """The query's known positives, best-scored first."""
        rows = self.corpus.positives.positives(query_row)
        scores = self.main.score_pairs(np.full(len(rows), query_row), rows)
        return rows[np.argsort(-scores, kind="stable")]

    def ranks(self, query_row: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """name -> (rank int64 (C,), score float32 (C,)) of every document for the query, by each source; rank 0 = not returned."""
        views = {}
        bm25 = self.context.bm25.scores(self.corpus.query_texts([query_row])[0])
        views["BM25"] = _ranked(bm25, bm25 != 0)
        everything = np.arange(self.corpus.n_documents)
        for name, vectors in self.models.items():
            scores = vectors.score_pairs(np.full(len(everything), query_row), everything)
            views[name] = _ranked(scores, np.ones(len(scores), bool))
        return views

    def card(self, query_row: int, doc_row: int) -> WhyCard:
        """The why-card of one pair."""
        positives = self.positives(query_row)
        views = self.ranks(query_row)
        lowest = positives[-1] if len(positives) else -1
        sources = []
        for name, (ranks, scores) in views.items():
            p = _lowest(scores, positives)
            sources.append(
                SourceView(
                    name,
                    int(ranks[doc_row]) or None,
                    float(scores[doc_row]),
                    (int(ranks[p]) or None) if p >= 0 else None,
                    float(scores[p]) if p >= 0 else float("nan"),
                )
            )
        own = sources[-1]
        is_twin = bool(self.context.twins(0.8).contains(query_row, doc_row))
        reasons = {k: bool(v) for k, v in doubts(np.array(own.score), np.array(own.positive_score), np.array(is_twin)).items()}
        truth = self.corpus.truth
        return WhyCard(
            query_row=query_row,
            doc_row=doc_row,
            positive_rows=tuple(int(r) for r in positives),
            nearest_positive=self._nearest(doc_row, positives) if len(positives) else int(lowest),
            sources=tuple(sources),
            hardness=str(hardness(np.array(own.score), np.array(own.positive_score))),
            reasons=reasons,
            is_known_positive=bool(self.corpus.positives.contains(query_row, doc_row)),
            truth_grade=None if truth is None else int(truth.grade_of(query_row, doc_row)),
            terms=self._terms(query_row, doc_row, int(positives[0]) if len(positives) else None),
            history=self._history(query_row, doc_row),
        )

    def _nearest(self, doc_row: int, positives: np.ndarray) -> int:
        from core.search.exact import score_pairs

        scores = score_pairs(
            self.main.documents, self.main.documents, np.full(len(positives), doc_row), positives, similarity=self.main.similarity
        )
        return int(positives[scores.argmax()])

    def _terms(self, query_row: int, doc_row: int, positive_row: int | None) -> tuple[tuple[str, float, float], ...]:
        """(query term, its BM25 share in the candidate, in the best positive), strongest in the candidate first."""
        text = self.corpus.query_texts([query_row])[0]
        mine = dict(self.context.bm25.term_weights(text, doc_row))
        theirs = dict(self.context.bm25.term_weights(text, positive_row)) if positive_row is not None else {}
        names = sorted(set(mine) | set(theirs), key=lambda t: (-mine.get(t, 0.0), -theirs.get(t, 0.0), t))
        return tuple((t, float(mine.get(t, 0.0)), float(theirs.get(t, 0.0))) for t in names)

    def _history(self, query_row: int, doc_row: int) -> list[dict[str, Any]]:
        if self.results is None:
            return []
        tables = self.results.tables()
        if not tables:
            return []
        found = self.results.candidates(tables, query_row)
        return [row for row in found.to_pylist() if row["doc_row"] == doc_row]

    def table(self, tables: list[TableInfo], query_row: int) -> dict[str, np.ndarray | list]:
        """One query's candidates, a row each, as columns ready for a data frame; in lane then rank order.

        Adds to the stored columns: doc_id, title, text, a rank column for each source, hardness, one column for each reason, truth.
        """
        assert self.results is not None
        found = self.results.candidates(tables, query_row)
        doc_rows = found["doc_row"].to_numpy().astype(np.int64)
        columns: dict[str, Any] = {name: found[name].to_numpy(zero_copy_only=False) for name in found.column_names}
        documents = self.corpus.documents.take(doc_rows)
        columns |= {name: documents[name].to_pylist() for name in ("doc_id", "title", "text")}
        views = self.ranks(query_row)
        for name, (ranks, _) in views.items():
            columns[f"rank, {name}"] = ranks[doc_rows]
        scores = list(views.values())[-1][1]
        lowest = _lowest(scores, self.corpus.positives.positives(query_row))
        positive = scores[lowest] if lowest >= 0 else np.float32("nan")
        columns["margin now"] = positive - scores[doc_rows]
        columns["hardness"] = hardness(scores[doc_rows], positive)
        is_twin = self.context.twins(0.8).contains(query_row, doc_rows)
        columns |= doubts(scores[doc_rows], np.broadcast_to(positive, doc_rows.shape), is_twin)
        if self.corpus.truth is not None:
            columns["truth"] = self.corpus.truth.grade_of(np.full(len(doc_rows), query_row), doc_rows)
        return columns


def _ranked(scores: np.ndarray, is_returned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.lexsort((np.arange(len(scores)), -scores))
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(1, len(scores) + 1)
    return np.where(is_returned, ranks, 0), scores


def _lowest(scores: np.ndarray, positives: np.ndarray) -> int:
    return int(positives[scores[positives].argmin()]) if len(positives) else -1
