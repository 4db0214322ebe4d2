"""Vector indexes on this corpus: recall, time and memory against exact search, and the negatives that each would mine."""

import streamlit as st

from pages.ui import frame, plain
from pages.ui.indexes_data import choose_measured, measure, measured
from pages.ui.indexes_view import charts_of, lessons, table_of, told

with frame("Indexes", has_title=False) as session:
    corpus = session.need_corpus()
    st.title("Indexes", anchor=False)
    st.caption(
        f"What an approximate index saves on {plain(corpus.name)} ({corpus.n_documents:,} documents), "
        "and which negatives it would no longer find."
    )
    asked = choose_measured(session, corpus)
    found = measured(asked)
    if found is None or not found.is_complete:
        found = measure(asked, found) or found
    if found is not None and found.figures:
        told(found)
        charts_of(found)
        table_of(found)
    lessons()
