"""Twenty of the pairs that a recipe's positives make, and of the negatives that are written for it, before anything is trained."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.audit.made_pairs import SHOWN, Shown, positive_texts, read_material, shown_pairs
from core.params import make_piece
from core.sampling.recipe import FAMILIES
from core.sampling.text_units import STOP_WORDS
from core.search.words import tokenize
from pages.ui.problems import problems_shown
from pages.ui.recipe_mining import shared_context, training_queries
from pages.ui.text import code, plain, shorten, show

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.corpus.written import Written
    from core.sampling.positive_base import Positives
    from core.sampling.written import WrittenNegatives
    from pages.ui.frame import Session

LONGEST_SHOWN = 700
LAST_SEED = 2**31 - 1


def draw_pairs(session: Session, corpus: Corpus, positives: Positives) -> None:
    """The pairs of the link's seed, with what they have in common and a button for others."""
    link = session.link
    st.subheader("What it would pull together", anchor=False)
    seed = link.value("draw", 0, kind=int, ge=0, le=LAST_SEED)
    with problems_shown(), st.spinner("Reading the corpus and making pairs ..."):
        described = json.dumps(positives.to_dict(), sort_keys=True)
        shown = shown_pairs(positives, _material(corpus.fingerprint, described, corpus), shared_context(corpus), seed)
        _about(corpus, positives, shown, seed)
        if not len(shown.pairs):
            return
        changes = positives.makes_queries and getattr(positives, "is_redrawn", False)
        label = "Draw others" if changes else "Show others"
        if st.button(label, icon=":material/casino:", key="pairs.others", help="The next seed; it is in the link."):
            link.set(draw=(seed + 1) % LAST_SEED)
            st.rerun()
        _pairs(corpus, shown)


@st.cache_resource(max_entries=8, show_spinner=False)
def _material(fingerprint: str, described: str, _corpus: Corpus) -> Any:
    positives: Any = make_piece(FAMILIES["positives"], json.loads(described), "positives")
    return read_material(positives, shared_context(_corpus))


def _about(corpus: Corpus, positives: Positives, shown: Shown, seed: int) -> None:
    n = len(shown.pairs)
    if not n:
        st.info(
            f"{plain(positives.title)} makes no pair from this corpus: no document has what it needs. Change its settings above, "
            "or choose other positives.",
            icon=":material/info:",
        )
        return
    st.caption(
        f"{n:,} pairs for {len(set(shown.pairs.doc_rows.tolist())):,} of {corpus.n_documents:,} documents. A query has {shown.n_words:.0f} "
        f"words, its positive {shown.n_doc_words:.0f}, and {shown.shared:.0%} of a query's words (common ones left out) stand in its "
        f"positive; marked below. {positives.about_labels()} Shown: {len(shown.chosen)} of the first epoch of a training with seed {seed}."
    )


def _pairs(corpus: Corpus, shown: Shown) -> None:
    pairs, context = shown.pairs, shared_context(corpus)
    texts = positive_texts(pairs, context, shown.chosen)
    ids = corpus.doc_ids(pairs.doc_rows[shown.chosen])
    for place, text, doc_id in zip(shown.chosen.tolist(), texts, ids, strict=True):
        query = pairs.query_texts[place]
        common = (set(tokenize(query)) & set(tokenize(text))) - STOP_WORDS
        with st.container(border=True, gap="xsmall"):
            left, right = st.columns([2, 3], gap="medium")
            with left:
                st.caption(":material/star: Query" + _origin(corpus, int(pairs.query_rows[place])))
                show(shorten(query, LONGEST_SHOWN), common)
            with right:
                made = " as it is read here" if pairs.doc_texts is not None else ""
                st.caption(f":material/circle: Positive {code(doc_id)}{made}")
                show(shorten(text, LONGEST_SHOWN), common)
                negatives = pairs.negative_rows[place]
                for row in negatives[negatives >= 0][:1].tolist():
                    st.caption(f":material/close: Hard negative {code(corpus.doc_ids([row])[0])}")
                    show(shorten(corpus.document_texts([row])[0], 260), muted=True)


def _origin(corpus: Corpus, query_row: int) -> str:
    return f" of {code(corpus.query_ids([query_row])[0])}" if query_row >= 0 else ", made of the texts"


def draw_written(session: Session, corpus: Corpus, written: WrittenNegatives) -> None:
    """Synthetic negatives of a training with the link's seed, each with its query and the positive that it was made from."""
    st.subheader("What was written against", anchor=False)
    seed = session.link.value("draw", 0, kind=int, ge=0, le=LAST_SEED)
    with problems_shown(), st.spinner("Reading or making the texts ..."):
        texts = _written(corpus.fingerprint, json.dumps(written.to_dict(), sort_keys=True), seed, corpus)
        n_queries = len({own.query_id for own in texts})
        if not texts:
            st.info("No training query gets a written negative: nothing in its positives can be exchanged, or the file has other ids.")
            return
        st.caption(
            f"{len(texts):,} synthetic texts for {n_queries:,} of {len(training_queries(corpus)):,} training queries. They are trained "
            "against and never searched. Read some: one that answers its query is a false negative. Words that its positive lacks are "
            f"marked. Shown: {min(SHOWN, len(texts))} with seed {seed}."
        )
        if st.button("Show others", icon=":material/casino:", key="written.others", help="The next seed; it is in the link."):
            session.link.set(draw=(seed + 1) % LAST_SEED)
            st.rerun()
        for place in np.sort(np.random.default_rng([seed, 45]).permutation(len(texts))[:SHOWN]).tolist():
            _one_written(corpus, texts[place])


@st.cache_resource(max_entries=8, show_spinner=False)
def _written(fingerprint: str, described: str, seed: int, _corpus: Corpus) -> list[Written]:
    piece: Any = make_piece(FAMILIES["written"], json.loads(described), "written")
    return piece.write(shared_context(_corpus), training_queries(_corpus), seed)


def _one_written(corpus: Corpus, own: Written) -> None:
    row = int(corpus.query_rows([own.query_id])[0])
    source = int(corpus.doc_rows([own.doc_id])[0]) if own.doc_id else -1
    positive = corpus.document_texts([source])[0] if source >= 0 else ""
    with st.container(border=True, gap="xsmall"):
        left, right = st.columns([2, 3], gap="medium")
        with left:
            st.caption(f":material/star: Query {code(own.query_id)}")
            show(shorten(corpus.query_texts([row])[0], LONGEST_SHOWN))
            if positive:
                st.caption(f":material/circle: Made from {code(own.doc_id)}")
                show(shorten(positive, 260), muted=True)
        with right:
            st.badge(f"synthetic, by {plain(own.origin or 'unknown')}", icon=":material/edit_note:", color="violet")
            show(shorten(own.text, LONGEST_SHOWN), set(tokenize(own.text)) - set(tokenize(positive)) if positive else ())
