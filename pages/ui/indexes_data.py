"""The index measurements of this server: what is asked, what is kept, and the run that measures one index after the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.search.index_kinds import INDEXES
from pages.ui.negatives_data import stamp_of
from pages.ui.problems import problems_shown
from pages.ui.recipe_mining import UNTRAINED, Scorer, corpus_index, encodings
from pages.ui.recipe_pieces import encoder_of
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from core.audit.index_tradeoff import IndexFigures, Yardstick
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session

MOST_KEPT = 8
N_QUERIES = 1000
DEPTHS = (10, 50, 100, 200)
LASTS = (10, 50, 100, 200)


@dataclass(frozen=True)
class Asked:
    """One measurement: of which vectors, how deep, in which window. ``folder``: the trial's, None = the untrained encoder."""

    corpus: Corpus
    scorer: Scorer
    folder: Path | None
    stamp: str
    k: int
    first: int
    last: int

    @property
    def key(self) -> tuple:
        encoder = self.scorer.encoder if self.folder is None else ""
        return (self.corpus.fingerprint, self.scorer.who, encoder, self.stamp, self.k, self.first, self.last)


@dataclass
class Measured:
    """What is known so far; ``figures`` by the index's key. A page that was left in the middle goes on where it was."""

    stick: Yardstick
    figures: dict[str, list[IndexFigures]] = field(default_factory=dict)

    @property
    def waiting(self) -> list[type]:
        """The indexes that are not measured yet and can be."""
        return [index for index in INDEXES if index.key not in self.figures and not index.missing()]

    @property
    def is_complete(self) -> bool:
        return not self.waiting

    def all(self) -> list[IndexFigures]:
        return [one for index in INDEXES for one in self.figures.get(index.key, [])]


@st.cache_resource(show_spinner=False)
def _kept() -> dict[tuple, Measured]:
    return {}


def measured(asked: Asked) -> Measured | None:
    """What this server has measured of it."""
    return _kept().get(asked.key)


def choose_measured(session: Session, corpus: Corpus) -> Asked:
    """Whose vectors, how many documents a query, and the ranks that mining would use; all in the link."""
    link = session.link
    rows = {row.id: row for row in session.store.list(states=("finished",), fingerprint=corpus.fingerprint)}
    who_cell, k_cell, first_cell, last_cell = st.columns([2.4, 1, 1, 1], gap="small", vertical_alignment="bottom")
    with who_cell:
        who = link.bind(
            st.selectbox,
            "by",
            "Vectors of",
            options=[UNTRAINED, *rows],
            format_func=lambda i: "the untrained encoder" if i == UNTRAINED else shorten(rows[i].name, 60),
            help="A model's vectors of all documents and of up to 1,000 training queries.",
        )
    with k_cell:
        k = link.bind(st.selectbox, "k", "Recall at k", options=list(DEPTHS), default=100, help="Documents asked for by each query.")
    with first_cell:
        first = link.bind(
            st.number_input, "first", "First rank mined", default=1, ge=1, le=100, help="Raw ranks; known positives are left out."
        )
    with last_cell:
        last = link.bind(st.selectbox, "last", "Last rank mined", options=list(LASTS), default=50)
    row = rows.get(who)
    scorer = Scorer.of(who if row else UNTRAINED, encoder_of(link), {i: r.folder for i, r in rows.items()})
    return Asked(corpus, scorer, row.folder if row else None, stamp_of(row.folder) if row else "", k, int(min(first, last)), last)


def measure(asked: Asked, found: Measured | None) -> Measured | None:
    """Offer to measure what is missing; while it runs, say what is done. Each index is kept as soon as it is known."""
    n = len(found.waiting) if found else len([index for index in INDEXES if not index.missing()])
    with st.container(border=True):
        st.markdown(
            f":material/timer: {n} indexes wait. Each is built once, on one thread, and searched with up to {N_QUERIES:,} training queries "
            "at several efforts; some seconds for thousands of documents, minutes for a million."
        )
        is_pressed = st.button("Go on measuring" if found else "Measure the indexes", type="primary", key="indexes.measure")
    if not is_pressed:
        return found
    with problems_shown():
        return _run(asked, found)
    return found


def _run(asked: Asked, found: Measured | None) -> Measured:
    from core.audit.index_tradeoff import measure_index, yardstick

    bar = st.progress(0.0, text="Encoding the corpus, and searching it exactly ...")
    if found is None:
        encoder = asked.scorer.encoder if asked.folder is None else ""
        vectors = encodings(asked.corpus.fingerprint, asked.scorer.who, encoder, asked.corpus, asked.folder)
        index = corpus_index(asked.corpus.fingerprint, asked.corpus)
        window = {"k": asked.k, "first": asked.first, "last": asked.last, "n_queries": N_QUERIES}
        found = Measured(yardstick(asked.corpus, vectors, index=index, **window))
        kept = _kept()
        kept[asked.key] = found
        while len(kept) > MOST_KEPT:
            kept.pop(next(iter(kept)))
    waiting = found.waiting
    for i, index in enumerate(waiting):
        bar.progress((i + 1) / (len(waiting) + 1), text=f"{plain(index.title)}: building and searching ...")
        found.figures[index.key] = measure_index(found.stick, index())
    st.rerun()
    return found
