"""Texts that were written to be negatives: what became of them in a trial, for one query and over all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.audit.suspects import hardness
from pages.ui.card_view import WEIGHT_HELP
from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.corpus.corpus import Corpus

LONGEST = 600


def written_of_query(corpus: Corpus, cards: Cards, query_row: int) -> None:
    """The query's written negatives, most pulled first; nothing where the trial has none."""
    uses = cards.written
    if uses is None:
        return
    from core.search.words import tokenize

    places = uses.of_query(query_row)
    st.subheader("Written for this query", anchor=False)
    if not places:
        st.caption("No text was written for it: its positives hold nothing to exchange, or the file has none for it.")
        return
    st.caption(
        "Synthetic texts that training pushed this query from, beside documents. They are never searched, so they have no rank and no "
        "judgement; one that answers the query is a false negative. Words that its positive lacks are marked.",
        help=WEIGHT_HELP,
    )
    for place in places:
        own = uses.texts[place]
        source = int(corpus.doc_rows([own.doc_id])[0]) if own.doc_id else -1
        positive = corpus.document_texts([source])[0] if source >= 0 else ""
        with st.container(border=True, gap="xsmall"):
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                st.badge(f"synthetic, by {plain(own.origin or 'unknown')}", icon=":material/edit_note:", color="violet")
                if own.doc_id:
                    st.caption(f"made from {code(own.doc_id)}")
            show(shorten(own.text, LONGEST), set(tokenize(own.text)) - set(tokenize(positive)) if positive else ())
            st.caption(_figures(uses, place))


def _figures(uses, place: int) -> str:
    n = int(uses.times_used[place])
    parts = [f"used {n}x, mean weight {uses.weight_sum[place] / n:.2f}" if n else "not used yet"]
    for title, scores, positives in (
        ("now", uses.score, uses.positive_score),
        ("before training", uses.first_score, uses.first_positive_score),
    ):
        if np.isfinite(scores[place]) and np.isfinite(positives[place]):
            s, p = scores[place], positives[place]
            parts.append(f"{title}: s- {s:.3f}, s+ {p:.3f}, margin {p - s:+.3f} ({hardness(s, p).item()})")
    return " · ".join(parts)


def written_of_trial(cards: Cards) -> None:
    """What the trial's written negatives did over all queries, in a sentence; nothing where it has none."""
    uses = cards.written
    if uses is None:
        return
    n, n_used, n_queries = int(uses.times_used.sum()), int((uses.times_used > 0).sum()), len(np.unique(uses.query_rows))
    told = np.isfinite(uses.score) & np.isfinite(uses.positive_score)
    queries = "query" if n_queries == 1 else "queries"
    text = f"{len(uses.texts):,} synthetic texts for {n_queries:,} {queries}, {n_used:,} of them trained against"
    text += f" ({n:,} uses, mean weight {uses.weight_sum.sum() / n:.3f})" if n else ""
    if told.any():
        parts = (("before training", uses.first_score, uses.first_positive_score), ("now", uses.score, uses.positive_score))
        shares = [f"{(s[told] >= p[told]).mean():.0%} {when}" for when, s, p in parts]
        text += f". At or above their query's positive: {', '.join(shares)}"
    below = "; none is in the figures below" if cards.whole is not None else ""
    st.caption(f":material/edit_note: {text}. Each is listed with its query in the other view{below}.")
