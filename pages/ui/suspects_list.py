"""The suspects as a table: every reason a column with its value, sorted, filtered and paged by the link; a click is the card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from core.params import digest
from pages.ui.card_dialog import card_over, n_closed
from pages.ui.card_judge import BUTTONS
from pages.ui.form import lesson_markdown
from pages.ui.text import shorten

if TYPE_CHECKING:
    from core.audit.suspect_table import SuspectTable
    from pages.ui.links import Link
    from pages.ui.suspects_data import Doubted

PAGE_ROWS = 15
FLAGGED = "background-color: rgba(204,121,167,.32)"
ALL = "all"
JUDGED = {ALL: "all", "open": "not judged", "judged": "judged"} | {kind: label.lower() for kind, (label, *_) in BUTTONS.items()}
TRUTH = {ALL: "all", "relevant": "relevant by truth", "other": "not known as relevant"}
SORTS = {"harmful": "doubt x harm", "doubt": "doubt", "reasons": "number of reasons", "harm": "harm", "used": "uses", "rank": "best rank"}
HARM = {
    True: "The total force with which the training pushed the pair apart: uses x mean weight.",
    False: "The softmax weight that the model would give the pair among the query's negatives: what it would cost to train on it.",
}


def suspects_list(link: Link, doubted: Doubted, table: SuspectTable, verdicts: Mapping[tuple[str, str], str]) -> None:
    """Filters, the table, and the card of the link's document."""
    corpus = doubted.corpus
    rows = _filtered(link, doubted, table, verdicts)
    if not len(rows):
        st.info("No pair is left with these filters. Take one away, or lower a threshold.", icon=":material/filter_alt_off:")
    rows = rows[_order(link, table.take(rows))]
    page = min(link.value("page", 1, ge=1), max(1, -(-len(rows) // PAGE_ROWS)))
    shown = table.take(rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS])
    steps = list(zip(corpus.query_ids(shown.query_row), corpus.doc_ids(shown.doc_row), strict=True))
    if len(rows):
        _draw(link, doubted, shown, steps, verdicts)
        with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
            st.caption(
                f"{len(rows):,} pairs. Click the box left of a row for its why-card. Violet: the value reaches its threshold.",
                width="content",
            )
            n_pages = -(-len(rows) // PAGE_ROWS)
            if n_pages > 1:
                link.bind(st.pagination, "page", n_pages, default=1, ge=1, le=n_pages)
    if link.value("doc", ""):
        card_over(replace(doubted.desk, reasons=table.reasons), steps=steps)


def _filtered(link: Link, doubted: Doubted, table: SuspectTable, verdicts: Mapping[tuple[str, str], str]) -> np.ndarray:
    """The rows of the table that the link's filters leave, ascending."""
    titles = {ALL: "any"} | {reason.key: reason.title for reason in table.reasons}
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        only = link.bind(st.toggle, "only", "only suspects", default=True, resets=("page",), help="Those that the rule above suspects.")
        why = link.bind(
            st.selectbox, "why", "With this reason", options=list(titles), default=ALL, format_func=titles.get, resets=("page",), width=175
        )
        judged = link.bind(st.selectbox, "judged", "Judged", options=list(JUDGED), format_func=JUDGED.get, resets=("page",), width=130)
        truth = ALL
        if table.grade is not None:
            truth = link.bind(st.selectbox, "truth", "Truth", options=list(TRUTH), format_func=TRUTH.get, resets=("page",), width=150)
        by_reason = {reason.key: reason.title for reason in table.reasons}
        link.bind(
            st.selectbox,
            "sort",
            "Sorted by",
            options=[*SORTS, *by_reason],
            format_func=(SORTS | by_reason).get,
            resets=("page",),
            width=165,
            help="Most first. Doubt x harm: what is likely wrong and did most.",
        )
    mask = table.is_suspect.copy() if only else np.ones(len(table), bool)
    if why != ALL:
        mask &= table.flags[why]
    if truth != ALL:
        mask &= (table.grade >= 1) == (truth == "relevant")
    rows = np.flatnonzero(mask)
    if judged == ALL:
        return rows
    corpus = doubted.corpus
    pairs = zip(corpus.query_ids(table.query_row[rows]), corpus.doc_ids(table.doc_row[rows]), strict=True)
    kinds = [verdicts.get(pair, "") for pair in pairs]
    wanted = {"open": lambda kind: not kind, "judged": bool}.get(judged, lambda kind: kind == judged)
    return rows[np.array([wanted(kind) for kind in kinds], bool)]


def _order(link: Link, table: SuspectTable) -> np.ndarray:
    """Positions by the link's column, most first, ties by doubt x harm; a value that cannot be said comes last."""
    sort = link.value("sort", "harmful", options=[*SORTS, *(reason.key for reason in table.reasons)])
    by_harm = table.order()
    if sort == "harmful":
        return by_harm
    figures = {
        "doubt": table.combined,
        "reasons": table.n_reasons,
        "harm": table.harm,
        "used": table.times_used,
        "rank": -np.where(table.rank > 0, table.rank, np.iinfo(np.int64).max // 2),
    }
    values = (figures[sort] if sort in figures else table.doubts[sort])[by_harm]
    return by_harm[np.argsort(-np.nan_to_num(values.astype(np.float64), nan=-np.inf), kind="stable")]


def _draw(link: Link, doubted: Doubted, shown: SuspectTable, steps: list[tuple[str, str]], verdicts) -> None:
    corpus, is_trained = doubted.corpus, bool(doubted.row)
    said = [verdicts.get(pair, "") for pair in steps]
    columns: dict[str, Any] = {
        "query": [shorten(t, 90) for t in corpus.query_texts(shown.query_row)],
        "document": [shorten(t, 130) for t in corpus.document_texts(shown.doc_row)],
        "doubt": shown.combined,
        "harm": shown.harm,
        "n": shown.n_reasons,
    }
    if verdicts:
        columns["judged"] = [BUTTONS[kind][0].lower() if kind else "" for kind in said]
    if shown.grade is not None:
        columns["truth"] = ["◆ relevant" if grade >= 1 else "" for grade in shown.grade]
    if is_trained:
        columns["used"] = shown.times_used
    columns["rank"] = [int(rank) or None for rank in shown.rank]
    shorts = {reason.short: reason for reason in shown.reasons}
    columns |= {short: shown.doubts[reason.key] for short, reason in shorts.items()}
    frame = pd.DataFrame(columns)

    def marks(column: pd.Series) -> list[str]:
        flags = shown.flags[shorts[column.name].key]
        return [FLAGGED if flag else "" for flag in flags]

    key = f"suspects.{n_closed()}.{digest(steps)}"

    def pick() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked:
            query, doc = steps[picked[0]]
            link.set(query=query, doc=doc)

    st.dataframe(
        frame.style.apply(marks, subset=list(shorts)) if shorts else frame,
        hide_index=True,
        width="stretch",
        height=35 * (min(PAGE_ROWS, len(steps)) + 1) + 3,
        on_select=pick,
        selection_mode="single-row",
        key=key,
        placeholder="",
        column_config=_config(is_trained, shorts),
    )


def _config(is_trained: bool, shorts: dict[str, Any]) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    config = {
        "query": text(width=140, pinned=True),
        "document": text(width=215, pinned=True),
        "doubt": number(format="%.2f", width=58, help="What the rule makes of all reasons: .5 = at the threshold, 1 = no doubt left."),
        "harm": number(format="%.3g", width=58, help=HARM[is_trained]),
        "n": number(width=36, help="How many reasons reach their thresholds."),
        "judged": text(width=98, help="What most of its judges said."),
        "truth": text(width=82, help="What the fuller judgements say. Training never sees them."),
        "used": number(width=50, help="Times in the loss, over all minings."),
        "rank": number(width=48, help="In the source's list at the latest mining."),
    }
    for short, reason in shorts.items():
        lesson = lesson_markdown(reason.lesson())
        config[short] = number(format="%.2f", width=80, help=f"**{reason.title}**, doubted from {reason.threshold:.3g}. {lesson}")
    return config
