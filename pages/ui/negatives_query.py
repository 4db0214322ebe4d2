"""One query's negatives: what each mining looked at, its fate, and the card of the chosen one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.audit.query_table import KNOWN, NOT_DRAWN, USED, lookup_table, query_table
from core.audit.suspects import REASONS
from pages.ui.browse import find_rows
from pages.ui.card_dialog import Desk, card_over, n_closed
from pages.ui.card_view import WEIGHT_HELP
from pages.ui.evidence import trial_evidence
from pages.ui.negatives_choose import choose_query, choose_refresh
from pages.ui.negatives_data import counted
from pages.ui.negatives_written import written_of_query
from pages.ui.recipe_tables import RULES
from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session
    from pages.ui.links import Link

SHOWN_POSITIVES = 3
READ_TEXTS = 10
TABLE_ROWS = 12
FATES = {USED: "✕ used", NOT_DRAWN: "kept, not drawn", KNOWN: "● known positive"}
# Titles that fit a narrow column; the whole reason is the column's help.
SHORT_REASONS = {"above the positive": "≥ s+", "within 5 % of the positive": "near s+", "copy of a positive": "copy"}


def by_query(session: Session, corpus: Corpus, cards: Cards, row: TrialRow) -> None:
    """The whole view; a trial that mined nothing gets the model's own best documents instead."""
    link = session.link
    if cards.whole is None:
        everything = np.unique(cards.context.training_pairs[0])
        query_row = choose_query(link, corpus, everything, None, None)
        _query(corpus, cards, query_row)
        searches = cards.results.config.recipe_value.batch.fixes_documents
        others = "whatever shared a batch" + (" and the texts written for it" if cards.written is not None else "")
        st.info(
            f"{plain(shorten(row.name, 60))} searches the corpus at each step, and what it found is listed when its first epoch ends. "
            "Below: what this model itself puts first."
            if searches
            else f"{plain(shorten(row.name, 60))} mines nothing: its negatives are {others}, and no list of the batches is "
            "kept. To see chosen negatives, train a recipe that mines, such as BM25 or ANCE. Below: what this model itself "
            "would have put first, and whether a batch could ever have held it.",
            icon=":material/shuffle:",
        )
        columns = lookup_table(cards, query_row)
    else:
        whole_place = st.container()
        table_number = link.refresh
        numbers = [info.number for info in cards.whole.tables]
        table, pairs = counted(cards, row, table_number if table_number in numbers else None)
        with whole_place:
            query_row = choose_query(link, corpus, np.unique(table.query_row).astype(np.int64), table, pairs)
        _query(corpus, cards, query_row)
        choice, note = st.columns([2, 5], gap="medium", vertical_alignment="bottom")
        with choice:
            number = choose_refresh(link, cards)
        found = table.of_query(query_row)
        columns = query_table(cards, found, query_row)
        note.caption(_summary(columns, number is None and len(numbers) > 1))
    ids = _table(link, corpus, columns)
    written_of_query(corpus, cards, query_row)
    _read(corpus, cards, columns, query_row)
    _look_up(link, corpus, cards, query_row)
    own = corpus.query_ids([query_row])[0]
    desk = Desk(session, cards, lambda: trial_evidence(session, corpus, row), row.id)
    card_over(desk, query_id=own, steps=[(own, doc_id) for doc_id in ids])


def _query(corpus: Corpus, cards: Cards, query_row: int) -> None:
    positives = cards.positives(query_row)
    words = _terms(corpus, query_row)
    with st.container(border=True, gap="xsmall"):
        st.caption(f":material/star: Query {code(corpus.query_ids([query_row])[0])}")
        show(corpus.query_texts([query_row])[0])
        more = f", the first {SHOWN_POSITIVES} shown" if len(positives) > SHOWN_POSITIVES else ""
        st.caption(f":material/circle: {len(positives)} known positive{'s' if len(positives) != 1 else ''}, best score first{more}")
        for text in corpus.document_texts(positives[:SHOWN_POSITIVES]):
            show(shorten(text, 260), words, muted=True)


def _terms(corpus: Corpus, query_row: int) -> set[str]:
    """The query's words that are worth marking: those longer than three letters, or all where there are none."""
    from core.search.words import tokenize

    words = set(tokenize(corpus.query_texts([query_row])[0]))
    return {word for word in words if len(word) > 3} or words


def _summary(columns: dict[str, Any], is_all: bool) -> str:
    used = [i for i, fate in enumerate(columns["fate"]) if fate == USED]
    doubtful = sum(any(columns[title][i] for title in REASONS) for i in used)
    text = f"{len(columns['fate']):,} documents looked at, {len(used):,} trained against"
    text += f", {doubtful} of these with a reason to doubt" if used else ""
    if "truth" in columns and used:
        wrong = sum(columns["truth"][i] >= 1 for i in used)
        text += f", {wrong} relevant by truth"
    return text + (". Scores and rule: the latest mining that saw the document." if is_all else ".")


