"""What a trial mined, chosen for other tools: each training query with its positives and the negatives that are wanted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.audit.trial_figures import Pairs, pairs_of
from core.audit.trial_table import TrialTable, read_trial_table
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.errors import ParameterError, TrialError
from core.params import Param, param
from core.sampling.context import CorpusIndex, MiningContext, Vectors
from core.sampling.decisions import DROP, PROMOTE, Decisions, decisions_of_trial
from core.sampling.judged import use_verdicts
from core.train.pairs import read_pairs
from core.train.results import TableInfo, TrialResults

if TYPE_CHECKING:
    from core.sampling.judged import Judged

LAST, ALL = "last", "all"
USED, KEPT, LOOKED_AT = "used", "kept", "all"
KEEP = "keep"
NEVER = 0b11  # the bits of the two rules that refuse known positives and copies of one's text, always and first
TWIN_SHARE = 0.8
BLOCK_QUERIES = 500
BLOCK_SCORES = 100_000


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which of a trial's candidates are exported, and in which order. Raises ParameterError."""

    refresh: str = param(LAST, "the mining: last (of each lane), all, or the number of one table")
    of: str = param(USED, "used: trained against; kept: passed every rule; all: looked at", choices=(USED, KEPT, LOOKED_AT))
    per_query: int = param(0, "at most so many negatives for each query; 0 = all", ge=0, le=10_000)
    order: str = param("rank", "which come first: best rank, highest score, most pull", choices=("rank", "score", "pull"))
    suspects: bool = param(True, "with the negatives that a reason at mining time puts in doubt")
    verdict_use: str = param(DROP, "judged false negatives: drop, promote to positives, or keep", choices=(DROP, PROMOTE, KEEP))

    def __post_init__(self) -> None:
        for spec in choice_params():
            object.__setattr__(self, spec.name, spec.check("Export", getattr(self, spec.name)))
        if self.refresh not in (LAST, ALL) and not self.refresh.isdecimal():
            raise ParameterError(f"Export.refresh must be last, all or the number of a table; got {self.refresh!r}.")


def choice_params() -> tuple[Param, ...]:
    """The declared parameters of a choice, for forms and flags."""
    hints = {"refresh": str, "of": str, "per_query": int, "order": str, "suspects": bool, "verdict_use": str}
    return tuple(Param(name=f.name, type=hints[f.name], default=f.default, **f.metadata) for f in dataclasses.fields(Choice))


@dataclass(frozen=True)
class Group:
    """One query with its positives and chosen negatives as document rows, and their scores (NaN = none)."""

    query_row: int
    positives: np.ndarray
    positive_scores: np.ndarray
    negatives: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class MinedSet:
    """Queries with at least one positive and one chosen negative.

    ``query_rows`` int64 (Q,), ascending; negatives of query i: ``doc_rows[starts[i]:starts[i + 1]]`` int64, in the chosen
    order, no pair twice, never a positive; ``scores`` float32 along with them, by the trial's last snapshot (float16
    vectors), NaN without one. ``positives``: training pairs of these queries; ``positive_scores`` along their pairs().
    ``width``: negatives of a row of fixed length. ``notes``: what was left out, one sentence each.
    """

    corpus: Corpus
    query_rows: np.ndarray
    starts: np.ndarray
    doc_rows: np.ndarray
    scores: np.ndarray
    positives: Judgements
    positive_scores: np.ndarray
    width: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.query_rows)

    @property
    def n_negatives(self) -> int:
        return len(self.doc_rows)

    @property
    def has_scores(self) -> bool:
        """Whether every pair has a score."""
        return not (np.isnan(self.scores).any() or np.isnan(self.positive_scores).any())

    def groups(self, first: int, last: int) -> Iterator[Group]:
        """The queries from place ``first`` to before ``last``."""
        for i in range(first, last):
            row = int(self.query_rows[i])
            own, span = slice(self.starts[i], self.starts[i + 1]), slice(*self.positives.indptr[row : row + 2])
            yield Group(row, self.positives.doc_rows[span], self.positive_scores[span], self.doc_rows[own], self.scores[own])

    def blocks(self) -> Iterator[tuple[list[Group], dict[int, str], dict[int, dict[str, str]], float]]:
        """(groups, query row -> text, document row -> {doc_id, title, text, joined}, share done): texts of one block at a time."""
        for first in range(0, len(self), BLOCK_QUERIES):
            last = min(first + BLOCK_QUERIES, len(self))
            groups = list(self.groups(first, last))
            rows = np.unique(np.concatenate([part for group in groups for part in (group.positives, group.negatives)]))
            fields = self.corpus.documents.select(["doc_id", "title", "text"]).take(rows).to_pylist()
            joined = self.corpus.document_texts(rows)
            documents = {
                row: {**about, "joined": text} for row, about, text in zip(rows.tolist(), fields, joined, strict=True)
            }
            queries = self.query_rows[first:last]
            yield groups, dict(zip(queries.tolist(), self.corpus.query_texts(queries), strict=True)), documents, last / len(self)


