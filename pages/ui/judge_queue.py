"""The queue of the Judge page: suspects of a trial or of an imported set, most doubt x harm first, made once a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.errors import ParameterError
from pages.ui.evidence import trial_evidence, untrained_evidence
from pages.ui.negatives_data import stamp_of

if TYPE_CHECKING:
    from core.audit.evidence import Evidence
    from core.audit.suspect_table import SuspectTable
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from core.lab.verdicts import Pair
    from pages.ui.frame import Session

#: What the link calls a way to combine the reasons -> its title and the combination as data.
RULES = {
    "any": ("one reason", {"key": "any"}),
    "2": ("two reasons agree", {"key": "k-of-n", "k": 2}),
    "3": ("three reasons agree", {"key": "k-of-n", "k": 3}),
    "5": ("five reasons agree", {"key": "k-of-n", "k": 5}),
    "learned": ("learned from the verdicts", {"key": "learned"}),
}
DEFAULT_RULE = "3"
SCOPES = {"suspects": "suspects only", "all": "every negative"}


@dataclass(frozen=True, eq=False)
class Queue:
    """Pairs in the order in which they are judged. ``table``: their doubts and harm, in that order; ``place``: pair -> number
    from 0; ``n_all``: pairs that were weighed; ``note``: a sentence about how they were chosen, "" = nothing to say."""

    pairs: list[Pair]
    table: SuspectTable
    n_all: int
    note: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", {pair: i for i, pair in enumerate(self.pairs)})

    place = None  # type: dict[Pair, int]

    def __len__(self) -> int:
        return len(self.pairs)


def judge_queue(session: Session, corpus: Corpus, row: TrialRow | None, rule: str = DEFAULT_RULE, scope: str = "suspects") -> Queue:
    """The queue of a trial, or of the corpus's imported negatives when ``row`` is None.

    "learned" learns from the verdicts of the moment; a queue once made stays until as many verdicts more are there as make a
    difference (a tenth). Raises TrialError or CorpusError where nothing was mined or imported.
    """
    evidence = trial_evidence(session, corpus, row) if row is not None else untrained_evidence(session, corpus)
    stamp = f"{row.folder} {stamp_of(row.folder)}" if row is not None else "imported"
    table = _table(id(evidence), corpus.fingerprint, stamp, corpus, evidence, row)
    decided = session.verdicts.decided(corpus.fingerprint) if rule == "learned" else {}
    n_steps = int(np.log(max(1, len(decided))) / np.log(1.1))
    return _queue(id(table), corpus.fingerprint, stamp, rule, scope, n_steps, corpus, table, evidence, decided)


def judge_pairs(session: Session, corpus: Corpus, row: TrialRow | None, **how: str) -> list[tuple[int, int, float, float]]:
    """(query row, document row, doubt, harm) of the queue, in its order."""
    table = judge_queue(session, corpus, row, **how).table
    return list(zip(table.query_row.tolist(), table.doc_row.tolist(), table.combined.tolist(), table.harm.tolist(), strict=True))


# The ids in the keys tell one evidence from another; each cached value keeps what it was made of, so no id comes back.
@st.cache_resource(max_entries=4, show_spinner=False)
def _table(evidence_id: int, fingerprint: str, stamp: str, _corpus: Corpus, _evidence: Evidence, _row: TrialRow | None) -> SuspectTable:
    from core.audit.suspect_table import suspects_of_imported, suspects_of_trial
    from core.train.results import TrialResults

    if _row is None:
        return suspects_of_imported(_corpus, _evidence.context, _evidence.vectors, evidence=_evidence)
    return suspects_of_trial(_corpus, TrialResults(_row.folder), _evidence.context, evidence=_evidence)


@st.cache_resource(max_entries=12, show_spinner=False)
def _queue(
    table_id: int, fingerprint: str, stamp: str, rule: str, scope: str, n_steps: int, _corpus, _table: SuspectTable, _evidence, _decided
) -> Queue:
    from core.audit.combine import make_combination
    from core.audit.suspect_table import lessons_of

    note = ""
    combination = make_combination(RULES[rule][1])
    lessons = lessons_of(_evidence, _table.reasons, _decided) if rule == "learned" else None
    try:
        table = _table.decided(combination, lessons)
        if table.learned is not None:
            note = table.learned.sentence
    except ParameterError as error:  # too few verdicts to learn from: the queue must go on nevertheless
        table, note = _table.decided(make_combination(RULES[DEFAULT_RULE][1])), str(error)
    order = table.order()
    if scope == "suspects":
        order = order[table.is_suspect[order]]
    chosen = table.take(order)
    pairs = list(zip(_corpus.query_ids(chosen.query_row), _corpus.doc_ids(chosen.doc_row), strict=True))
    queue = Queue(pairs, chosen, len(table), note)
    object.__setattr__(queue, "made_of", (_table, _evidence))
    return queue
