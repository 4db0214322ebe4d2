"""The queue of the Judge page: suspects of a trial or of an imported set, most doubt x harm first, made once a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.audit.combine import DEFAULT_COMBINATION
from core.errors import ParameterError, TrialError
from pages.ui.evidence import trial_evidence, untrained_evidence
from pages.ui.negatives_data import stamp_of

if TYPE_CHECKING:
    from core.audit.evidence import Evidence
    from core.audit.suspect_table import SuspectTable
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from core.lab.verdicts import Pair
    from pages.ui.frame import Session
    from pages.ui.judge_choose import Manner

NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight")
#: What the link calls a way to combine the reasons -> its title and the combination as data.
RULES = {
    "any": ("one reason", {"key": "any"}),
    **{str(k): (f"{name} reasons agree", {"key": "k-of-n", "k": k}) for k, name in enumerate(NUMBERS, 2)},
    "learned": ("learned from the verdicts", {"key": "learned"}),
}
DEFAULT_RULE = str(DEFAULT_COMBINATION.k)
SCOPES = {"suspects": "suspects only", "all": "every negative"}


@dataclass(frozen=True, eq=False)
class Queue:
    """Pairs in the order in which they are judged. ``table``: their doubts and harm, in that order; ``place``: pair -> number
    from 0; ``evidence``: what they were weighed with; ``note``: a sentence about how they were chosen, "" = nothing to say."""

    pairs: list[Pair]
    table: SuspectTable
    evidence: Evidence
    note: str
    place: dict[Pair, int]

    def __len__(self) -> int:
        return len(self.pairs)


def judge_queue(session: Session, corpus: Corpus, row: TrialRow | None, rule: str = DEFAULT_RULE, scope: str = "suspects") -> Queue:
    """The queue of a trial, or of the corpus's imported negatives when ``row`` is None.

    "learned" learns from the verdicts of the moment; a queue once made stays until as many verdicts more are there as make a
    difference (a tenth). Raises TrialError or CorpusError where nothing was mined or imported.
    """
    evidence = trial_evidence(session, corpus, row) if row is not None else untrained_evidence(session, corpus)
    if row is not None and evidence.table is None:
        raise TrialError("This trial has no table of mined candidates: its recipe mines none, or it has not mined yet.")
    stamp = f"{row.folder} {stamp_of(row.folder)}" if row is not None else "imported"
    made = _table(id(evidence), corpus.fingerprint, stamp, corpus, evidence, row)
    decided = session.verdicts.decided(corpus.fingerprint) if rule == "learned" else {}
    n_steps = int(np.log(max(1, len(decided))) / np.log(1.1))
    return _queue(id(made), corpus.fingerprint, stamp, rule, scope, n_steps, corpus, made, decided)[0]


def queue_or_why(session: Session, corpus: Corpus, row: TrialRow | None, manner: Manner) -> tuple[Queue | None, str]:
    """The queue and a sentence about it; None and why, for a trial without candidates."""
    try:
        queue = judge_queue(session, corpus, row, manner.rule, manner.scope)
    except TrialError as error:
        return None, str(error)
    return queue, queue.note


def judge_pairs(session: Session, corpus: Corpus, row: TrialRow | None, **how: str) -> list[tuple[int, int, float, float]]:
    """(query row, document row, doubt, harm) of the queue, in its order."""
    table = judge_queue(session, corpus, row, **how).table
    return list(zip(table.query_row.tolist(), table.doc_row.tolist(), table.combined.tolist(), table.harm.tolist(), strict=True))


# An id in a key tells one object from another; what is kept holds that object, so that its id is not given again.
@st.cache_resource(max_entries=4, show_spinner=False)
def _table(
    evidence_id: int, fingerprint: str, stamp: str, _corpus: Corpus, _evidence: Evidence, _row: TrialRow | None
) -> tuple[SuspectTable, Evidence]:
    from core.audit.suspect_table import suspects_of_imported, suspects_of_trial
    from core.train.results import TrialResults

    if _row is None:
        return suspects_of_imported(_corpus, _evidence.context, _evidence.vectors, evidence=_evidence), _evidence
    return suspects_of_trial(_corpus, TrialResults(_row.folder), _evidence.context, evidence=_evidence), _evidence


@st.cache_resource(max_entries=12, show_spinner=False)
def _queue(
    made_id: int, fingerprint: str, stamp: str, rule: str, scope: str, n_steps: int, _corpus: Corpus, _made, _decided: dict[Pair, str]
) -> tuple[Queue, object]:
    from core.audit.combine import make_combination
    from core.audit.suspect_table import lessons_of

    note, (whole, evidence) = "", _made
    combination = make_combination(RULES[rule][1])
    lessons = lessons_of(evidence, whole.reasons, _decided) if rule == "learned" else None
    try:
        table = whole.decided(combination, lessons)
        if table.learned is not None:
            note = table.learned.sentence
    except ParameterError as error:  # too few verdicts to learn from: the queue must go on nevertheless
        table, note = whole.decided(make_combination(RULES[DEFAULT_RULE][1])), str(error)
    order = table.order()
    if scope == "suspects":
        order = order[table.is_suspect[order]]
    chosen = table.take(order)
    pairs = list(zip(_corpus.query_ids(chosen.query_row), _corpus.doc_ids(chosen.doc_row), strict=True))
    return Queue(pairs, chosen, evidence, note, {pair: i for i, pair in enumerate(pairs)}), _made
