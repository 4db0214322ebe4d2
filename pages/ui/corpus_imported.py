"""The negatives that a mined set brought along, query by query, before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.bits import tiles
from pages.ui.text import plain, shorten, show

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.links import Link

LISTED = 500  # queries in the box; any other one is reached by the link
VERDICTS = {"kept": "no reason found", "known-positive": "a labelled positive", "identical-to-positive": "a copy of a positive"}


@st.cache_data(max_entries=16, show_spinner=False)
def _funnel(fingerprint: str, _corpus: Corpus) -> tuple[dict[str, int], int, int]:
    from core.audit.imported import first_query_row, imported_candidates

    found = imported_candidates(_corpus)
    return dict(found.funnel()), len(found.query_rows), first_query_row(_corpus)


def imported(corpus: Corpus, link: Link) -> None:
    """What the file would have trained against: counts, then the list of one query (the link's, else one with a doubt)."""
    from core.audit.imported import imported_columns

    counts, n_queries, first = _funnel(corpus.fingerprint, corpus)
    assert corpus.imported is not None
    tiles(
        {
            "Imported negatives": counts["looked at"],
            "Queries with some": n_queries,
            "Labelled positives": counts["known-positive"],
            "Copies of one": counts["identical-to-positive"],
        },
        helps={
            "Imported negatives": f"Pairs of query and negative in the file ({plain(corpus.imported.source)}).",
            "Labelled positives": "Negatives of a query that the same file labels as its positive: certain false negatives.",
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
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        column_config={
            "rank": st.column_config.NumberColumn("Rank", help="Its place among the query's negatives in the file.", width="small"),
            "doc_id": st.column_config.TextColumn("Document"),
            "text": st.column_config.TextColumn("Text", width="large"),
            "score": st.column_config.NumberColumn("Score", format="%.4f", help="Of the miner, as the file gives it; larger = closer."),
            "verdict": st.column_config.TextColumn("Reason to doubt it"),
        },
    )
