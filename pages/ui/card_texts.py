"""The card's texts: query, positives and candidate side by side, each word coloured by what it adds to the model's score."""

from __future__ import annotations

import html
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.audit.contributions import decisive_words
from core.search.words import tokenize
from pages.ui.text import code, plain, show

if TYPE_CHECKING:
    from core.audit.card import Cards, WhyCard
    from core.audit.contributions import Explained

SHOWN_POSITIVES = 3
# Texts longer than this scroll in a box of that height; shorter ones stand side by side in full.
LONG_TEXT, TEXT_HEIGHT = 900, 260
ADDS, TAKES = "0,114,178", "213,94,0"  # blue adds to the score, orange takes away; both read on light and dark
SHORT_WORD = 3
STRONGEST = 0.6  # opacity of the strongest word
_SHARED = "border-bottom:2px solid #E69F00"
_DECISIVE = "outline:1.5px solid #CC79A7;outline-offset:-1px;font-weight:650"
_BLOCK = "white-space:pre-wrap;overflow-wrap:anywhere;line-height:1.55"


def draw_texts(cards: Cards, card: WhyCard) -> list[tuple[str, float, float]]:
    """Query, positives and candidate; returns the decisive words with their shares, [] where no share can be said."""
    corpus, shown = cards.corpus, list(card.positive_rows)
    # The positive nearest to the candidate first: that is the one to read beside it.
    shown.sort(key=lambda row: row != card.nearest_positive)
    n_more, shown = len(shown) - SHOWN_POSITIVES, shown[:SHOWN_POSITIVES]
    query_text = corpus.query_texts([card.query_row])[0]
    every = set(tokenize(query_text))
    query_words = {word for word in every if len(word) > SHORT_WORD} or every  # "the" and "of" would only make noise
    mine = cards.explained(card.query_row, card.doc_row)
    theirs = {row: cards.explained(card.query_row, row)[1] for row in shown} if mine else {}
    decisive = decisive_words(mine[1], theirs[shown[0]]) if mine and shown else []
    framed = {word for word, _, _ in decisive}
    scale = max([_strongest(part) for part in (mine[1] if mine else None, *theirs.values())], default=0.0)

    with st.container(border=True, gap="xsmall"):
        st.caption(f":material/star: Query {code(corpus.query_ids([card.query_row])[0])}")
        found_words = {word for word, _, _ in card.terms} & query_words
        if mine:
            _draw(mine[0], 0, _strongest(mine[0]), found_words, framed)
        else:
            show(query_text, found_words)
    positive, candidate = st.columns(2, gap="small")
    lengths = map(len, corpus.document_texts([card.doc_row, *shown]))
    height = TEXT_HEIGHT if max(lengths) > LONG_TEXT or len(shown) > 1 else "stretch"
    with positive.container(border=True, height=height, gap="xsmall"):
        if not shown:
            st.caption("This query has no known positive.")
        for row in shown:
            near = ", the nearest to the candidate" if row == card.nearest_positive and len(card.positive_rows) > 1 else ""
            _document(cards, row, theirs.get(row), scale, query_words, framed, f":material/circle: Positive{near}")
        if n_more > 0:
            st.caption(f"and {n_more:,} more.")
    with candidate.container(border=True, height=height, gap="xsmall"):
        _document(cards, card.doc_row, mine[1] if mine else None, scale, query_words, framed, ":material/close: Candidate")
    _legend(mine[1] if mine else None, theirs.get(shown[0]) if shown else None)
    return decisive


def _document(
    cards: Cards, row: int, part: Explained | None, scale: float, words: Collection[str], framed: Collection[str], caption: str
) -> None:
    corpus = cards.corpus
    title, text = corpus.documents["title"][row].as_py() or "", corpus.documents["text"][row].as_py() or ""
    st.caption(f"{caption} {code(corpus.doc_ids([row])[0])}")
    if part is None:
        show(text, words, title=title)
    else:
        _draw(part, len(title) if part.text.startswith(title) else 0, scale, words, framed)


def _strongest(part: Explained | None) -> float:
    return max((abs(s.share) for s in part.stretches), default=0.0) if part else 0.0


def _draw(part: Explained, n_title: int, scale: float, shared: Collection[str], framed: Collection[str]) -> None:
    inside = coloured(part, scale, shared, framed, until=n_title) if n_title else ""
    head = f"<div style='font-weight:650'>{inside}</div>" if inside else ""
    st.html(f"<div style='{_BLOCK}'>{head}{coloured(part, scale, shared, framed, start=n_title).lstrip()}</div>")


def coloured(
    part: Explained, scale: float, shared: Collection[str], framed: Collection[str], *, start: int = 0, until: int | None = None
) -> str:
    """HTML of the text from ``start`` to ``until``: every character escaped; words coloured by their share (``scale``: the share
    that gets the full colour), ``shared`` words underlined, ``framed`` ones framed; the exact share as the word's tooltip."""
    text, end = part.text[: len(part.text) if until is None else until], start
    out = []
    for piece in part.stretches:
        if piece.start < start or piece.end > len(text):
            continue
        out.append(html.escape(text[end : piece.start]))
        words = tokenize(text[piece.start : piece.end])
        colour = ADDS if piece.share >= 0 else TAKES
        style = [f"background:rgba({colour},{STRONGEST * min(1.0, abs(piece.share) / scale) if scale else 0:.2f})"]
        style += [_SHARED] * any(word in shared for word in words) + [_DECISIVE] * any(word in framed for word in words)
        inside = html.escape(text[piece.start : piece.end])
        out.append(f"<span title='{piece.share:+.4f}' style='{';'.join(style)};border-radius:2px'>{inside}</span>")
        end = piece.end
    return "".join([*out, html.escape(text[end:])])


def _legend(candidate: Explained | None, positive: Explained | None) -> None:
    if candidate is None:
        st.caption("Marked: words of the query. What each token adds to the score can be shown for a finished static model.")
        return
    sums = f"Candidate {candidate.score:.4f} = the sum over its {candidate.n_tokens:,} tokens"
    if positive is not None:
        sums += f"; positive {positive.score:.4f} over {positive.n_tokens:,}"
    if candidate.rest:
        sums += f"; {candidate.rest:+.4f} belongs to no token (the query's own length)"
    st.caption(
        f"{plain(sums)}. :blue-background[Blue] adds, :orange-background[orange] takes away; underlined: the query has the word; "
        "framed: makes most of the difference to the positive.",
        help="The vector of a text is the mean of its tokens' vectors, so its score is exactly a sum over tokens. Rest the pointer "
        "on a word for its share.",
    )


def draw_decisive(decisive: Sequence[tuple[str, float, float]], key: str) -> None:
    """The words that make the difference between candidate and positive, as figures."""
    number = st.column_config.NumberColumn
    st.dataframe(
        {
            "decisive word": [word for word, _, _ in decisive],
            "candidate": [mine for _, mine, _ in decisive],
            "positive": [theirs for _, _, theirs in decisive],
            "difference": [mine - theirs for _, mine, theirs in decisive],
        },
        hide_index=True,
        width="stretch",
        key=f"{key}.decisive",
        column_config={
            "candidate": number(format="%+.4f", width=72, help="What all its places in the candidate add to the score."),
            "positive": number(format="%+.4f", width=72, help="What they add in the nearest positive."),
            "difference": number(format="%+.4f", width=72, help="Above 0: it pulls the candidate above the positive."),
        },
    )
