"""The card over a page: opened by the link's document, stepped through its list, closed back to the page.

    desk = Desk(session, cards, evidence, trial=row.id)
    card_over(desk, steps=[(query id, document id), ...])       # draws nothing unless the link names a document
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.card_view import draw_card
from pages.ui.problems import problems_shown

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.audit.evidence import Evidence
    from core.audit.reason import Reason
    from pages.ui.frame import Session

TITLE, ICON = "Why this document?", ":material/manage_search:"
_NONCE = "card.closed"


@dataclass(frozen=True)
class Desk:
    """What a card on a page is made from: the visit, the cards, the evidence for reasons (asked for when a card is drawn), the
    trial whose cards these are ("" = none), so that the others can be told apart, and reasons whose thresholds the page chose."""

    session: Session
    cards: Cards
    evidence: Callable[[], Evidence] | None = None
    trial: str = ""
    reasons: Sequence[Reason] = ()


def n_closed() -> int:
    """How many cards this visit has closed: part of a table's key, so that a closed card's row can be ticked again."""
    return st.session_state.get(_NONCE, 0)


def card_over(
    desk: Desk,
    *,
    query_id: str | None = None,
    steps: Sequence[tuple[str, str]] = (),
    forget: Sequence[str] = ("doc",),
    on_close: Callable[[], None] | None = None,
) -> None:
    """Open the card of the link's document and query; closing it takes ``forget`` out of the link.

    ``query_id``: when the page's query is not the link's (nobody has chosen one yet). ``steps``: the page's list, as ids, for
    previous and next. A document or query that the corpus does not have is dropped from the link with a sentence.
    """
    link, corpus = desk.session.link, desk.cards.corpus

    def pair() -> tuple[str, str]:
        return link.query or query_id or "", link.value("doc", "")

    if not pair()[1]:
        return
    if int(corpus.doc_rows([pair()[1]])[0]) < 0 or int(corpus.query_rows([pair()[0]])[0]) < 0:
        st.caption(":orange[The document of this link is not in this corpus.]")
        link.forget(*forget)
        return

    def close() -> None:
        link.forget(*forget)
        st.session_state[_NONCE] = n_closed() + 1
        if on_close is not None:
            on_close()

    @st.dialog(TITLE, width="large", icon=ICON, on_dismiss=close)
    def card() -> None:
        with problems_shown():
            query, doc = pair()
            if (query, doc) in steps and len(steps) > 1:
                _steps(desk, steps, list(steps).index((query, doc)))
            query_row, doc_row = int(corpus.query_rows([query])[0]), int(corpus.doc_rows([doc])[0])
            if query_row >= 0 and doc_row >= 0:
                draw_card(desk.cards, desk.cards.card(query_row, doc_row), key="card", desk=desk)

    card()


def _steps(desk: Desk, steps: Sequence[tuple[str, str]], now: int) -> None:
    ways = (("chevron_left", now - 1, "Previous candidate"), ("chevron_right", (now + 1) % len(steps), "Next candidate"))

    def go_to(place: int) -> None:
        query, doc = steps[place]
        # The query too only where it changes: a page's box of queries need not hear of each step.
        changes = {"doc": doc} | ({"query": query} if query != steps[now][0] else {})
        desk.session.link.set(**changes)

    with st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        for icon, place, tip in ways:
            st.button("", icon=f":material/{icon}:", key=f"card.{icon}", help=tip, on_click=go_to, args=(place,))
        st.caption(f"{now + 1} of {len(steps)} in the table")
