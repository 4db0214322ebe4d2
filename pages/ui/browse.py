"""Looking through a corpus: search, page through, and one query or document in full."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.links import Link

PAGE_ROWS = 15
SHOWN_POSITIVES = 20
# Words this short are shared by chance; marking them would hide the others.
SHORT_WORD = 3


def find_rows(table: pa.Table, columns: tuple[str, ...], words: str) -> np.ndarray:
    """Rows in which every word of ``words`` occurs in one of the columns, ignoring case: int64, ascending."""
    is_found = pa.chunked_array([pa.repeat(True, table.num_rows)])
    for word in words.split():
        hits = [pc.match_substring(table[name], word, ignore_case=True) for name in columns]
        either = hits[0]
        for more in hits[1:]:
            either = pc.or_(either, more)
        is_found = pc.and_(is_found, either)
    return np.flatnonzero(is_found.to_numpy(zero_copy_only=False))


def in_order(splits: Iterable[str]) -> list[str]:
    """The names of splits in the order in which people think of them: train, dev, test, then the others."""
    known = {"train": 0, "dev": 1, "test": 2}
    return sorted(splits, key=lambda name: (known.get(name, 3), name))


def browse(corpus: Corpus, link: Link) -> None:
    """The queries or documents as a table to search and page through, and the chosen one beside it."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        what = link.bind(
            st.segmented_control,
            "show",
            "Show",
            options=["queries", "documents"],
            resets=("page",),
            format_func=str.capitalize,
        )
        if what == "queries":
            splits = ["all", *in_order(corpus.splits)]
            split = link.bind(st.segmented_control, "split", "Split", options=splits, resets=("page",))
        words = link.bind(
            st.text_input,
            "find",
            f"Search the {what}",
            default="",
            resets=("page",),
            icon=":material/search:",
            placeholder="words that all occur",
            width=320,
        )
    is_queries = what == "queries"
    table = corpus.queries if is_queries else corpus.documents
    rows = find_rows(table, ("query_id", "text") if is_queries else ("doc_id", "title", "text"), words)
    if is_queries and split != "all":
        rows = np.intersect1d(rows, corpus.split_query_rows(split))
    if not len(rows):
        st.info(
            f"None of the {table.num_rows:,} {what} match. Take a word out of the search.", icon=":material/search_off:"
        )
        return
    listing, detail = st.columns([3, 2], gap="medium")
    with listing:
        chosen = _table(corpus, link, rows, is_queries)
    with detail, st.container(border=True, height=35 * (PAGE_ROWS + 1) + 3, key="detail"):
        _query(corpus, link, chosen) if is_queries else _document(corpus, chosen)


def _table(corpus: Corpus, link: Link, rows: np.ndarray, is_queries: bool) -> int:
    """Draw one page of rows; returns the chosen row, the first of the page unless the link names one."""
    n_pages = -(-len(rows) // PAGE_ROWS)
    page = min(link.value("page", 1, ge=1), n_pages)
    shown = rows[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    if is_queries:
        ids, known = corpus.query_ids(shown), corpus.positives.n_per_query()[shown]
        columns = {"query": corpus.query_texts(shown), "positives": known, "id": ids}
    else:
        ids = corpus.doc_ids(shown)
        texts = [shorten(text, 160) for text in corpus.documents["text"].take(pa.array(shown)).to_pylist()]
        columns = {"title": corpus.documents["title"].take(pa.array(shown)).to_pylist(), "text": texts, "id": ids}
        if not any(columns["title"]):
            del columns["title"]
    name = "query" if is_queries else "doc"
    key = f"rows.{name}.{page}.{len(rows)}"

    def pick() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked:
            link.set(**{name: ids[picked[0]]})

    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        height=35 * (len(shown) + 1) + 3,
        on_select=pick,
        selection_mode="single-row",
        key=key,
        column_config={
            "positives": st.column_config.NumberColumn(width=80),
            "id": st.column_config.TextColumn(width=110),
        },
    )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{len(rows):,} found. Click the box left of a row to see it in full.")
        if n_pages > 1:
            link.bind(st.pagination, "page", n_pages, default=1, ge=1, le=n_pages)
    wanted = link.value(name, "")
    row = int((corpus.query_rows if is_queries else corpus.doc_rows)([wanted])[0]) if wanted else -1
    return row if row >= 0 else int(shown[0])


def _query(corpus: Corpus, link: Link, row: int) -> None:
    text = corpus.query_texts([row])[0]
    st.caption(f":material/star: Query {code(corpus.query_ids([row])[0])}")
    show(text)
    words = [word for word in text.lower().split() if len(word) > SHORT_WORD]
    for split in in_order(corpus.splits):
        _positives(corpus, corpus.splits[split].positives(row), f"in {plain(split)}", words)
    if corpus.truth is not None:
        hidden = np.setdiff1d(corpus.truth.positives(row), corpus.positives.positives(row))
        _positives(corpus, hidden, "without a label (in truth, for auditing only)", words)


def _positives(corpus: Corpus, rows: np.ndarray, where: str, words: list[str]) -> None:
    if not len(rows):
        return
    st.markdown(f"**{len(rows):,} positive{'s' if len(rows) != 1 else ''}** {where}")
    for row in rows[:SHOWN_POSITIVES]:
        _positive(corpus, int(row), words)
    if len(rows) > SHOWN_POSITIVES:
        st.caption(f"and {len(rows) - SHOWN_POSITIVES:,} more.")


def _positive(corpus: Corpus, row: int, words: list[str]) -> None:
    title, text = (corpus.documents[name][row].as_py() for name in ("title", "text"))
    with st.container(border=True):
        show(shorten(text, 320), words, title=title)
        st.caption(f":material/circle: {code(corpus.doc_ids([row])[0])}")


def _document(corpus: Corpus, row: int) -> None:
    record = {name: corpus.documents[name][row].as_py() for name in corpus.documents.column_names}
    st.caption(f":material/description: Document {code(record['doc_id'])}")
    show(record["text"], title=record["title"])
    fields = {name: value for name, value in record.items() if name not in ("doc_id", "title", "text") and value}
    if fields:
        st.dataframe({"field": list(fields), "value": list(fields.values())}, hide_index=True, width="stretch")
    query_rows, doc_rows, _ = corpus.positives.pairs()
    asking = query_rows[doc_rows == row]
    st.markdown(f"**A positive of {len(asking):,} quer{'y' if len(asking) == 1 else 'ies'}**")
    for query in corpus.query_texts(asking[:SHOWN_POSITIVES]):
        show(f"★ {query}")
