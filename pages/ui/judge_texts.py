"""What a judge reads: query, positives and candidate with the query's words marked; nothing that would lead when blind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.search.words import tokenize
from pages.ui.text import code, shorten, show

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.verdicts import Pair
    from pages.ui.judge_desk import Bench

TEXT_HEIGHT = 300
SHOWN_POSITIVES = 3
LONGEST = 20_000
RARE = 2.2  # idf of a word that stands in one of ten documents
GRID_CHARACTERS, GRID_POSITIVE = 420, 160


def draw_pair(bench: Bench, pair: Pair) -> None:
    """The query, and its positives beside the candidate."""
    corpus = bench.corpus
    query_row, doc_row = int(corpus.query_rows([pair[0]])[0]), int(corpus.doc_rows([pair[1]])[0])
    query, words = corpus.query_texts([query_row])[0], _words(bench, query_row)
    with st.container(border=True, gap="xsmall"):
        st.caption(f":material/star: Query {code(pair[0])}")
        show(query[:LONGEST])
    positive, candidate = st.columns(2, gap="small")
    rows = _positives(corpus, query_row, doc_row)
    with positive.container(border=True, height=TEXT_HEIGHT, gap="xsmall"):
        if not rows:
            st.caption("This query has no known positive.")
        for row in rows[:SHOWN_POSITIVES]:
            _document(corpus, row, words, ":material/circle: Known positive")
        if len(rows) > SHOWN_POSITIVES:
            st.caption(f"and {len(rows) - SHOWN_POSITIVES:,} more.")
    with candidate.container(border=True, height=TEXT_HEIGHT, gap="xsmall"):
        _document(corpus, doc_row, words, ":material/close: Candidate: does it answer the query?")


def draw_small(bench: Bench, pair: Pair) -> None:
    """The pair in a cell of the grid."""
    corpus = bench.corpus
    query_row, doc_row = int(corpus.query_rows([pair[0]])[0]), int(corpus.doc_rows([pair[1]])[0])
    words = _words(bench, query_row)
    with st.container(gap="xxsmall"):
        st.caption(f":material/star: Query {code(pair[0])}")
        show(shorten(corpus.query_texts([query_row])[0], 240))
        for row in _positives(corpus, query_row, doc_row)[:1]:
            st.caption(":material/circle: Known positive")
            show(shorten(corpus.document_texts([row])[0], GRID_POSITIVE), words, muted=True)
        st.caption(f":material/close: Candidate {code(pair[1])}")
        show(shorten(corpus.document_texts([doc_row])[0], GRID_CHARACTERS), words)


def why_here(bench: Bench, pair: Pair) -> None:
    """Place, doubt, harm and reasons as badges; blind: only that it is blind."""
    place = bench.queue.place.get(pair)
    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        if bench.manner.is_blind:
            st.badge("blind", icon=":material/visibility_off:", color="gray", help="Scores and reasons are hidden.")
            return
        if place is None:
            st.badge("asked for by a link", color="gray")
            return
        table = bench.queue.table
        st.badge(
            f"{place + 1} of {len(bench.queue):,}",
            color="gray",
            help="Its place in the queue: by doubt x harm, most first.",
        )
        st.badge(f"doubt {table.combined[place]:.2f}", color="violet", help="The combined doubt of the chosen rule; .5 = just suspected.")
        used = f", used {int(table.times_used[place])} x" if table.times_used[place] else ""
        st.badge(
            f"harm {table.harm[place]:.3g}{used}",
            color="orange",
            help="How strongly the training pushed the pair apart: the sum of d loss / d score over its uses. For pairs that "
            "nothing was trained on: the softmax weight that the model would give it.",
        )
        for reason in table.reasons:
            if table.flags[reason.key][place]:
                st.badge(reason.short, color="blue", help=f"{reason.title}: {reason.idea()}")


def _words(bench: Bench, query_row: int) -> set[str]:
    """The query's words that are worth marking: those of few documents, or all where there are none."""
    bm25 = bench.queue.evidence.context.bm25
    words = set(tokenize(bench.corpus.query_texts([query_row])[0]))
    return {word for word in words if word in bm25.vocabulary and bm25.idf[bm25.vocabulary[word]] > RARE} or words


def _positives(corpus: Corpus, query_row: int, doc_row: int) -> list[int]:
    """The query's known positives, those that share most words with the candidate first: no model is asked, so none leads."""
    rows = corpus.positives.positives(query_row)
    mine = set(tokenize(corpus.document_texts([doc_row])[0][:LONGEST]))
    others = [set(tokenize(text[:LONGEST])) for text in corpus.document_texts(rows)]
    shares = [len(mine & theirs) / max(1, len(mine | theirs)) for theirs in others]
    return rows[np.argsort(-np.array(shares), kind="stable")].tolist() if len(rows) else []


def _document(corpus: Corpus, row: int, words: set[str], caption: str) -> None:
    st.caption(f"{caption} {code(corpus.doc_ids([row])[0])}")
    show(corpus.documents["text"][row].as_py()[:LONGEST], words, title=corpus.documents["title"][row].as_py())
