"""Choosing the query that the map is about: search, the next one, a random one, one with suspects."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.project import scene
from pages.ui.browse import find_rows
from pages.ui.text import shorten

if TYPE_CHECKING:
    from pages.ui.frame import Session
    from pages.ui.map_data import Trial

SHOWN_MATCHES = 200
# Queries whose negatives are judged at a time while one with suspects is looked for.
BLOCK = 64


def chosen_query(session: Session, trial: Trial) -> int:
    """The row of the link's query, else the first of the page's order; a query that is unknown is dropped with a notice."""
    wanted = session.link.query
    if wanted is None:
        return int(trial.order[0])
    row = int(trial.corpus.query_rows([wanted])[0])
    if row in trial.order:
        return row
    st.warning(
        "The query of this link is not a training query of this corpus, so nothing was mined for it. "
        "Shown is another one.",
        icon=":material/link_off:",
    )
    return int(trial.order[0])


def query_picker(session: Session, trial: Trial, query_row: int, step: int, n_points: int) -> None:
    """The row of widgets above the map; a choice goes into the link."""
    link, corpus = session.link, trial.corpus

    def go_to(row: int) -> None:
        link.set(query=corpus.query_ids([row])[0], doc=None)

    def by_steps(by: int) -> None:
        at = int(np.flatnonzero(trial.order == query_row)[0])
        go_to(int(trial.order[(at + by) % len(trial.order)]))

    def at_random() -> None:
        group = scene.query_group(trial.order, query_row, n_points)
        others = group[group != query_row]
        if len(others):
            go_to(int(others[secrets.randbelow(len(others))]))

    def with_suspects() -> None:
        found = next_with_suspects(trial, query_row, step)
        if found is None:
            st.toast("No training query has a suspect among its negatives at this snapshot.", icon=":material/check:")
        else:
            go_to(found)

    find, choose, buttons = st.columns([1.9, 4, 4.2], gap="small", vertical_alignment="bottom")
    with find:
        words = link.bind(
            st.text_input,
            "find",
            "Search",
            default="",
            icon=":material/search:",
            placeholder="words that all occur",
            help="Among the training queries, by text or id.",
        )
    with choose:
        rows = find_rows(corpus.queries, ("query_id", "text"), words) if words else trial.order
        rows = trial.order[np.isin(trial.order, rows)]
        options = [query_row, *(int(row) for row in rows[:SHOWN_MATCHES] if row != query_row)]
        texts = dict(zip(options, corpus.query_texts(options), strict=True))
        key = "map.query"
        if st.session_state.get(key) != query_row:
            st.session_state[key] = query_row
        st.selectbox(
            f"Query ({len(rows):,} match)" if words else f"Query ({len(rows):,} with training pairs)",
            options,
            key=key,
            format_func=lambda row: shorten(texts[row], 110),
            on_change=lambda: go_to(st.session_state[key]),
        )
    with buttons.container(horizontal=True, gap="small", vertical_alignment="bottom"):
        st.button(
            "", icon=":material/arrow_back:", key="map.previous", help="Previous query", on_click=by_steps, args=(-1,)
        )
        st.button("", icon=":material/arrow_forward:", key="map.next", help="Next query", on_click=by_steps, args=(1,))
        st.button(
            "",
            icon=":material/shuffle:",
            key="map.random",
            on_click=at_random,
            help="A random query of this map. Search for one that is not on it; the map is then laid out for that one.",
        )
        st.button(
            "With suspects",
            icon=":material/diamond:",
            key="map.suspects",
            on_click=with_suspects,
            disabled=not trial.mines,
            help="The next query with a negative that may be a positive without a label.",
        )


def next_with_suspects(trial: Trial, query_row: int, step: int) -> int | None:
    """The first query after this one, in the page's order and round again, with a doubted negative; None = there is none."""
    at = int(np.flatnonzero(trial.order == query_row)[0])
    ahead = np.roll(trial.order, -at - 1)[:-1]
    for start in range(0, len(ahead), BLOCK):
        block = ahead[start : start + BLOCK]
        negatives = trial.negatives(step, block).first(scene.NEGATIVES_PER_QUERY)
        reasons = trial.reasons(step, negatives)
        doubted = {int(q) for q, why in zip(negatives.query_rows, reasons, strict=True) if why}
        for row in block:
            if int(row) in doubted:
                return int(row)
    return None
