"""What the Suspects page works with: which negatives are doubted, their table, and the rule of the link, made once a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.audit.combine import COMBINATIONS, DEFAULT_COMBINATION, Combination, make_combination
from core.audit.reasons import REASONS
from core.errors import ParameterError
from core.params import digest
from pages.ui.card_dialog import Desk
from pages.ui.evidence import trained_cross, trial_evidence, untrained_cards, untrained_evidence
from pages.ui.negatives_data import stamp_of, trial_cards

if TYPE_CHECKING:
    from core.audit.evidence import Evidence
    from core.audit.learned import Lessons
    from core.audit.reason import Reason
    from core.audit.suspect_table import SuspectTable
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session
    from pages.ui.links import Link

TRIAL, IMPORTED, UNTRAINED = "trial", "imported", "untrained"


@dataclass(frozen=True)
class Doubted:
    """The negatives that are doubted: a trial's, those that came with the corpus, or the untrained model's best."""

    session: Session
    corpus: Corpus
    source: str
    row: TrialRow | None

    @property
    def evidence(self) -> Evidence:
        return trial_evidence(self.session, self.corpus, self.row) if self.row else untrained_evidence(self.session, self.corpus)

    @property
    def desk(self) -> Desk:
        """For why-cards of these pairs."""
        cards = trial_cards(self.corpus, self.row) if self.row else untrained_cards(self.corpus)
        return Desk(self.session, cards, lambda: self.evidence, self.row.id if self.row else "")

    @property
    def key(self) -> tuple[str, ...]:
        """Names the table in the server's memory."""
        cross = trained_cross(self.corpus)
        own = (str(self.row.folder), stamp_of(self.row.folder)) if self.row else (self.source, "")
        return self.corpus.fingerprint, *own, cross.key if cross else ""

    def table(self) -> SuspectTable:
        """Every pair with every reason that can be said, at default thresholds. Raises TrialError where nothing was mined."""
        return _table(self.key, self)


@st.cache_resource(max_entries=4, show_spinner=False)
def _table(key: tuple[str, ...], _doubted: Doubted) -> SuspectTable:
    from core.audit.suspect_table import suspects_of_imported, suspects_of_trial
    from core.audit.untrained_suspects import suspects_of_top
    from core.train.results import TrialResults

    corpus, evidence = _doubted.corpus, _doubted.evidence
    if _doubted.row is not None:
        return suspects_of_trial(corpus, TrialResults(_doubted.row.folder), evidence.context, evidence=evidence)
    cache = _doubted.session.workspace.cache / "suspects"
    if _doubted.source == IMPORTED:
        return suspects_of_imported(corpus, evidence.context, evidence.vectors, evidence=evidence, cache=cache)
    return suspects_of_top(evidence, cache=cache)


@dataclass(frozen=True)
class Rule:
    """How the page decides: the combination, and the reasons that vote with their thresholds, in the order of REASONS."""

    combination: Combination
    reasons: tuple[Reason, ...]

    @property
    def key(self) -> str:
        return digest([self.combination.to_dict(), [reason.to_dict() for reason in self.reasons]])


def rule_of(link: Link) -> Rule:
    """The rule of the link; what it does not say is as by default, what it says wrongly is dropped."""
    return Rule(_combination(link), tuple(_reasons(link)))


def _combination(link: Link) -> Combination:
    text = link.value("rule", "")
    if not text:
        return DEFAULT_COMBINATION
    try:
        data: Any = json.loads(text) if text.startswith("{") else text
        return make_combination(data)
    except (ParameterError, ValueError, TypeError, AttributeError):
        link.forget("rule")
        st.caption(":orange[The rule of this link cannot be read; the usual one is used.]")
        return DEFAULT_COMBINATION


def set_combination(link: Link, combination: Combination) -> None:
    """Write it into the link, a bare key where the parameters are the defaults."""
    is_plain = combination == type(combination)()
    text = combination.key if is_plain else json.dumps(combination.to_dict(), separators=(",", ":"))
    link.set(rule=None if combination == DEFAULT_COMBINATION else text, page=None)


def first_of(key: str) -> Combination:
    """The combination of that key as it is offered first."""
    return DEFAULT_COMBINATION if key == DEFAULT_COMBINATION.key else {cls.key: cls for cls in COMBINATIONS}[key]()


def _reasons(link: Link) -> list[Reason]:
    found = []
    changes = _changes(link)
    for cls in REASONS:
        change = changes.get(cls.key, "")
        if change == "off":
            continue
        try:
            found.append(cls(threshold=float(change)) if change else cls())
        except (ParameterError, ValueError):
            found.append(cls())
    return found


def _changes(link: Link) -> dict[str, str]:
    """Reason's key -> "off" or another threshold, as the link says: ``reasons=score:0.8,margin:off``."""
    parts = (part.split(":", 1) for part in link.value("reasons", []) if ":" in part)
    return {key: value for key, value in parts if key in {cls.key for cls in REASONS}}


def set_reason(link: Link, reason: Reason, is_on: bool) -> None:
    """Write one reason's threshold, or that it does not vote, into the link."""
    changes = _changes(link)
    changes.pop(reason.key, None)
    if not is_on:
        changes[reason.key] = "off"
    elif reason != type(reason)():
        changes[reason.key] = f"{reason.threshold:.6g}"
    link.set(reasons=[f"{key}:{value}" for key, value in changes.items()] or None, page=None)


def decided(doubted: Doubted, rule: Rule) -> tuple[SuspectTable, str, dict[tuple[str, str], str]]:
    """(the table under the rule, what to say about the rule: "" = nothing, people's verdicts by pair of ids)."""
    verdicts = doubted.session.verdicts.decided(doubted.corpus.fingerprint)
    stamp = digest(sorted([*pair, kind] for pair, kind in verdicts.items())) if rule.combination.key == "learned" else ""
    return *_decided(doubted.key, rule.key, stamp, doubted, rule, verdicts), verdicts


@st.cache_resource(max_entries=16, show_spinner=False)
def _decided(key: tuple[str, ...], rule_key: str, verdicts_key: str, _doubted: Doubted, _rule: Rule, _verdicts) -> tuple[SuspectTable, str]:
    table = _doubted.table()
    note = ""
    if _rule.combination.key == "learned":
        lessons = _lessons(_doubted.evidence, table, _rule, _verdicts)
        note = _rule.combination.missing(lessons)
        if not note:
            found = table.decided(_rule.combination, lessons, _rule.reasons)
            return found, found.learned.sentence if found.learned else ""
        return table.decided(DEFAULT_COMBINATION, None, _rule.reasons), f"{note} Until then: {DEFAULT_COMBINATION.summary().lower()}."
    return table.decided(_rule.combination, None, _rule.reasons), note


def _lessons(evidence: Evidence, table: SuspectTable, rule: Rule, verdicts) -> Lessons:
    from core.audit.suspect_table import lessons_of

    return lessons_of(evidence, [reason for reason in rule.reasons if reason.key in table.doubts], verdicts)
