"""Two systems query by query: wins and losses, the most changed queries, and the two ranked lists of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.evaluate.diff import Move, compare_rankings, compare_runs, most_changed, query_differences, rank_changes
from pages.ui import charts
from pages.ui.card_dialog import Desk, card_over, n_closed
from pages.ui.evidence import trial_evidence
from pages.ui.looks import draw, selected_ids
from pages.ui.negatives_data import trial_cards
from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.audit.compare import System
    from core.corpus.corpus import Corpus
    from pages.ui.compare_data import Chosen
    from pages.ui.frame import Session
    from pages.ui.links import Link

LISTED = 12
DEPTHS = (10, 20)
MARKS = {"up": "▲", "down": "▼", "same": "=", "new": "new", "gone": "gone"}


def pair_view(session: Session, chosen: Chosen, measure: str) -> None:
    """Choose A and B, then everything about the two."""
    link = session.link
    systems = {system.key: system for system in chosen.comparison.systems}
    keys = list(systems)
    names = {key: shorten(system.name, 50) for key, system in systems.items()}
    cells = st.columns(2, gap="medium")
    with cells[0]:
        a = systems[link.bind(st.selectbox, "a", "A", options=keys, default=keys[0], format_func=names.get)]
    with cells[1]:
        other = next((s.key for s in chosen.comparison.systems[1:] if s.group != chosen.comparison.systems[0].group), keys[1])
        b = systems[link.bind(st.selectbox, "b", "B", options=keys, default=other, format_func=names.get)]
    if a.key == b.key:
        st.info("A and B are the same. Choose another for one of them.", icon=":material/info:")
        return
    query_rows = chosen.comparison.query_rows
    values_a, values_b = a.values[measure], b.values[measure]
    difference = query_differences(values_b, values_a)
    is_known = ~np.isnan(difference)
    ids = chosen.corpus.query_ids(query_rows)
    _tallies(a, b)
    texts = chosen.corpus.query_texts(query_rows)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        figure = charts.differences(
            difference[is_known],
            f"{measure}, B - A",
            ids=[i for i, known in zip(ids, is_known, strict=True) if known],
            texts=[t for t, known in zip(texts, is_known, strict=True) if known],
            title="Each query",
            better="B",
            worse="A",
        )
        event = draw(figure, key="differences", on_select="rerun")
        clicked = selected_ids(event)
        # The chart's selection stays on the page; it counts once, when it is new.
        if clicked and st.session_state.get("_compare_clicked") != clicked[0]:
            st.session_state["_compare_clicked"] = clicked[0]
            link.set(query=clicked[0])
        st.caption("Click a bar for the two ranked lists of its query.")
    with right:
        _changed(link, ids, texts, values_a, values_b, measure)
    _lists(link, chosen, a, b, ids, difference)
    if link.value("doc", ""):
        side = b if link.value("side", "A", options=["A", "B"]) == "B" else a
        row = chosen.row_of(side)
        desk = Desk(session, trial_cards(chosen.corpus, row), lambda: trial_evidence(session, chosen.corpus, row), row.id)
        card_over(desk, query_id=ids[_place(link, ids, difference)], forget=("doc", "side"))


def _place(link: Link, ids: list[str], difference: np.ndarray) -> int:
    """The place of the link's query among the held-out ones, else of the most changed one."""
    return ids.index(link.query) if link.query in ids else int(np.nanargmax(np.abs(np.nan_to_num(difference))))


def _tallies(a: System, b: System) -> None:
    tallies = compare_runs(b.values, a.values)
    columns = {
        "measure": [t.measure for t in tallies],
        "B wins": [t.n_wins for t in tallies],
        "A wins": [t.n_losses for t in tallies],
        "ties": [t.n_ties for t in tallies],
        "mean of B - A": [t.mean for t in tallies],
    }
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        key="tallies",
        column_config={"mean of B - A": st.column_config.NumberColumn(format="%+.4f", help="Over all queries, ties counted.")},
    )


