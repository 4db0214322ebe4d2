"""The why-card: everything known about one candidate of one query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from core.audit.card_others import near_copies, similarity_of
from core.audit.contributions import Explained, explain
from core.audit.suspects import doubts, hardness
from core.audit.trial_table import TrialTable, read_trial_table, rules_of_lanes
from core.corpus.corpus import Corpus
from core.errors import TrialError
from core.sampling.context import MiningContext, Vectors
from core.train.results import TableInfo, TrialResults

if TYPE_CHECKING:
    from core.encode.token_tables import TokenTables
    from core.search.cross_encoder import CrossModel

TWIN_SHARE = 0.8
CROSS = "cross-encoder"


@dataclass(frozen=True)
class SourceView:
    """How one source sees the pair: 1-based rank over the whole corpus (None = not returned at all), score, and the same for
    the query's lowest positive (NaN and None where it has none). A cross-encoder reads single pairs: it has no ranks."""

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
class Moment:
    """The pair in one mining. ``rank``: in the source's own list; ``score``, ``positive_score``: by the model of that moment;
    ``rule``: "kept" or what refused it; ``verdicts``: every rule of the lane -> whether it lets the candidate pass;
    ``weight``: mean d loss / d score over the uses, NaN = unused."""

    step: int
    lane: int
    source: str
    rank: int
    source_score: float
    score: float
    positive_score: float
    rule: str
    verdicts: dict[str, bool]
    times_used: int
    weight: float

    @property
    def margin(self) -> float:
        return self.positive_score - self.score


@dataclass(frozen=True)
class WhyCard:
    """See the module; rows are the corpus's. Hardness and reasons are the main model's, as it is now; ``nearest_score``: the
    candidate's likeness to its nearest positive, by the same model (NaN without one); ``imported_rank``: its place among the
    negatives that came with the corpus, 0 = it is none of them."""

    query_row: int
    doc_row: int
    positive_rows: tuple[int, ...]
    nearest_positive: int
    nearest_score: float
    sources: tuple[SourceView, ...]
    hardness: str
    reasons: dict[str, bool]
    is_known_positive: bool
    truth_grade: int | None
    terms: tuple[tuple[str, float, float], ...]
    history: tuple[Moment, ...] = field(default_factory=tuple)
    is_of_trial: bool = True
    imported_rank: int = 0

    @property
    def is_suspect(self) -> bool:
        return any(self.reasons.values())

    @property
    def times_used(self) -> int:
        return sum(moment.times_used for moment in self.history)

    @property
    def weight(self) -> float:
        """Mean d loss / d score over all uses; NaN = never used."""
        used = [(m.times_used, m.weight) for m in self.history if m.times_used]
        return sum(n * w for n, w in used) / sum(n for n, _ in used) if used else float("nan")

    @property
    def fate(self) -> str:
        """One sentence: what became of the candidate."""
        if self.is_known_positive:
            return "A known positive of this query: never a negative."
        if self.imported_rank and not self.history:
            return f"The imported set gives it as a negative of this query, in place {self.imported_rank}."
        if not self.is_of_trial:
            return "No trial here: what the model says before anything is trained with it."
        if not self.history:
            return "No source of this trial looked at it for this query."
        last, n = self.history[-1], len(self.history)
        seen = f"Looked at in {n} mining{'s' if n > 1 else ''}"
        decided = "kept" if last.rule == "kept" else f"refused by {last.rule}"
        if self.times_used:
            times = "once" if self.times_used == 1 else f"{self.times_used} times"
            return f"{seen}, trained against {times}; the last decision: {decided}."
        if last.rule == "kept":
            return f"{seen}, kept by every rule, but never drawn for training."
        return f"{seen}, never trained against; the last decision: {decided}."


