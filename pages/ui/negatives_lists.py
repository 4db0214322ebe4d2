"""The lists of a whole trial's negatives: pairs, documents, queries; a click leads to the query's own view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.audit.suspects import REASONS
from core.audit.trial_figures import Pairs, doubtful_queries, popular_documents
from core.audit.trial_table import HARDNESS, TrialTable
from pages.ui.card_view import WEIGHT_HELP
from pages.ui.negatives_query import SHORT_REASONS
from pages.ui.text import code, shorten, show

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.links import Link

PAGE_ROWS = 15
SORTS = {"pull": "pull", "uses": "uses", "weight": "mean weight", "margin": "smallest margin", "rank": "best rank"}
PULL_HELP = "Uses x mean weight: the total force with which the training pushed the pair apart."


def pairs_list(link: Link, corpus: Corpus, table: TrialTable, pairs: Pairs, *, name: str = "pairs") -> None:
    """The pairs, a page at a time; a click opens the pair's card in its query's view."""
    sort = link.bind(st.segmented_control, "sort", "Sorted by", options=list(SORTS), format_func=SORTS.get, resets=("page",))
    keys = {
        "pull": -pairs.pull,
        "uses": -pairs.times_used,
        "weight": -np.nan_to_num(pairs.weight),
        "margin": table.margin[pairs.last],
        "rank": table.rank[pairs.last],
    }
    order = np.lexsort((pairs.doc_row, pairs.query_row, keys[sort]))
    shown = pairs.take(order[_page(link, len(pairs))])
    last = shown.last
    columns: dict[str, Any] = {
        "query": [shorten(t, 100) for t in corpus.query_texts(shown.query_row)],
        "document": [shorten(t, 140) for t in corpus.document_texts(shown.doc_row)],
        "pull": shown.pull,
        "used": shown.times_used,
        "weight": shown.weight,
        "rank": table.rank[last],
        "s-": table.score[last],
        "margin": table.margin[last],
        "hardness": [HARDNESS[i] for i in table.hardness[last]],
    }
    columns |= {SHORT_REASONS.get(t, t): ["✓" if flag else "" for flag in table.reasons[t][last]] for t in REASONS}
    if table.grade is not None:
        columns["truth"] = ["◆ relevant" if grade >= 1 else "" for grade in table.grade[last]]
    queries, documents = corpus.query_ids(shown.query_row), corpus.doc_ids(shown.doc_row)
    _draw(columns, name, lambda i: link.set(view=None, query=queries[i], doc=documents[i]))
    _pages(link, len(pairs), "pairs", "Click the box left of a row for the pair's why-card.")


def documents_list(link: Link, corpus: Corpus, table: TrialTable, pairs: Pairs) -> None:
    """The documents that were trained against most; a click lists the queries that did."""
    found = popular_documents(table, pairs)
    if not len(found.rows):
        st.info("None of these pairs was ever trained against.", icon=":material/info:")
        return
    part = _page(link, len(found.rows))
    rows = found.rows[part]
    columns: dict[str, Any] = {
        "document": [shorten(t, 170) for t in corpus.document_texts(rows)],
        "used": found.times_used[part],
        "queries": found.n_others[part],
        "pull": found.pull[part],
        "suspects": found.n_suspects[part],
        "positive of": np.bincount(corpus.positives.pairs()[1], minlength=corpus.n_documents)[rows],
    }
    if found.n_relevant is not None:
        columns["relevant"] = found.n_relevant[part]
    ids = corpus.doc_ids(rows)
    _draw(columns, "documents", lambda i: link.set(popular=ids[i]))
    _pages(link, len(found.rows), "documents", "Click the box left of a row for the queries that it was a negative of.")
    chosen = link.value("popular", "")
    row = int(corpus.doc_rows([chosen])[0]) if chosen else -1
    if row >= 0:
        with st.container(border=True):
            st.caption(f":material/close: Document {code(chosen)}")
            show(shorten(corpus.documents["text"][row].as_py(), 600), title=corpus.documents["title"][row].as_py())
            own = pairs.take(pairs.doc_row == row)
            own = own.take(np.argsort(-own.pull, kind="stable"))
            queries = corpus.query_ids(own.query_row)
            columns = {
                "query": [shorten(t, 140) for t in corpus.query_texts(own.query_row)],
                "pull": own.pull,
                "used": own.times_used,
                "weight": own.weight,
                "margin": table.margin[own.last],
                "hardness": [HARDNESS[i] for i in table.hardness[own.last]],
            }
            _draw(columns, "of-document", lambda i: link.set(view=None, query=queries[i], doc=chosen))


def queries_list(link: Link, corpus: Corpus, table: TrialTable, pairs: Pairs) -> None:
    """The queries with most suspects among these pairs; a click leads to the query's view."""
    found = doubtful_queries(table, pairs)
    part = _page(link, len(found.rows))
    columns: dict[str, Any] = {
        "query": [shorten(t, 170) for t in corpus.query_texts(found.rows[part])],
        "suspects": found.n_suspects[part],
        "pairs": found.n_others[part],
        "used": found.times_used[part],
        "pull": found.pull[part],
    }
    if found.n_relevant is not None:
        columns["relevant"] = found.n_relevant[part]
    ids = corpus.query_ids(found.rows[part])
    _draw(columns, "queries", lambda i: link.set(view=None, query=ids[i], doc=None))
    _pages(link, len(found.rows), "queries", "Click the box left of a row for all candidates of the query.")