def _changed(link: Link, ids: list[str], texts: list[str], values_a: np.ndarray, values_b: np.ndarray, measure: str) -> None:
    wins, losses = most_changed(values_b, values_a, LISTED)
    places = np.concatenate([wins[: LISTED // 2], losses[: LISTED // 2]])
    if not len(places):
        st.info(f"A and B have the same {measure} on every query.", icon=":material/drag_handle:")
        return
    st.markdown("**Most changed queries**")

    def pick() -> None:
        picked = st.session_state["changed"]["selection"]["rows"]
        if picked:
            link.set(query=ids[places[picked[0]]])

    st.dataframe(
        {
            "query": [texts[i] for i in places],
            "A": values_a[places],
            "B": values_b[places],
            "B - A": values_b[places] - values_a[places],
        },
        hide_index=True,
        width="stretch",
        height=300,
        on_select=pick,
        selection_mode="single-row",
        key="changed",
        column_config={
            "query": st.column_config.TextColumn(width=140),
            "A": st.column_config.NumberColumn(format="%.3f", width=55),
            "B": st.column_config.NumberColumn(format="%.3f", width=55),
            "B - A": st.column_config.NumberColumn(format="%+.3f", width=65),
        },
    )
    st.caption("Click the box left of a row for its two ranked lists.")


def _lists(link: Link, chosen: Chosen, a: System, b: System, ids: list[str], difference: np.ndarray) -> None:
    st.subheader("The two ranked lists of one query", anchor=False)
    at = _place(link, ids, difference)
    if link.query and link.query not in ids:
        st.caption(f":orange[{plain(shorten(link.query, 60))} is no held-out query; the most changed one is shown.]")
    corpus, query_row = chosen.corpus, int(chosen.comparison.query_rows[at])
    all_a, all_b = chosen.ranking(a), chosen.ranking(b)
    alike = compare_rankings(all_a, all_b)
    text, numbers, depth_cell = st.columns([4, 3, 1.5], gap="medium", vertical_alignment="center")
    with depth_cell:
        depth = link.bind(st.segmented_control, "depth", "Depth", options=list(DEPTHS), default=DEPTHS[0])
    with text, st.container(border=True, gap="xsmall"):
        st.caption(f":material/star: Query {code(ids[at])}")
        show(corpus.query_texts([query_row])[0])
    numbers.markdown(
        f"Overlap@10 **{alike.overlap_10[at]:.0%}** :gray[(mean {np.nanmean(alike.overlap_10):.0%})]  \n"
        f"Rank-biased overlap **{alike.rbo[at]:.2f}** :gray[(mean {np.nanmean(alike.rbo):.2f})]",
        help="Overlap@10: share of the first ten that both lists have. Rank-biased overlap (p = .9): 1 = the same order, the top "
        "counts most. In brackets: the mean over all held-out queries.",
    )
    moves = rank_changes(all_a[at], all_b[at], depth)
    sides = ((a, "A", [m for m in moves if m.rank_a and m.rank_a <= depth]), (b, "B", [m for m in moves if m.rank_b and m.rank_b <= depth]))
    for cell, (system, letter, own) in zip(st.columns(2, gap="medium"), sides, strict=True):
        with cell:
            seed = f", its first seed {'of ' + str(len(system.members))}" if len(system.members) > 1 else ""
            st.markdown(f"**{letter}: {plain(shorten(system.name, 60))}**{seed}")
            _list(link, chosen.corpus, query_row, own, letter)
    st.caption(
        "● labelled positive, ◆ relevant by truth only. Move: places up or down from A to B; new and gone: not in the other's first 100. "
        "Tick the box left of a row for the document's why-card."
    )


def _list(link: Link, corpus: Corpus, query_row: int, moves: list[Move], letter: str) -> None:
    moves = sorted(moves, key=lambda move: (move.rank_a if letter == "A" else move.rank_b) or 0)
    rows = np.array([move.doc_row for move in moves], dtype=np.int64)
    is_positive = corpus.positives.contains(query_row, rows)
    is_true = corpus.truth.grade_of(query_row, rows) >= 1 if corpus.truth is not None else np.zeros(len(rows), bool)
    columns: dict[str, Any] = {
        "rank": [move.rank_a if letter == "A" else move.rank_b for move in moves],
        " ": ["●" if p else "◆" if t else "" for p, t in zip(is_positive, is_true, strict=True)],
        "document": [shorten(text, 180) for text in corpus.document_texts(rows)],
        f"in {'B' if letter == 'A' else 'A'}": [move.rank_b if letter == "A" else move.rank_a for move in moves],
        "move": [MARKS[m.status] + (f" {abs(m.up)}" if m.up else "") for m in moves],
    }
    ids, key = corpus.doc_ids(rows), f"list.{letter}.{query_row}.{n_closed()}"

    def pick() -> None:
        ticked = st.session_state[key]["selection"]["rows"]
        if ticked:
            link.set(doc=ids[ticked[0]], side=letter)

    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        height=35 * (max(1, len(moves)) + 1) + 3,
        key=key,
        on_select=pick,
        selection_mode="single-row",
        placeholder="",
        column_config={
            "rank": st.column_config.NumberColumn(width=45),
            " ": st.column_config.TextColumn(width=30, help="● labelled positive, ◆ relevant by truth only."),
            "document": st.column_config.TextColumn(width=200),
            "in A": st.column_config.NumberColumn(width=45, help="Its rank in A; empty: below the first 100."),
            "in B": st.column_config.NumberColumn(width=45, help="Its rank in B; empty: below the first 100."),
            "move": st.column_config.TextColumn(width=60),
        },
    )