def mined_set(
    results: TrialResults,
    corpus: Corpus,
    choice: Choice,
    *,
    decisions: Decisions | None = None,
    leave_out: Judgements | None = None,
    table: TrialTable | None = None,
) -> MinedSet:
    """The chosen part of what the trial mined; raises TrialError where it mined nothing or nothing is left.

    ``decisions``: people's verdicts, used as the choice says; near-duplicates are dropped, never promoted. ``leave_out``: pairs
    that somebody doubts, to be left out too. ``table``: the trial's whole table, where the caller has it in memory.
    """
    chosen = tables_of(results.tables(), choice.refresh)
    if table is None:
        # Twins cost a pass over all texts and serve only the flags: asked for only where suspects are left out.
        twins = Judgements.empty(corpus.n_queries) if choice.suspects else CorpusIndex(corpus).twins(TWIN_SHARE)
        table = read_trial_table(results, corpus, twins, chosen)
    else:
        table = table.of_tables([info.number for info in chosen])
    pairs = pairs_of(table)
    positives, refused = _labels(results, corpus, choice, decisions)
    notes: list[str] = []

    def leave(mask: np.ndarray, why: str) -> None:
        nonlocal pairs
        if mask.any():
            notes.append(f"{int(mask.sum()):,} {why}")
            pairs = pairs.take(~mask)

    pairs = pairs.take(_wanted(table, pairs, choice.of) & (table.verdicts[pairs.last] & NEVER == 0))
    pairs = pairs.take(~(corpus.positives.union(positives).contains(pairs.query_row, pairs.doc_row)))
    if refused is not None:
        leave(refused.contains(pairs.query_row, pairs.doc_row), "pairs that people judged false negatives or near-duplicates are left out.")
    if leave_out is not None:
        leave(leave_out.contains(pairs.query_row, pairs.doc_row), "doubted pairs are left out.")
    if not choice.suspects:
        leave(table.is_suspect[pairs.last], "suspects are left out.")
    is_lost = ~np.isin(pairs.query_row, positives.query_rows_with_positives()) | _is_blank(corpus.query_texts, pairs.query_row)
    leave(is_lost, "negatives of queries without a training positive or without a text are left out.")
    leave(_is_blank(corpus.document_texts, pairs.doc_row), "negatives without any text are left out.")
    if not len(pairs):
        raise TrialError("Nothing is left to export. Choose another mining, 'kept' instead of 'used', or keep the suspects.")
    vectors = _vectors(results)
    order = _order(table, pairs, choice, _scores(vectors, pairs.query_row, pairs.doc_row))
    pairs, scores = pairs.take(order[0]), order[1]
    query_rows, starts = np.unique(pairs.query_row, return_index=True)
    positives = positives.only_queries(query_rows)
    known = positives.pairs()
    return MinedSet(
        corpus=corpus,
        query_rows=query_rows.astype(np.int64),
        starts=np.append(starts, len(pairs)).astype(np.int64),
        doc_rows=pairs.doc_row.astype(np.int64),
        scores=scores,
        positives=positives,
        positive_scores=_scores(vectors, known[0], known[1]),
        width=_width(results, choice, np.diff(np.append(starts, len(pairs)))),
        notes=tuple(notes),
    )


