"""Which trial, which mining and which query the Negatives page looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import streamlit as st

from core.audit.trial_figures import doubtful_queries, pulled_queries
from pages.ui.browse import find_rows
from pages.ui.frame import empty
from pages.ui.text import plain, shorten
from pages.ui.trials import corpus_link

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.audit.trial_figures import Pairs
    from core.audit.trial_table import TrialTable
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session
    from pages.ui.links import Link

MAX_LISTED = 500
ORDERS = {"corpus": "in corpus order", "suspects": "most suspects first", "pull": "most pulled first"}
NOT_STARTED = ("queued",)


def started_trials(session: Session) -> tuple[Corpus, dict[str, TrialRow]]:
    """The corpus of the link and its trials that have started, by id; ends the page where there is none to show.

    No trial is needed where the corpus came with negatives: then there may be none.
    """
    link = session.link
    if link.corpus is None and link.trial is not None:
        link.set(corpus=corpus_link(session.store.get(link.trial)))
    corpus = session.need_corpus()
    rows = {row.id: row for row in session.store.list(fingerprint=corpus.fingerprint) if row.state not in NOT_STARTED}
    if link.trial is not None and link.trial not in rows:
        _elsewhere(session, link)
    if not rows and corpus.imported is None:
        _end("No trial of this corpus has started yet, so there are no negatives to look at.", "Choose a recipe and train", "recipe")
    return corpus, rows


def choose_trial(link: Link, rows: dict[str, TrialRow]) -> TrialRow:
    """The box with the trials; without a choice the newest that mined."""
    first = next((i for i, row in rows.items() if row.recipe.get("mined")), next(iter(rows)))
    chosen = link.bind(
        st.selectbox,
        "trial",
        "Trial",
        options=list(rows),
        default=first,
        format_func=lambda i: shorten(rows[i].name, 60) + ("" if rows[i].state == "finished" else f" ({rows[i].state})"),
        resets=("refresh", "doc", "page", "popular"),
    )
    return rows[chosen]


def _elsewhere(session: Session, link: Link) -> None:
    """The link's trial waits, or was trained on another corpus, or is gone."""
    wanted = next((row for row in session.store.list() if row.id == link.trial), None)
    if wanted is None:
        st.warning("The trial of this link is not in this workspace.", icon=":material/link_off:")
        link.forget("trial")
        return
    name = shorten(wanted.name, 60)
    if wanted.state in NOT_STARTED:
        _end(f"{name} waits for its turn; its negatives appear when it has started.", "Watch the queue", "train")
    if corpus_link(wanted) == link.corpus:
        changed = "The corpus has changed since it was trained, so its row numbers fit no longer. Train it again."
        _end(f"{name} cannot be shown. {changed}", "To the trials", "train")
    _end(f"{name} was trained on another corpus.", "Go to its corpus", "negatives", corpus=corpus_link(wanted), trial=wanted.id, query=None)


def _end(sentence: str, label: str, page: str, **state: Any) -> NoReturn:
    st.title("Negatives", anchor=False)
    empty(sentence, label, page, icon=":material/science:", **{"trial": None, **state})
    st.stop()


def choose_refresh(link: Link, cards: Cards) -> int | None:
    """The number of one mined table, None = all of them."""
    assert cards.whole is not None
    labels = {"all": f"all {len(cards.whole.tables)} minings"} | {info.number: info.label for info in cards.whole.tables}
    if len(cards.whole.tables) == 1:
        labels = {"all": cards.whole.tables[0].label}
    found = link.bind(
        st.selectbox,
        "refresh",
        "Mining",
        options=list(labels),
        format_func=labels.get,
        resets=("doc", "page"),
        help="One search of a lane at one step, or all together: then scores and rules are the latest and uses are added up.",
    )
    return None if found == "all" else int(found)


def choose_query(link: Link, corpus: Corpus, everything: np.ndarray, table: TrialTable | None, pairs: Pairs | None) -> int:
    """The chosen training query's row; ``everything``: all of them, ascending. Draws search, order, choice and steps."""
    search, order_cell, choice, steps = st.columns([1.3, 1.4, 3.2, 1.5], gap="small", vertical_alignment="bottom")
    with search:
        words = link.bind(st.text_input, "find", "Find a query", default="", icon=":material/search:", placeholder="words")
    order = "corpus"
    if table is not None:
        with order_cell:
            order = link.bind(
                st.selectbox,
                "order",
                "Order",
                options=list(ORDERS),
                format_func=ORDERS.get,
                help="Suspects: kept candidates with a reason to doubt them. Pull: uses x weight, added up over the query's negatives.",
            )
    rows, notes = _ordered(everything, order, table, pairs)
    if words:
        found = np.intersect1d(find_rows(corpus.queries, ("query_id", "text"), words), everything)
        if len(found):
            rows = rows[np.isin(rows, found)]
        else:
            search.caption(":orange[No training query has these words; all are listed.]")
    n_found = len(rows)
    rows = rows[:MAX_LISTED]
    wanted = int(corpus.query_rows([link.query])[0]) if link.query else -1
    if wanted >= 0 and wanted not in rows:
        rows = np.append(rows, wanted) if wanted in everything else rows
    if link.query and wanted not in everything:
        st.caption(f":orange[{plain(shorten(link.query, 60))} is no training query of this trial, so another one is shown.]")
        link.forget("query", "doc")
    ids = corpus.query_ids(rows)
    texts = dict(zip(ids, corpus.query_texts(rows), strict=True))
    tails = {i: notes.get(int(row), "") for i, row in zip(ids, rows, strict=True)}
    now = ids.index(link.query) if link.query in texts else 0

    def go_to(query_id: str) -> None:
        link.set(query=query_id, doc=None)

    with steps.container(horizontal=True, gap="xsmall", horizontal_alignment="right"):
        st.button("", icon=":material/chevron_left:", key="q.previous", help="Previous query", on_click=go_to, args=(ids[now - 1],))
        st.button("", icon=":material/chevron_right:", key="q.next", help="Next query", on_click=go_to, args=(ids[(now + 1) % len(ids)],))
        # Drawn before the click, so the same picture has one random query behind its button.
        drawn = corpus.query_ids([int(np.random.default_rng().choice(everything))])[0]
        st.button("", icon=":material/casino:", key="q.random", help="A random query", on_click=go_to, args=(drawn,))
    with choice:
        more = f", the first {MAX_LISTED} listed" if n_found > MAX_LISTED else ""
        chosen = link.bind(
            st.selectbox,
            "query",
            f"Training query ({n_found:,} {'found' if words else 'in all'}{more})",
            options=ids,
            format_func=lambda i: f"{shorten(texts[i], 90)}{tails[i]}",
            resets=("doc",),
        )
    return int(rows[ids.index(chosen)])


def _ordered(everything: np.ndarray, order: str, table: TrialTable | None, pairs: Pairs | None) -> tuple[np.ndarray, dict[int, str]]:
    """Query rows in this order, and what to say behind each: its number of suspects or its pull."""
    if order == "corpus" or table is None or pairs is None:
        return everything, {}
    if order == "suspects":
        found = doubtful_queries(table, pairs.take(pairs.n_kept > 0))
        notes = {int(row): f"  ({n} suspects)" for row, n in zip(found.rows, found.n_suspects, strict=True)}
    else:
        found = pulled_queries(table, pairs)
        notes = {int(row): f"  (pull {pull:.3g})" for row, pull in zip(found.rows, found.pull, strict=True)}
    rest = np.setdiff1d(everything, found.rows)
    return np.concatenate([found.rows, rest]).astype(np.int64), notes