def _page(link: Link, n: int) -> slice:
    page = min(link.value("page", 1, ge=1), max(1, -(-n // PAGE_ROWS)))
    return slice((page - 1) * PAGE_ROWS, page * PAGE_ROWS)


def _pages(link: Link, n: int, of: str, sentence: str) -> None:
    n_pages = -(-n // PAGE_ROWS)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"{n:,} {of}. {sentence}")
        if n_pages > 1:
            link.bind(st.pagination, "page", n_pages, default=1, ge=1, le=n_pages)


def _draw(columns: dict[str, Any], name: str, choose) -> None:
    key = f"list.{name}"

    def pick() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked:
            choose(picked[0])

    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    config = {
        "query": text(width=260),
        "document": text(width=300),
        "pull": number(format="%.3g", width=62, help=PULL_HELP),
        "used": number(width=55, help="Times in the loss, over all minings shown."),
        "weight": number(format="%.2f", width=58, help=WEIGHT_HELP),
        "rank": number(width=50, help="In the source's own list at the latest mining."),
        "s-": number(format="%.3f", width=58, help="Score by the model of the latest mining."),
        "margin": number(format="%+.3f", width=64, help="s+ - s-. Negative: it scores above the positive."),
        "hardness": text(width=75, help="easy: s- < s+ - .1; semi-hard: up to .1 below s+; hard: at or above s+."),
        "queries": number(width=70, help="Queries that it was trained against for."),
        "pairs": number(width=60, help="Documents of this query among the pairs shown."),
        "suspects": number(width=72, help="Pairs with a reason to doubt that they are negatives."),
        "positive of": number(width=85, help="Queries of which it is a known positive."),
        "relevant": number(width=70, help="Pairs that the fuller judgements call relevant: confirmed false negatives."),
        "truth": text(width=80, help="What the fuller judgements say. Training never sees them."),
    }
    config |= {SHORT_REASONS.get(t, t): text(width=58, help=f"A reason to doubt: {t}.") for t in REASONS}
    n = len(next(iter(columns.values())))
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        height=35 * (min(PAGE_ROWS, max(1, n)) + 1) + 3,
        on_select=pick,
        selection_mode="single-row",
        key=key,
        placeholder="",
        column_config={name: config[name] for name in columns if name in config},
    )
