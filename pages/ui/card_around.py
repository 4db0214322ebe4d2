"""Around the candidate: other trials that took it for the same query, and its near copies in the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.audit.card_others import MOST_TRIALS, Taken, who_took
from pages.ui.recipe_tables import RULES
from pages.ui.text import code, plain, shorten

if TYPE_CHECKING:
    from core.audit.card import WhyCard
    from pages.ui.card_dialog import Desk

LISTED_COPIES = 5


def draw_around(desk: Desk, card: WhyCard, key: str) -> None:
    """Both parts side by side."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _others(desk, card, key)
    with right:
        _copies(desk, card)


def _others(desk: Desk, card: WhyCard, key: str) -> None:
    st.markdown("**Who else took it**")
    if card.is_known_positive:
        st.caption("A known positive is no trial's negative.")
        return
    rows = desk.session.store.list(states=("finished",), fingerprint=desk.cards.corpus.fingerprint)
    trials = [(row.id, row.name, row.folder) for row in rows if row.id != desk.trial and row.recipe.get("mined")]
    found = who_took(trials, card.query_row, card.doc_row)
    if not found:
        st.caption(f"There is no {'other ' if desk.trial else ''}finished trial of this corpus that mines.")
        return
    n = sum(taken.times_used > 0 for taken in found)
    more = f" (the newest {MOST_TRIALS})" if len(trials) > MOST_TRIALS else ""
    st.caption(f"{n} of {len(found)} other trials{more} trained against it for this query.")
    st.dataframe(
        {
            "trial": [shorten(taken.name, 60) for taken in found],
            "what it did": [_fate(taken) for taken in found],
            "rank": [taken.rank for taken in found],
            "used": [taken.times_used or None for taken in found],
            "pull": [taken.pull or None for taken in found],
        },
        hide_index=True,
        width="stretch",
        height=35 * (min(6, len(found)) + 1) + 3,
        key=f"{key}.others",
        placeholder="",
        column_config={
            "rank": st.column_config.NumberColumn(width=50, help="The best in its source's own lists, before any rule."),
            "used": st.column_config.NumberColumn(width=50, help="Times in the loss for this query."),
            "pull": st.column_config.NumberColumn(format="%.3g", width=60, help="Uses x mean weight: how hard it was pushed away."),
        },
    )


def _fate(taken: Taken) -> str:
    if not taken.fate:
        return "never looked at it"
    return {"used": "✕ trained against it", "kept": "kept it, not drawn"}.get(taken.fate, f"refused: {RULES.get(taken.fate, taken.fate)}")


def _copies(desk: Desk, card: WhyCard) -> None:
    corpus, found = desk.cards.corpus, desk.cards.near_copies(card.doc_row)
    st.markdown("**Near it**")
    if card.nearest_positive >= 0 and not card.is_known_positive:
        own = code(corpus.doc_ids([card.nearest_positive])[0])
        st.caption(f":material/circle: Nearest positive {own}, likeness {card.nearest_score:.3f} by {plain(card.sources[-1].name)}.")
    if not found:
        st.caption("No near-duplicate of the candidate in the corpus.", help="Three-word runs in common: 80 % or more (Broder 1997).")
        return
    st.caption(f"{len(found)} near-duplicate{'s' if len(found) > 1 else ''} in the corpus, by three-word runs in common:")
    positives = set(card.positive_rows)
    for row, share in found[:LISTED_COPIES]:
        what = ", **a positive of this query**" if row in positives else ""
        st.caption(f":material/content_copy: {code(corpus.doc_ids([row])[0])} {share:.0%}{what}")
    if len(found) > LISTED_COPIES:
        st.caption(f"and {len(found) - LISTED_COPIES} more.")
