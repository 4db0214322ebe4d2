"""The negatives that a mined set brought along, query by query, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.audit.combine import DEFAULT_COMBINATION
from core.audit.reasons import default_reasons
from pages.ui.bits import tiles
from pages.ui.card_dialog import card_over, n_closed
from pages.ui.suspects_data import IMPORTED, Doubted, Rule, decided
from pages.ui.text import plain, shorten, show
from pages.ui.travel import page_button

if TYPE_CHECKING:
    from core.audit.suspect_table import SuspectTable
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session
    from pages.ui.links import Link

LISTED = 500  # queries in the box; any other one is reached by the link
VERDICTS = {"kept": "not suspected", "known-positive": "a labelled positive", "identical-to-positive": "a copy of a positive"}


@st.cache_data(max_entries=16, show_spinner=False)
def _funnel(fingerprint: str, _corpus: Corpus) -> tuple[dict[str, int], int, int]:
    from core.audit.imported import first_query_row, imported_candidates

    found = imported_candidates(_corpus)
    return dict(found.funnel()), len(found.query_rows), first_query_row(_corpus)


def imported(session: Session, corpus: Corpus) -> None:
    """What the file would have trained against: counts, then the list of one query (the link's, else one with a doubt).

    Each negative has its doubt and its reasons by the untrained encoder, and a why-card; nothing needs to be trained.
    """
    from core.audit.imported import imported_columns

    link = session.link
    counts, n_queries, first = _funnel(corpus.fingerprint, corpus)
    assert corpus.imported is not None
    tiles(
        {
            "Negatives": counts["looked at"],
            "Queries": n_queries,
            "Labelled": counts["known-positive"],
            "Copies of one": counts["identical-to-positive"],
        },
        helps={
            "Negatives": f"Pairs of query and negative in the file ({plain(corpus.imported.source)}).",
            "Queries": "Queries of the corpus that have some.",
            "Labelled": "Negatives of a query that the same file labels as its positive: certain false negatives.",
            "Copies of one": "Negatives with the title and text of a positive of the same query, under another id.",
        },
    )
    rows = corpus.query_rows([link.query]) if link.query else [-1]
    row = int(rows[0]) if rows[0] >= 0 else first
    if row < 0:
        return
    choices = {row, *corpus.imported.query_rows[corpus.imported.ranks == 1][:LISTED].tolist()}
    texts = dict(zip(sorted(choices), corpus.query_texts(sorted(choices)), strict=True))
    chosen = st.selectbox(
        "Query", list(texts), index=list(texts).index(row), format_func=lambda i: shorten(texts[i], 120), key=f"imported.{row}"
    )
    if chosen != row:
        link.set(query=corpus.query_ids([chosen])[0])
        st.rerun()
    for text in corpus.document_texts(corpus.positives.positives(row)):
        show(text, title="Positive")
    columns = imported_columns(corpus, row)
    columns["verdict"] = [VERDICTS[verdict] for verdict in columns["verdict"]]
    with st.spinner("Asking every reason to doubt these negatives; nothing is trained ..."):
        doubted = Doubted(session, corpus, IMPORTED, None)
        table, _, _ = decided(doubted, Rule(DEFAULT_COMBINATION, default_reasons()))
    _draw(link, corpus, row, columns, table)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        label = f"All {int(table.is_suspect.sum()):,} suspects of this set"
        page_button(label, "suspects", key="imported.suspects", icon=":material/gpp_maybe:", trial=None, query=None, source=IMPORTED)
        st.caption("Tick the box left of a row for its why-card.", width="content")
    if link.value("doc", ""):
        query_id = corpus.query_ids([row])[0]
        card_over(doubted.desk, query_id=query_id, steps=[(query_id, doc_id) for doc_id in columns["doc_id"]])


def _draw(link: Link, corpus: Corpus, query_row: int, columns: dict[str, list], table: SuspectTable) -> None:
    """The query's negatives with what doubts them."""
    at = {int(doc): i for i, doc in zip(*_of_query(table, query_row), strict=True)}
    places = [at.get(int(doc_row)) for doc_row in corpus.doc_rows(columns["doc_id"])]
    reasons = [[r.short for r in table.reasons if i is not None and table.flags[r.key][i]] for i in places]
    columns = columns | {
        "doubt": [None if i is None else float(table.combined[i]) for i in places],
        "reasons": reasons,
        "verdict": [
            v if i is None or not table.is_suspect[i] else "suspect" for v, i in zip(columns["verdict"], places, strict=True)
        ],
    }
    key = f"imported.table.{query_row}.{n_closed()}"

    def pick() -> None:
        ticked = st.session_state[key]["selection"]["rows"]
        if ticked:
            link.set(doc=columns["doc_id"][ticked[0]])

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    st.dataframe(
        {name: columns[name] for name in ("rank", "doc_id", "text", "verdict", "doubt", "reasons", "score")},
        hide_index=True,
        width="stretch",
        key=key,
        on_select=pick,
        selection_mode="single-row",
        placeholder="",
        column_config={
            "rank": number("Rank", help="Its place among the query's negatives in the file.", width=50),
            "doc_id": text("Document", width=110),
            "text": text("Text", width=300),
            "score": number("Score", format="%.4f", help="Of the miner, as the file gives it; larger = closer.", width=70),
            "verdict": text("Said of it", width=130, help=f"A labelled positive, a copy, or a suspect: {DEFAULT_COMBINATION.k} reasons."),
            "doubt": number("Doubt", format="%.2f", width=60, help=".5 = as many reasons as the rule asks for reach their thresholds."),
            "reasons": st.column_config.ListColumn("Reasons", width=260, help="Those that reach their thresholds; the card explains each."),
        },
    )


def _of_query(table: SuspectTable, query_row: int) -> tuple[np.ndarray, np.ndarray]:
    """(positions, document rows) of the query's pairs."""
    rows = np.flatnonzero(table.query_row == query_row)
    return rows, table.doc_row[rows]
