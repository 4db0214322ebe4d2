"""What was picked on the map: a table of the lassoed points, and the why-card of one document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.params import digest
from pages.ui.card_dialog import Desk, card_over, n_closed
from pages.ui.evidence import trial_evidence
from pages.ui.map_chart import DOCUMENT, QUERY
from pages.ui.map_side import SIGNS
from pages.ui.negatives_data import trial_cards
from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session
    from pages.ui.map_data import View

LISTED = 500
_SEEN = "map.seen"


def picked(session: Session, row: TrialRow, view: View, carried: Sequence[str]) -> None:
    """A clicked document's why-card over the page, a clicked query's text, or the lassoed points as a table."""
    docs, queries = _picked_rows(view, carried)
    n = len(docs) + len(queries)
    if n == 1:
        # The chart keeps its selection: it counts once, when it is new, so that a closed card stays closed.
        if session.state.get(_SEEN) != list(carried) and len(docs):
            session.link.set(doc=view.corpus.doc_ids(docs)[0])
        if len(queries):
            _picked_query(session, view, int(queries[0]))
    elif n:
        _picked_table(session, view, docs, queries)
    if n < 2:
        st.caption(
            ":material/ads_click: Click a point for its why-card, or choose the lasso and draw around points to list them."
        )
    session.state[_SEEN] = list(carried)
    if session.link.value("doc", ""):
        query_id = view.corpus.query_ids([view.query_row])[0]
        steps = [(query_id, doc_id) for doc_id in view.corpus.doc_ids(view.own_negatives)]
        cards = trial_cards(view.corpus, row)
        card_over(Desk(session, cards, lambda: trial_evidence(session, view.corpus, row), row.id), query_id=query_id, steps=steps)


def _picked_rows(view: View, carried: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(document rows, query rows) of what the selected points carry."""
    doc_ids = [i.removeprefix(DOCUMENT) for i in carried if i.startswith(DOCUMENT)]
    query_ids = [i.removeprefix(QUERY) for i in carried if i.startswith(QUERY)]
    docs, queries = view.corpus.doc_rows(doc_ids), view.corpus.query_rows(query_ids)
    return docs[docs >= 0], queries[queries >= 0]


def _picked_table(session: Session, view: View, doc_rows: np.ndarray, query_rows: np.ndarray) -> None:
    """The lassoed points, closest to the query first, queries at the end; a ticked row opens its card."""
    n = len(doc_rows) + len(query_rows)
    doc_rows = doc_rows[np.argsort(view.ranks[doc_rows], kind="stable")]
    table = view.corpus.documents.take(doc_rows)
    texts = view.corpus.query_texts(query_rows)
    places = view.cast.places_of(doc_rows)
    columns = {
        "role": [_sign(view, place) for place in places] + [SIGNS["query"]] * len(query_rows),
        "rank": [*map(int, view.ranks[doc_rows]), *[None] * len(query_rows)],
        "score": [*map(float, view.scores[doc_rows]), *[None] * len(query_rows)],
        "title": table["title"].to_pylist() + [""] * len(query_rows),
        "text": [shorten(text or "", 300) for text in table["text"].to_pylist()] + texts,
        "id": table["doc_id"].to_pylist() + view.corpus.query_ids(query_rows),
    }
    if not any(columns["title"]):
        del columns["title"]
    shown = {name: values[:LISTED] for name, values in columns.items()}
    st.subheader(f"{n:,} points selected", anchor=False)
    key = f"map.picked.{digest([doc_rows.tolist(), query_rows.tolist()])}.{n_closed()}"

    def pick() -> None:
        ticked = st.session_state[key]["selection"]["rows"]
        if ticked and ticked[0] < len(doc_rows):
            session.link.set(doc=shown["id"][ticked[0]])

    st.dataframe(
        shown,
        key=key,
        on_select=pick,
        selection_mode="single-row",
        hide_index=True,
        width="stretch",
        height=min(35 * (min(n, LISTED) + 1) + 3, 420),
        column_config={
            "role": st.column_config.TextColumn(
                width=150, help="For the chosen query, else for another query of the map."
            ),
            "rank": st.column_config.NumberColumn(width=60, help="For the chosen query, among all documents."),
            "score": st.column_config.NumberColumn(
                format="%.3f", width=70, help="Similarity to the chosen query; larger = closer."
            ),
            "id": st.column_config.TextColumn(width=110),
        },
    )
    if n > LISTED:
        st.caption(f"The {LISTED} closest to the query are listed.")
    st.caption("Tick the box left of a row for the document's why-card.")


def _picked_query(session: Session, view: View, query_row: int) -> None:
    """A clicked query: its text, and the way to make it the chosen one."""
    query_id = view.corpus.query_ids([query_row])[0]
    with st.container(border=True, gap="small"):
        st.markdown(f"**{plain(SIGNS['query'])}** {code(query_id)}")
        show(view.corpus.query_texts([query_row])[0])
        if query_row != view.query_row:
            st.button(
                "Look at this query",
                key="map.this-query",
                icon=":material/center_focus_strong:",
                on_click=lambda: session.link.set(query=query_id, doc=None),
            )


def _sign(view: View, place: int) -> str:
    role = view.role[place]
    return SIGNS[role] if view.is_own[place] or role == "other" else f"{SIGNS[role]} of another"
