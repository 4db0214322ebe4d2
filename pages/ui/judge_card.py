"""The why-card over the Judge page, where the link names a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pages.ui.card_dialog import Desk, card_over
from pages.ui.evidence import trial_evidence, untrained_cards, untrained_evidence
from pages.ui.negatives_data import trial_cards

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session


def card_of_pair(session: Session, corpus: Corpus, row: TrialRow | None) -> None:
    """Open the card of the link's query and document, if it names them."""
    if not session.link.value("doc", ""):
        return
    if row is None:
        desk = Desk(session, untrained_cards(session, corpus), lambda: untrained_evidence(session, corpus))
    else:
        desk = Desk(session, trial_cards(corpus, row), lambda: trial_evidence(session, corpus, row), trial=row.id)
    card_over(desk)
