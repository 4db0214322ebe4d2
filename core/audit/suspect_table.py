"""The suspects of a trial or of an imported set: every reason a column, one combined doubt, and the harm done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.audit.combine import DEFAULT_COMBINATION, Combination
from core.audit.doubt_columns import doubt_columns
from core.audit.evidence import Evidence, evidence_of_trial
from core.audit.learned import Learned, Lessons
from core.audit.reason import Reason
from core.audit.reasons import default_reasons
from core.corpus.corpus import Corpus
from core.sampling.context import MiningContext, Vectors

if TYPE_CHECKING:
    from core.audit.trial_figures import Pairs
    from core.train.results import TrialResults

FALSE_KINDS = ("false-negative", "near-duplicate")
TRUE_KIND = "true-negative"
SOFTMAX_TEMPERATURE = 0.05
FOLDER = "suspects"


@dataclass(frozen=True)
class SuspectTable:
    """Pairs of query and document, each once; arrays of one length N.

    ``doubts``: reason's key -> float32, NaN = cannot be said; ``flags``: key -> the doubt reaches its threshold; ``combined``:
    float32 in [0, 1], the chosen combination's doubt; ``harm``: float64, the total pull of the training on the pair (uses x
    mean weight); for pairs that nothing was trained on, the softmax weight that the main model would give it; ``rank``: int64,
    the place in the source's list at the latest mining, 0 = not mined; ``grade``: int16 by the corpus's truth, or None.
    ``missing``: key -> why a reason has no column here. ``learned``: what the combination learned.
    """

    query_row: np.ndarray
    doc_row: np.ndarray
    doubts: dict[str, np.ndarray]
    flags: dict[str, np.ndarray]
    combined: np.ndarray
    is_suspect: np.ndarray
    harm: np.ndarray
    times_used: np.ndarray
    rank: np.ndarray
    grade: np.ndarray | None
    reasons: tuple[Reason, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    learned: Learned | None = None

    def __len__(self) -> int:
        return len(self.query_row)

    @property
    def n_reasons(self) -> np.ndarray:
        """int64 (N,): how many reasons reach their thresholds."""
        return np.sum(list(self.flags.values()), axis=0) if self.flags else np.zeros(len(self), np.int64)

    def order(self) -> np.ndarray:
        """int64 (N,): rows by doubt x harm, most first; ties by doubt, then query row, then document row."""
        return np.lexsort((self.doc_row, self.query_row, -self.combined, -(self.combined * self.harm)))

    def take(self, rows: np.ndarray) -> SuspectTable:
        """The rows of a mask or of positions."""
        picked = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        parts = {name: {key: v[rows] for key, v in getattr(self, name).items()} for name in ("doubts", "flags")}
        return SuspectTable(**{**vars(self), **picked, **parts})

    def decided(self, combination: Combination, lessons: Lessons | None = None, reasons: Sequence[Reason] | None = None) -> SuspectTable:
        """The same pairs and doubts under other thresholds or another combination; nothing is computed from texts again."""
        chosen = tuple(r for r in (self.reasons if reasons is None else reasons) if r.key in self.doubts)
        return _decide(vars(self), chosen, combination, lessons)


def suspect_table(
    evidence: Evidence,
    query_rows: np.ndarray,
    doc_rows: np.ndarray,
    *,
    reasons: Sequence[Reason] | None = None,
    combination: Combination | None = None,
    pairs: Pairs | None = None,
    verdicts: Mapping[tuple[str, str], str] | None = None,
    cache: Path | None = None,
) -> SuspectTable:
    """The table of these pairs, int64 (N,) rows each, no pair twice.

    ``reasons``: default: all; those that cannot be said with this evidence are left out, ``missing`` says why. ``combination``:
    default: DEFAULT_COMBINATION. ``pairs``: the trial's figures of exactly these pairs, in this order, for harm, uses and rank.
    ``verdicts``: (query id, document id) -> kind, as people decided. ``cache``: folder that keeps the columns.
    Raises ParameterError where the combination cannot decide, such as learning without verdicts.
    """
    query_rows, doc_rows = np.asarray(query_rows, np.int64), np.asarray(doc_rows, np.int64)
    reasons = default_reasons() if reasons is None else tuple(reasons)
    missing = {reason.key: why for reason in reasons if (why := reason.missing(evidence))}
    able = tuple(reason for reason in reasons if reason.key not in missing)
    table = evidence.table
    if pairs is not None:
        harm, times_used = np.maximum(pairs.pull, 0).astype(np.float64), pairs.times_used.astype(np.int64)
        rank = np.zeros(len(query_rows), np.int64) if table is None else table.rank[pairs.last].astype(np.int64)
    else:
        harm, times_used = softmax_weights(evidence, query_rows, doc_rows), np.zeros(len(query_rows), np.int64)
        rank = np.zeros(len(query_rows), np.int64)
    truth = evidence.corpus.truth
    columns = {
        "query_row": query_rows,
        "doc_row": doc_rows,
        "doubts": doubt_columns(able, evidence, query_rows, doc_rows, cache),
        "harm": harm,
        "times_used": times_used,
        "rank": rank,
        "grade": None if truth is None else truth.grade_of(query_rows, doc_rows),
        "missing": missing,
    }
    lessons = None if verdicts is None else lessons_of(evidence, able, verdicts)
    return _decide(columns, able, combination or DEFAULT_COMBINATION, lessons)


def _decide(columns: dict, reasons: tuple[Reason, ...], combination: Combination, lessons: Lessons | None) -> SuspectTable:
    doubts, n = columns["doubts"], len(columns["query_row"])
    flags = {reason.key: reason.flag(doubts[reason.key]) for reason in reasons}
    if reasons and n:
        decision = combination.decide(reasons, doubts, lessons)
        found = {"combined": decision.combined.astype(np.float32), "is_suspect": decision.is_suspect, "learned": decision.learned}
    else:
        found = {"combined": np.zeros(n, np.float32), "is_suspect": np.zeros(n, bool), "learned": None}
    return SuspectTable(**{**columns, **found, "flags": flags, "reasons": reasons})


def lessons_of(evidence: Evidence, reasons: Sequence[Reason], verdicts: Mapping[tuple[str, str], str]) -> Lessons:
    """The judged pairs with their doubts; ids that the corpus does not have and "unsure" are left out."""
    corpus = evidence.corpus
    said = [(ids, kind) for ids, kind in verdicts.items() if kind in (*FALSE_KINDS, TRUE_KIND)]
    queries = corpus.query_rows([ids[0] for ids, _ in said])
    docs = corpus.doc_rows([ids[1] for ids, _ in said])
    is_false = np.array([kind in FALSE_KINDS for _, kind in said], bool)
    is_known = (queries >= 0) & (docs >= 0)
    order = np.lexsort((docs[is_known], queries[is_known]))
    queries, docs, is_false = (values[is_known][order] for values in (queries, docs, is_false))
    return Lessons(doubt_columns(tuple(reasons), evidence, queries, docs), is_false, queries)


def softmax_weights(evidence: Evidence, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    """float64 (N,): exp(s/t) / (exp(s+/t) + the same over the query's pairs in the table), by the main model, t = .05 for cosines.

    Other similarities are divided by the spread of all scores first, so that the weight means the same. A query without a
    positive: its pairs alone.
    """
    if not len(query_rows):
        return np.empty(0)
    own = evidence.vectors
    scores = evidence.scores(own, query_rows, doc_rows).astype(np.float64)
    positive = evidence.positive_scores(own, query_rows).astype(np.float64)
    unit = SOFTMAX_TEMPERATURE if own.similarity == "cosine" else max(float(np.std(scores)), 1e-9)
    rows, index = np.unique(query_rows, return_inverse=True)
    highest = np.full(len(rows), -np.inf)
    np.maximum.at(highest, index, np.fmax(scores, positive))
    own_part = np.exp((scores - highest[index]) / unit)
    total = np.bincount(index, weights=own_part, minlength=len(rows))
    positive_of = np.full(len(rows), np.nan)
    positive_of[index] = positive
    total += np.nan_to_num(np.exp((positive_of - highest) / unit))
    return own_part / total[index]


def suspects_of_trial(
    corpus: Corpus,
    results: TrialResults,
    context: MiningContext,
    *,
    evidence: Evidence | None = None,
    reasons: Sequence[Reason] | None = None,
    combination: Combination | None = None,
    verdicts: Mapping[tuple[str, str], str] | None = None,
    include_refused: bool = False,
    use_cache: bool = True,
) -> SuspectTable:
    """The suspects among a trial's candidates: every pair that some mining kept, each once, ascending by query, then document.

    Known positives and texts identical to one are never among them. ``evidence``: made of the trial's final model, the untrained
    encoder as guide, no other trials and no cross-encoder when it is not given. ``include_refused``: also pairs that every
    mining refused. Columns are kept in the trial's folder. Raises TrialError for a trial without candidates.
    """
    from core.audit.trial_figures import pairs_of

    evidence = evidence or evidence_of_trial(corpus, results, context)
    table = evidence.table
    assert table is not None
    pairs = pairs_of(table)
    is_open = ~context.protected.contains(pairs.query_row, pairs.doc_row)
    pairs = pairs.take(is_open & ((pairs.n_kept > 0) | include_refused))
    return suspect_table(
        evidence,
        pairs.query_row,
        pairs.doc_row,
        reasons=reasons,
        combination=combination,
        pairs=pairs,
        verdicts=verdicts,
        cache=results.folder / FOLDER if use_cache else None,
    )


def suspects_of_imported(
    corpus: Corpus,
    context: MiningContext,
    vectors: Vectors,
    *,
    evidence: Evidence | None = None,
    reasons: Sequence[Reason] | None = None,
    combination: Combination | None = None,
    verdicts: Mapping[tuple[str, str], str] | None = None,
    cache: Path | None = None,
) -> SuspectTable:
    """The suspects among the negatives that came with the corpus; nothing needs to be trained.

    Labelled positives of the query and copies of one are left out here: those need no doubt. ``vectors``: the main model, such
    as the untrained encoder (then it is its own guide, and the guide's reasons stay away). Raises CorpusError where the corpus
    came without negatives.
    """
    from core.audit.imported import imported_candidates

    found = imported_candidates(corpus)
    is_open = found.is_kept
    query_rows = np.broadcast_to(found.query_rows[:, None], found.doc_rows.shape)[is_open]
    evidence = evidence or Evidence(corpus, context, vectors, guide=None)
    table = suspect_table(
        evidence, query_rows, found.doc_rows[is_open], reasons=reasons, combination=combination, verdicts=verdicts, cache=cache
    )
    return SuspectTable(**{**vars(table), "rank": found.ranks[is_open].astype(np.int64)})