class Cards:
    """Makes why-cards for one trial on its corpus; keeps vectors and tables between calls.

    ``results``: None for a corpus without a trial (the preview): then there is no history. ``models``: name -> vectors, the
    last of which decides hardness and doubts. ``whole``: the trial's candidates when they are already in memory.
    ``tokens()``: every token's vector of the last model, None where its scores are no sums over tokens (or it is not
    known). ``cross``: a trained cross-encoder. ``written``: the trial's synthetic negatives, None where it has none.
    ``ranks(query_row)``: name -> (rank int64 (C,), score float32 (C,)) of every document by each source, rank 0 = not returned.
    """

    def __init__(
        self,
        corpus: Corpus,
        results: TrialResults | None,
        models: dict[str, Vectors],
        context: MiningContext,
        whole: TrialTable | None = None,
        *,
        tokens: Callable[[], TokenTables | None] = lambda: None,
        cross: CrossModel | None = None,
    ):
        self.corpus, self.results, self.models, self.context, self.whole = corpus, results, models, context, whole
        self.tokens, self.cross = tokens, cross
        self.written = None if results is None else results.written()
        # The table and the card of one query ask for the same ranks; two hold the last query's and this one's.
        self.ranks = lru_cache(maxsize=2)(self._ranks)

    @property
    def main(self) -> Vectors:
        """The model whose scores decide hardness and doubts: the last of ``models``."""
        return list(self.models.values())[-1]

    def positives(self, query_row: int) -> np.ndarray:
        """The query's known positives, best-scored first."""
        rows = self.corpus.positives.positives(query_row)
        scores = self.main.score_pairs(np.full(len(rows), query_row), rows)
        return rows[np.argsort(-scores, kind="stable")]

    def _ranks(self, query_row: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """name -> (rank int64 (C,), score float32 (C,)) of every document for the query, by each source; rank 0 = not returned."""
        bm25 = self.context.bm25.scores(self.corpus.query_texts([query_row])[0])
        views = {"BM25": _ranked(bm25, bm25 != 0)}
        everything = np.arange(self.corpus.n_documents)
        for name, vectors in self.models.items():
            scores = vectors.score_pairs(np.full(len(everything), query_row), everything)
            views[name] = _ranked(scores, np.ones(len(scores), bool))
        return views

    def candidates(self, query_row: int, tables: list[TableInfo] | None = None) -> TrialTable | None:
        """The query's candidates in the trial's tables; None where nothing was mined."""
        if self.results is None:
            return None
        if self.whole is not None:
            return self.whole.of_query(query_row).of_tables(None if tables is None else [t.number for t in tables])
        try:
            return read_trial_table(self.results, self.corpus, self.twins, tables, query_row=query_row)
        except TrialError:
            return None

    @property
    def twins(self):
        """Near copies of each query's positives."""
        return self.context.twins(TWIN_SHARE)

    def card(self, query_row: int, doc_row: int) -> WhyCard:
        """The why-card of one pair."""
        positives, views = self.positives(query_row), self.ranks(query_row)
        sources = tuple(_view(name, ranks, scores, doc_row, positives) for name, (ranks, scores) in views.items())
        own = sources[-1]
        if self.cross is not None:
            sources = (*sources[:-1], self._cross_view(query_row, doc_row, positives), own)
        is_known = bool(self.corpus.positives.contains(query_row, doc_row))
        is_twin = bool(self.twins.contains(query_row, doc_row))
        found = doubts(np.array(own.score), np.array(own.positive_score), np.array(is_twin))
        truth = self.corpus.truth
        nearest = self._nearest(doc_row, positives) if len(positives) else -1
        return WhyCard(
            query_row=query_row,
            doc_row=doc_row,
            positive_rows=tuple(int(r) for r in positives),
            nearest_positive=nearest,
            nearest_score=similarity_of(self.main, doc_row, nearest),
            sources=sources,
            hardness=str(hardness(np.array(own.score), np.array(own.positive_score))),
            reasons={title: bool(value) and not is_known for title, value in found.items()},
            is_known_positive=is_known,
            truth_grade=None if truth is None else int(truth.grade_of(query_row, doc_row)),
            terms=self._terms(query_row, doc_row, int(positives[0]) if len(positives) else None),
            history=self._history(query_row, doc_row),
            is_of_trial=self.results is not None,
            imported_rank=0 if self.corpus.imported is None else self.corpus.imported.rank_of(query_row, doc_row),
        )

    def explained(self, query_row: int, doc_row: int) -> tuple[Explained, Explained] | None:
        """What each token of the query and of the document adds to the main model's score; None where that cannot be said."""
        tokens = self.tokens()
        if tokens is None:
            return None
        return explain(tokens, *tokens.texts(self.corpus, query_row, doc_row), self.main.similarity)

    def near_copies(self, doc_row: int) -> list[tuple[int, float]]:
        """See :func:`core.audit.card_others.near_copies`; by the main model."""
        return near_copies(self.corpus, self.context, self.main, doc_row)

    def _cross_view(self, query_row: int, doc_row: int, positives: np.ndarray) -> SourceView:
        """Probabilities that the candidate, and the least probable positive, are relevant."""
        rows = np.array([doc_row, *positives], np.int64)
        found = self.cross.probabilities(np.full(len(rows), query_row), rows)
        return SourceView(CROSS, None, float(found[0]), None, float(found[1:].min()) if len(positives) else float("nan"))

    def _nearest(self, doc_row: int, positives: np.ndarray) -> int:
        from core.search.exact import score_pairs

        documents = self.main.documents
        scores = score_pairs(documents, documents, np.full(len(positives), doc_row), positives, similarity=self.main.similarity)
        return int(positives[scores.argmax()])

    def _terms(self, query_row: int, doc_row: int, positive_row: int | None) -> tuple[tuple[str, float, float], ...]:
        """(query term, its BM25 share in the candidate, in the best positive), strongest in the candidate first."""
        text = self.corpus.query_texts([query_row])[0]
        mine = dict(self.context.bm25.term_weights(text, doc_row))
        theirs = dict(self.context.bm25.term_weights(text, positive_row)) if positive_row is not None else {}
        names = sorted(set(mine) | set(theirs), key=lambda t: (-mine.get(t, 0.0), -theirs.get(t, 0.0), t))
        return tuple((t, float(mine.get(t, 0.0)), float(theirs.get(t, 0.0))) for t in names)

    def _history(self, query_row: int, doc_row: int) -> tuple[Moment, ...]:
        found = self.candidates(query_row)
        if found is None:
            return ()
        return tuple(self._moment(found, int(row)) for row in np.flatnonzero(found.doc_row == doc_row))

    @cached_property
    def _lane_rules(self) -> list[tuple[str, ...]]:
        return rules_of_lanes(self.results) if self.results is not None else []

    def _moment(self, found: TrialTable, row: int) -> Moment:
        info = found.tables[found.place[row]]
        rules = self._lane_rules[info.lane] if info.lane < len(self._lane_rules) else ()
        n = int(found.times_used[row])
        return Moment(
            step=info.step,
            lane=info.lane,
            source=info.source,
            rank=int(found.rank[row]),
            source_score=float(found.source_score[row]),
            score=float(found.score[row]),
            positive_score=float(found.positive_score[row]),
            rule=found.rules[found.rule[row]],
            verdicts={rule: not int(found.verdicts[row]) >> bit & 1 for bit, rule in enumerate(rules)},
            times_used=n,
            weight=float(found.weight[row]) if n else float("nan"),
        )


def lowest_positive(scores: np.ndarray, positives: np.ndarray) -> int:
    """The row of ``positives`` with the lowest of ``scores`` (C,); -1 where there is none. Ties: the first."""
    return int(positives[scores[positives].argmin()]) if len(positives) else -1


def _view(name: str, ranks: np.ndarray, scores: np.ndarray, doc_row: int, positives: np.ndarray) -> SourceView:
    lowest = lowest_positive(scores, positives)
    if lowest < 0:
        return SourceView(name, int(ranks[doc_row]) or None, float(scores[doc_row]), None, float("nan"))
    return SourceView(name, int(ranks[doc_row]) or None, float(scores[doc_row]), int(ranks[lowest]) or None, float(scores[lowest]))


def _ranked(scores: np.ndarray, is_returned: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-scores, kind="stable")  # ties: smaller document row first
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(1, len(scores) + 1)
    return np.where(is_returned, ranks, 0), scores