def tables_of(tables: list[TableInfo], refresh: str) -> list[TableInfo]:
    """The tables that a refresh names: the last of each lane, all, or the one with this number; raises TrialError."""
    if not tables:
        raise TrialError("This trial has no table of mined candidates: its recipe mines none, or it has not mined yet.")
    if refresh == ALL:
        return tables
    if refresh == LAST:
        return sorted({info.lane: info for info in tables}.values(), key=lambda info: info.number)
    found = [info for info in tables if info.number == int(refresh)]
    if not found:
        raise TrialError(f"There is no mining {refresh}. There are: {', '.join(str(info.number) for info in tables)}.")
    return found


def training_positives(results: TrialResults, corpus: Corpus, decisions: Decisions | None = None) -> Judgements:
    """The pairs that the trial trained on, those promoted by its own verdicts and by ``decisions`` among them."""
    config = results.config
    index = CorpusIndex(corpus)
    pairs = read_pairs(results.folder) or config.recipe_value.positives.pairs(MiningContext(corpus, _no_model, index))
    own = decisions_of_trial(results.folder, config.verdicts, corpus)
    used: list[Judged] = [] if own is None else [use_verdicts(own, index, config.verdict_use, config.verdict_weight)]
    used += [] if decisions is None else [use_verdicts(decisions, index, PROMOTE, config.verdict_weight)]
    for judged in used:
        pairs = judged.with_promoted(*pairs)
    has_text = ~_is_blank(corpus.document_texts, pairs[1])
    return Judgements.from_pairs(*(rows[has_text] for rows in pairs), np.ones(int(has_text.sum()), np.int16), corpus.n_queries)


def _labels(results, corpus: Corpus, choice: Choice, decisions: Decisions | None) -> tuple[Judgements, Judgements | None]:
    """(training positives, pairs that verdicts refuse)."""
    if decisions is None or choice.verdict_use == KEEP:
        return training_positives(results, corpus), None
    refused = use_verdicts(decisions, CorpusIndex(corpus), DROP, 1.0).refused
    return training_positives(results, corpus, decisions if choice.verdict_use == PROMOTE else None), refused


def _no_model(which: str) -> Vectors:
    raise TrialError(f"Reading labels asks for no vectors, but {which!r} was asked for.")


def _wanted(table: TrialTable, pairs: Pairs, of: str) -> np.ndarray:
    return {USED: pairs.times_used > 0, KEPT: pairs.n_kept > 0}.get(of, np.ones(len(pairs), bool))


def _is_blank(texts_of: Any, rows: np.ndarray) -> np.ndarray:
    distinct, inverse = np.unique(rows, return_inverse=True)
    return np.array([not text.strip() for text in texts_of(distinct)], bool)[inverse] if len(rows) else np.zeros(0, bool)


def _vectors(results: TrialResults) -> Vectors | None:
    steps = results.snapshots()
    return results.snapshot(steps[-1]) if steps else None


def _scores(vectors: Vectors | None, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    """float32 by these vectors, a block at a time: they stay on disk, in half precision."""
    from core.search.exact import score_pairs

    scores = np.full(len(query_rows), np.nan, np.float32)
    for first in range(0, len(scores) if vectors is not None else 0, BLOCK_SCORES):
        part = slice(first, first + BLOCK_SCORES)
        queries, query_places = np.unique(query_rows[part], return_inverse=True)
        docs, doc_places = np.unique(doc_rows[part], return_inverse=True)
        tables = (np.asarray(vectors.queries[queries], np.float32), np.asarray(vectors.documents[docs], np.float32))
        scores[part] = score_pairs(*tables, query_places, doc_places, similarity=vectors.similarity)
    return scores


def _order(table: TrialTable, pairs: Pairs, choice: Choice, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(places, their scores): by query, then as the choice says, at most ``per_query`` of each."""
    first = {"rank": table.rank[pairs.last], "score": -scores, "pull": -pairs.pull}[choice.order]
    order = np.lexsort((pairs.doc_row, table.place[pairs.last], first, pairs.query_row))
    if choice.per_query:
        rows = pairs.query_row[order]
        order = order[np.arange(len(rows)) - np.searchsorted(rows, rows) < choice.per_query]
    return order, scores[order]


def _width(results: TrialResults, choice: Choice, n_each: np.ndarray) -> int:
    asked = choice.per_query or results.config.recipe_value.per_query or 1
    return int(min(asked, n_each.max()))
