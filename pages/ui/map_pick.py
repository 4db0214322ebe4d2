"""What was picked on the map: a table of the lassoed points, and one document in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.params import digest
from pages.ui.map_chart import DOCUMENT, QUERY
from pages.ui.map_side import SIGNS
from pages.ui.text import code, plain, shorten, show
from pages.ui.travel import page_button

if TYPE_CHECKING:
    from pages.ui.frame import Session
    from pages.ui.map_data import View

LISTED = 500
SHORT_WORD = 3


def picked(session: Session, view: View, carried: Sequence[str]) -> None:
    """The points that were lassoed as a table, or the one that was clicked (else the link's) in full."""
    docs, queries = _picked_rows(view, carried)
    n = len(docs) + len(queries)
    chosen = int(view.corpus.doc_rows([session.link.value("doc", "")])[0])
    if n == 1:
        chosen = int(docs[0]) if len(docs) else -1
        session.link.set(doc=view.corpus.doc_ids(docs)[0] if len(docs) else None)
        if len(queries):
            _picked_query(session, view, int(queries[0]))
    elif n:
        chosen = _picked_table(view, docs, queries)
    if chosen >= 0:
        _picked_document(view, chosen)
    elif n == 0:
        st.caption(
            ":material/lasso_select: Click a point to read it here, or choose the lasso and draw around points to list them."
        )


def _picked_rows(view: View, carried: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """(document rows, query rows) of what the selected points carry."""
    doc_ids = [i.removeprefix(DOCUMENT) for i in carried if i.startswith(DOCUMENT)]
    query_ids = [i.removeprefix(QUERY) for i in carried if i.startswith(QUERY)]
    docs, queries = view.corpus.doc_rows(doc_ids), view.corpus.query_rows(query_ids)
    return docs[docs >= 0], queries[queries >= 0]


def _picked_table(view: View, doc_rows: np.ndarray, query_rows: np.ndarray) -> int:
    """The lassoed points, closest to the query first, queries at the end; returns the row of the ticked document or -1."""
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
    key = f"map.picked.{digest([doc_rows.tolist(), query_rows.tolist()])}"
    event = st.dataframe(
        shown,
        key=key,
        on_select="rerun",
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
    ticked = event["selection"]["rows"]
    if ticked and ticked[0] < len(doc_rows):
        return int(doc_rows[ticked[0]])
    st.caption("Tick the box left of a row to read the document.")
    return -1


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


def _picked_document(view: View, doc_row: int) -> None:
    """One document in full, its standing with the query, and for a negative the way to its reasons."""
    doc_id, title, text = view.title(doc_row)
    role = view.role_for(doc_row)
    words = [w for w in view.corpus.query_texts([view.query_row])[0].lower().split() if len(w) > SHORT_WORD]
    margin = view.lowest_positive - float(view.scores[doc_row])
    with st.container(border=True, gap="small"):
        line = (
            f"**{plain(SIGNS[role])}** {code(doc_id)}: score {view.scores[doc_row]:.3f}, rank {view.ranks[doc_row]:,}"
        )
        if role != "positive" and not np.isnan(margin):
            line += f", {abs(margin):.3f} {'below' if margin > 0 else 'above'} the lowest positive"
        st.markdown(line)
        show(text, words, title=title)
        if view.kept.get(doc_row):
            st.markdown(f":material/help: Doubted: {plain('; '.join(view.kept[doc_row]))}.")
        if role in ("negative", "suspect"):
            page_button(
                "Why this negative?",
                "negatives",
                key="map.why",
                icon=":material/manage_search:",
                query=view.corpus.query_ids([view.query_row])[0],
                doc=doc_id,
            )
