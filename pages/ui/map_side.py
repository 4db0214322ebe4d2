"""Beside the map: the query, its neighbours in the full space, and how far the plane can be trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.ui.card_dialog import n_closed
from pages.ui.text import code, shorten, show

if TYPE_CHECKING:
    from pages.ui.links import Link
    from pages.ui.map_data import View

NEIGHBOURS = 10
SIGNS = {
    "positive": "● positive",
    "negative": "✕ negative",
    "suspect": "◆ suspect",
    "other": "○ other",
    "query": "★ query",
}


def query_card(view: View) -> None:
    """The chosen query's text, and how many lines go out from it."""
    query_id = view.corpus.query_ids([view.query_row])[0]
    n_suspects = sum(bool(view.kept[int(row)]) for row in view.own_negatives)
    with st.container(border=True, gap="small"):
        st.caption(f":material/star: Query {code(query_id)}")
        show(view.corpus.query_texts([view.query_row])[0])
        n = len(view.own_positives)
        sentence = f"{n} known positive{'s' if n != 1 else ''}"
        if view.trial.mines:
            drawn, kept = len(view.own_negatives), len(view.kept)
            which = f"{drawn} of {kept}" if kept > drawn else f"{kept}"
            are = "is a suspect" if n_suspects == 1 else "are suspects"
            sentence += f" and {which} negatives are on the map; {n_suspects} of these {are}"
        st.caption(
            f"{sentence}.",
            help="Negatives: what the recipe keeps for this query at this snapshot, the best ranked ones first; each "
            "epoch it picks from them. A suspect scores above the lowest positive or within 5 % of it, or is nearly a "
            "copy of a positive" + (", or is relevant by the corpus's truth." if view.corpus.truth else "."),
        )


def neighbour_table(link: Link, view: View, first_step: int) -> None:
    """The ten closest documents of the whole corpus at this snapshot, and their rank at the first one; a ticked row opens its card."""
    from core.project.scene import ranks_of

    rows = np.argsort(view.ranks, kind="stable")[:NEIGHBOURS]
    then = ranks_of(view.trial.scores(first_step, view.query_row))[rows]
    taken = [view.title(int(row)) for row in rows]
    columns = {
        "rank": view.ranks[rows],
        "role": [SIGNS[view.role_for(int(row))].split()[0] for row in rows],
        "document": [shorten(f"{title}: {text}" if title else text, 160) for _, title, text in taken],
        "score": view.scores[rows],
        "was": then,
    }
    st.markdown(f"**Nearest in the full space** :gray[({view.trial.labels[view.step]})]")
    key = f"map.neighbours.{view.query_row}.{view.step}.{n_closed()}"

    def pick() -> None:
        ticked = st.session_state[key]["selection"]["rows"]
        if ticked:
            link.set(doc=taken[ticked[0]][0])

    roles = "; ".join(SIGNS[name] for name in ("positive", "negative", "suspect", "other"))
    st.dataframe(
        columns,
        key=key,
        on_select=pick,
        selection_mode="single-row",
        hide_index=True,
        width="stretch",
        height=35 * (len(rows) + 1) + 3,
        column_config={
            "rank": st.column_config.NumberColumn(
                width=44, help="Among all documents of the corpus, at this snapshot."
            ),
            "was": st.column_config.NumberColumn(
                width=44, help=f"Its rank at the first snapshot ({view.trial.labels[first_step]})."
            ),
            "role": st.column_config.TextColumn(width=42, help=f"For this query. {roles}"),
            "document": st.column_config.TextColumn(width=150, help="Title and text. Tick the box left of a row for its why-card."),
            "score": st.column_config.NumberColumn(
                format="%.3f", width=56, help="Similarity to the query; larger = closer."
            ),
        },
    )


def trust_line(kept: float, trustworthy: float, n_points: int) -> None:
    """How much of the neighbourhoods the plane kept, and what must not be read off it."""
    with st.container(horizontal=True, gap="large"):
        st.caption(
            f"Neighbours kept **{kept:.0%}**",
            width="content",
            help=f"Of each point's 10 nearest points in the full space, the share that is also among its 10 nearest "
            f"on the map; mean over {n_points:,} points. A random plane keeps about {10 / max(1, n_points - 1):.1%}.",
        )
        st.caption(
            f"Trustworthiness **{trustworthy:.2f}**",
            width="content",
            help="1 = whoever is drawn close is close. Points that are among the 10 nearest on the map without being "
            "so in the full space count against it, by their true rank (Venna and Kaski 2001).",
        )
    st.caption("Distances between far clusters mean nothing; the neighbours listed beside are from the full space.")
