"""The why-card of a candidate of the preview: by the model that scored it; nothing was trained with it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import streamlit as st

from core.audit.card import Cards
from core.audit.evidence import Evidence
from core.encode.encoders import make_encoder
from pages.ui.card_dialog import Desk, card_over
from pages.ui.evidence import trained_cross, trial_tokens, untrained
from pages.ui.recipe_mining import SEED, UNTRAINED, Scorer

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.encode.token_tables import TokenTables
    from core.sampling.context import MiningContext
    from pages.ui.frame import Session


def preview_card(session: Session, corpus: Corpus, scorer: Scorer, query_row: int, context: MiningContext) -> None:
    """Open the card of the link's document."""
    vectors, cross = context.vectors(), trained_cross(corpus)
    is_untrained = scorer.who == UNTRAINED
    folder = None if is_untrained else str(scorer.folders[scorer.who])
    name = "untrained" if is_untrained else "the scoring trial"

    def tokens() -> TokenTables | None:
        return trial_tokens(folder, None) if folder else encoder_tokens(corpus.fingerprint, scorer.encoder, corpus)

    def evidence() -> Evidence:
        return Evidence(corpus, context, vectors, guide=None if is_untrained else untrained(corpus), cross=cross)

    cards = Cards(corpus, None, {name: vectors}, context, tokens=tokens, cross=cross)
    desk = Desk(session, cards, evidence, "" if is_untrained else scorer.who)
    card_over(desk, query_id=corpus.query_ids([query_row])[0], forget=("doc", "side"))


@st.cache_resource(max_entries=2, show_spinner=False)
def encoder_tokens(fingerprint: str, encoder: str, _corpus: Corpus) -> TokenTables | None:
    """The token vectors of an encoder before training, with the seed of the previews; None where it has none."""
    piece = make_encoder(json.loads(encoder))
    return piece.build(piece.document_texts(_corpus), SEED).token_tables() if piece.is_table else None