def _table(link: Link, corpus: Corpus, columns: dict[str, Any]) -> list[str]:
    """Draw the candidates; a click writes the document into the link. Returns their ids in order."""
    rows = columns["doc_row"]
    ids = corpus.doc_ids(rows)
    shown: dict[str, Any] = {
        "fate": [FATES.get(f, f if f not in RULES else f"refused: {RULES[f]}") for f in columns["fate"]],
        "document": [shorten(text, 160) for text in corpus.document_texts(rows)],
    }
    if "source rank" in columns:
        shown["rank"] = columns["source rank"].tolist()
    for name in columns:
        if name.startswith("rank, "):
            shown[name.removeprefix("rank, ")] = [int(rank) or None for rank in columns[name]]
    shown |= {"s-": columns["score"], "s+": columns["positive"], "margin": columns["margin"]}
    if "weight" in columns:
        shown |= {"weight": columns["weight"], "used": columns["times_used"]}
        if columns["refreshes"].max(initial=0) > 1:
            shown["minings"] = columns["refreshes"]
    shown["hardness"] = columns["hardness"]
    shown |= {SHORT_REASONS.get(t, t): ["✓" if flag else "" for flag in columns[t]] for t in REASONS}
    if "truth" in columns:
        shown["truth"] = ["◆ relevant" if grade >= 1 else "" for grade in columns["truth"]]
    key = f"candidates.{n_closed()}"

    def pick() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked:
            link.set(doc=ids[picked[0]])

    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height=35 * (min(TABLE_ROWS, max(1, len(ids))) + 1) + 3,
        on_select=pick,
        selection_mode="single-row",
        key=key,
        placeholder="",
        column_config=_config(shown),
    )
    whose = "those of the model that mined" if "weight" in columns else "this model's"
    st.caption(f"Click the box left of a row for its why-card. Scores are {whose}; s+ is the query's lowest positive.")
    return ids


def _config(shown: dict[str, Any]) -> dict[str, Any]:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    config: dict[str, Any] = {
        "fate": text(width=118, help="What became of it: in the loss, kept but never drawn, or the first rule that refused it."),
        "document": text(width=250),
        "rank": number(width=42, help="In the source's own list at its mining, before any rule."),
        "BM25": number(width=52, help="Rank by BM25 over the whole corpus; empty: it shares no word with the query."),
        "untrained": number(width=66, help="Rank by the encoder before training, over the whole corpus."),
        "s-": number(format="%.3f", width=56, help="Its score; larger = closer."),
        "s+": number(format="%.3f", width=56, help="The score of the query's lowest-scored positive."),
        "margin": number(format="%+.3f", width=62, help="s+ - s-. Negative: it scores above the positive."),
        "weight": number(format="%.2f", width=58, help=WEIGHT_HELP),
        "used": number(width=42, help="Times that it was in the loss for this query."),
        "minings": number(width=58, help="In how many minings it was looked at."),
        "hardness": text(width=72, help="easy: s- < s+ - .1; semi-hard: up to .1 below s+; hard: at or above s+."),
        "truth": text(width=76, help="What the fuller judgements say. Training never sees them."),
    }
    config |= {SHORT_REASONS.get(t, t): text(width=52, help=f"A reason to doubt: {t}.") for t in REASONS}
    for name in shown:
        if name.startswith("this trial"):
            config[name] = number(width=72, help="Rank by this trial's model as it is now, over the whole corpus.")
    return config


def _read(corpus: Corpus, cards: Cards, columns: dict[str, Any], query_row: int) -> None:
    """The first texts in full with the query's words marked, for reading one after the other."""
    rows = [int(row) for row, fate in zip(columns["doc_row"], columns["fate"], strict=True) if fate != KNOWN][:READ_TEXTS]
    with st.expander(f"Read the first {len(rows)} texts, the query's words marked", icon=":material/menu_book:"):
        words = _terms(corpus, query_row)
        for row in rows:
            with st.container(border=True):
                show(corpus.documents["text"][row].as_py(), words, title=corpus.documents["title"][row].as_py())
                st.caption(code(corpus.doc_ids([row])[0]))


def _look_up(link: Link, corpus: Corpus, cards: Cards, query_row: int) -> None:
    """Any other document's card for this query."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        words = link.bind(
            st.text_input,
            "look",
            "Why not another document?",
            default="",
            icon=":material/travel_explore:",
            placeholder="words of it, or its id",
            width=360,
            help="Finds documents that hold all the words, and shows where they stand for this query.",
        )
        if not words:
            return
        rows = corpus.doc_rows([words.strip()])
        rows = rows if rows[0] >= 0 else find_rows(corpus.documents, ("doc_id", "title", "text"), words)[:20]
        if not len(rows):
            st.caption("No document holds all these words.")
            return
        texts = dict(zip(corpus.doc_ids(rows), corpus.document_texts(rows), strict=True))
        chosen = st.selectbox("Found", list(texts), format_func=lambda i: shorten(texts[i], 90), key="look.found")
        st.button("Show its card", icon=":material/manage_search:", key="look.open", on_click=lambda: link.set(doc=chosen))
