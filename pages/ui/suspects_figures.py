"""What the rule finds, in figures and one sentence, and what can be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.bits import tiles
from pages.ui.export import export_menu
from pages.ui.retrain import retrain_button
from pages.ui.suspects_data import IMPORTED, UNTRAINED
from pages.ui.text import plain
from pages.ui.travel import page_button

if TYPE_CHECKING:
    from core.audit.suspect_table import SuspectTable
    from pages.ui.suspects_data import Doubted, Rule


def figures(table: SuspectTable, verdicts: Mapping[tuple[str, str], str], doubted: Doubted) -> None:
    """Tiles: pairs, suspects, harm that went into them, verdicts, and what truth says."""
    n, n_suspects = len(table), int(table.is_suspect.sum())
    total = float(table.harm.sum())
    queries = doubted.corpus.query_rows([pair[0] for pair in verdicts]) if verdicts else []
    shown: dict[str, str | int | float] = {"Negatives": n, "Suspects": n_suspects, "Verdicts": len(queries)}
    if total > 0 and doubted.row is not None:
        shown["Pull on them"] = f"{float(table.harm[table.is_suspect].sum()) / total:.0%}"
    if table.grade is not None:
        shown["By truth"] = int((table.grade >= 1).sum())
    tiles(
        shown,
        helps={
            "Negatives": "Pairs of query and document that were kept as negatives, each once; known positives are not among them.",
            "Suspects": "Those that the rule suspects of being positives without a label.",
            "Verdicts": "Pairs of this corpus that somebody has judged.",
            "Pull on them": "Share of the training's total push (uses x weight) that went into suspects.",
            "By truth": "By the fuller judgements of this corpus: the false negatives that are really there.",
        },
    )


def truth_sentence(table: SuspectTable) -> str:
    """How right the rule is, where that can be known; "" where it cannot.

    Precision: share of the suspects that truth calls relevant. Recall: share of the relevant pairs that are suspects.
    """
    if table.grade is None or not len(table):
        return ""
    is_true = table.grade >= 1
    n_hit, n_suspect, n_true = int((is_true & table.is_suspect).sum()), int(table.is_suspect.sum()), int(is_true.sum())
    if not n_true:
        return "Truth knows no relevant document among these negatives, so every suspect is a false alarm."
    if not n_suspect:
        return f"The rule suspects none of them; truth calls {n_true:,} relevant."
    return (
        f"Against truth this rule has precision {n_hit / n_suspect:.2f} ({n_hit:,} of its {n_suspect:,} suspects are relevant) and "
        f"recall {n_hit / n_true:.2f} (of {n_true:,} relevant ones)."
    )


def actions(doubted: Doubted, rule: Rule, table: SuspectTable) -> None:
    """Judge these, retrain, export: as far as each makes sense here."""
    row = doubted.row
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if doubted.source != UNTRAINED:
            page_button(
                "Judge these",
                "judge",
                key="suspects.judge",
                icon=":material/gavel:",
                disabled=not table.is_suspect.any(),
                source=None if row else IMPORTED,
                trial=row.id if row else None,
                rule=_rule_of_judge(rule),
            )
        if row is not None:
            export_menu(doubted.session, row, doubted.desk.cards, key="suspects")
            retrain_button(doubted.session, row, key="suspects.retrain")


def _rule_of_judge(rule: Rule) -> str | None:
    """The Judge page's name for the rule."""
    from pages.ui.judge_queue import DEFAULT_RULE, RULES

    name = str(getattr(rule.combination, "k", rule.combination.key))
    return name if name in RULES and name != DEFAULT_RULE else None


def say_truth(table: SuspectTable) -> None:
    sentence = truth_sentence(table)
    if sentence:
        st.markdown(f":material/diamond: {plain(sentence)}")
