"""The rule that makes a suspect: which reasons vote, from which thresholds, and how they are combined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.audit.combine import COMBINATIONS
from core.audit.reasons import REASONS
from pages.ui import charts
from pages.ui.form import lesson_markdown, piece_form
from pages.ui.looks import draw
from pages.ui.suspects_data import Doubted, Rule, first_of, set_combination, set_reason
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.audit.suspect_table import SuspectTable
    from pages.ui.links import Link

TITLES = {cls.key: cls.title for cls in COMBINATIONS}


def choose_combination(link: Link, rule: Rule, note: str) -> None:
    """The way to combine, with its parameters; a change goes into the link."""
    now = rule.combination
    n = len(now.params())
    kind_cell, form_cell, _ = st.columns([1.6, 0.1 + 0.5 * n, 1.15 - 0.5 * n], gap="medium", vertical_alignment="bottom")
    chosen = kind_cell.segmented_control(
        "Suspected when",
        list(TITLES),
        default=now.key,
        format_func=TITLES.get,
        key=f"suspects.rule.{now.key}",
        help="  \n".join(f"**{plain(cls.title)}**: {plain(cls.idea())}" for cls in COMBINATIONS),
    )
    if chosen and chosen != now.key:
        set_combination(link, first_of(chosen))
        st.rerun()
    if now.params():
        with form_cell:
            changed = piece_form(now, "suspects.combination", columns=max(1, n))
        if changed != now:
            set_combination(link, changed)
            st.rerun()
    if note:
        st.caption(plain(note))


def reasons_form(link: Link, doubted: Doubted, table: SuspectTable, rule: Rule) -> None:
    """Each reason with its lesson, whether it votes, its threshold, and where the doubts of these pairs lie."""
    base = doubted.table()
    able = [cls for cls in REASONS if cls.key in base.doubts]
    if not able:
        st.caption("No reason can be said of these negatives.")
        return
    voting = {reason.key: reason for reason in rule.reasons}
    about, figure = st.columns([1, 1.25], gap="large")
    with about:
        key = link.bind(
            st.selectbox,
            "about",
            "Reason",
            options=[cls.key for cls in able],
            format_func=lambda k: _by_key(k).title + ("" if k in voting else " (does not vote)"),
        )
        reason = voting.get(key) or _by_key(key)()
        is_on = st.toggle("It votes", value=key in voting, key=f"suspects.on.{key}.{key in voting}")
        if is_on != (key in voting):
            set_reason(link, reason, is_on)
            st.rerun()
        changed = piece_form(reason, "suspects.reason", columns=1)
        if changed != reason:
            set_reason(link, changed, is_on)
            st.rerun()
        st.markdown(lesson_markdown(reason.lesson()))
        st.caption(f"{plain(f'{reason.source.authors} {reason.source.year}')}, [{plain(reason.source.title)}]({reason.source.url})")
    with figure:
        doubts = base.doubts[key]
        groups = {"negative": doubts}
        if base.grade is not None:
            groups = {"negative": doubts[base.grade < 1], "suspect": doubts[base.grade >= 1]}
        line = {f"from {reason.threshold:.3g}": reason.threshold}
        drawn = charts.histogram(groups, reason.title.lower(), title="Doubts of all pairs", lines=line)
        if base.grade is not None:
            for trace, name in zip(drawn.data, ("not known as relevant", "relevant by truth"), strict=True):
                trace.name = f"{name} (n = {len(groups['negative' if name.startswith('not') else 'suspect']):,})"
        draw(drawn, key="suspects.doubts")
        n = int(reason.flag(doubts).sum())
        unsaid = int(np.isnan(doubts).sum())
        st.caption(f"{n:,} of {len(doubts):,} pairs reach the threshold" + (f"; of {unsaid:,} it cannot be said." if unsaid else "."))
    if table.missing:
        lines = [f"**{plain(_by_key(k).title)}**: {plain(why)}." for k, why in table.missing.items()]
        st.caption("Not here: " + " ".join(lines))


def _by_key(key: str):
    return {cls.key: cls for cls in REASONS}[key]
