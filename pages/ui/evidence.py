"""What reasons are asked with, from the server's memory: the evidence on a trial's candidates, or on a corpus without one."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.errors import TrialError
from pages.ui import services
from pages.ui.negatives_data import stamp_of
from pages.ui.recipe_mining import SEED, UNTRAINED, encodings, shared_context

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.audit.evidence import Evidence
    from core.corpus.corpus import Corpus
    from core.encode.token_tables import TokenTables
    from core.lab.tables import TrialRow
    from core.sampling.context import Vectors
    from core.search.cross_encoder import CrossModel
    from pages.ui.frame import Session

MOST_OTHERS = 4
STATIC = '{"key": "static"}'


def trial_evidence(session: Session, corpus: Corpus, row: TrialRow) -> Evidence:
    """Evidence on a trial: its final model (or latest snapshot), the untrained encoder as guide, up to four other finished
    trials, those that differ only in the seed first, and the corpus's cross-encoder where one is trained.

    Raises TrialError before the trial has written vectors.
    """
    others = tuple((other.id, str(other.folder)) for other in _others(session, row))
    cross = trained_cross(corpus)
    return _trial_evidence(str(row.folder), stamp_of(row.folder), corpus.fingerprint, others, cross.key if cross else "", corpus, cross)


@st.cache_resource(max_entries=3, show_spinner=False)
def _trial_evidence(folder: str, stamp: str, fingerprint: str, others: tuple, cross_key: str, _corpus, _cross) -> Evidence:
    from core.audit.evidence import Evidence, evidence_of_trial
    from core.train.results import TrialResults

    found = [_last(Path(path)) for _, path in others]
    own = [vectors for vectors in found if vectors is not None and len(vectors.documents) == _corpus.n_documents]
    context, results = shared_context(_corpus), TrialResults(folder)
    more = {"guide": untrained(_corpus), "others": own, "cross": _cross}
    if results.tables():
        return evidence_of_trial(_corpus, results, context, **more)
    vectors = _last(Path(folder))  # a recipe that mines nothing has no candidates, but its model has an opinion
    if vectors is None:
        raise TrialError("This trial has not written any vectors yet. Come back when its first step is done.")
    return Evidence(_corpus, context, vectors, **more)


def untrained_evidence(session: Session, corpus: Corpus) -> Evidence:
    """Evidence where nothing was trained: the untrained encoder is the model."""
    cross = trained_cross(corpus)
    return _untrained_evidence(corpus.fingerprint, cross.key if cross else "", corpus, cross)


@st.cache_resource(max_entries=3, show_spinner=False)
def _untrained_evidence(fingerprint: str, cross_key: str, _corpus: Corpus, _cross: CrossModel | None) -> Evidence:
    from core.audit.evidence import Evidence

    return Evidence(_corpus, shared_context(_corpus), untrained(_corpus), guide=None, cross=_cross)


def untrained(corpus: Corpus) -> Vectors:
    """The corpus's vectors by the static encoder before any training."""
    return encodings(corpus.fingerprint, UNTRAINED, STATIC, corpus, None)


@st.cache_resource(max_entries=3, show_spinner=False)
def _untrained_cards(fingerprint: str, cross_key: str, _corpus: Corpus, _cross: CrossModel | None) -> Cards:
    from core.audit.card import Cards
    from pages.ui.recipe_card import encoder_tokens

    models = {"untrained": untrained(_corpus)}
    own = partial(encoder_tokens, fingerprint, STATIC, _corpus)
    return Cards(_corpus, None, models, shared_context(_corpus), tokens=own, cross=_cross)


def untrained_cards(corpus: Corpus) -> Cards:
    """Why-cards where nothing was trained."""
    cross = trained_cross(corpus)
    return _untrained_cards(corpus.fingerprint, cross.key if cross else "", corpus, cross)


@st.cache_resource(max_entries=3, show_spinner=False)
def trial_tokens(folder: str, ended: float | None) -> TokenTables | None:
    """The token vectors of a finished trial's model; None while it has none."""
    from core.encode.store import read_token_tables

    model = Path(folder) / "model"
    return read_token_tables(model) if model.is_dir() else None


def trained_cross(corpus: Corpus) -> CrossModel | None:
    """The corpus's cross-encoder where this server has one or finds it in the workspace's cache; never trains."""
    found = _crosses().get(corpus.fingerprint)
    if found is None and _cross_folder().is_dir():
        from core.search.cross_encoder import EmbeddedCrossEncoder

        if (_cross_folder() / EmbeddedCrossEncoder().key_for(corpus, SEED) / "model.json").is_file():
            return train_cross(corpus)
    return found


def train_cross(corpus: Corpus) -> CrossModel:
    """The corpus's cross-encoder, trained (or read from disk, where it was trained before) and kept for every page."""
    from core.search.cross_cache import cross_model
    from core.search.cross_encoder import EmbeddedCrossEncoder

    bm25 = shared_context(corpus).bm25
    model = cross_model(corpus, EmbeddedCrossEncoder(), bm25=bm25, seed=SEED, folder=_cross_folder())
    crosses = _crosses()
    crosses[corpus.fingerprint] = model
    while len(crosses) > services.MAX_CORPORA:
        crosses.pop(next(iter(crosses)))
    return model


def _cross_folder() -> Path:
    return services.workspace().cache / "cross"


@st.cache_resource(show_spinner=False)
def _crosses() -> dict[str, CrossModel]:
    return {}


def _others(session: Session, row: TrialRow) -> list[TrialRow]:
    def unseeded(one: TrialRow) -> dict:
        return {name: value for name, value in one.config.items() if name not in ("seed", "name", "snapshots")}

    rows = session.store.list(states=("finished",), fingerprint=row.corpus_fingerprint)
    # One that was trained with verdicts would repeat what people, or truth, said of these very pairs.
    rows = [other for other in rows if other.id != row.id and not other.config.get("verdicts")]
    return sorted(rows, key=lambda other: unseeded(other) != unseeded(row))[:MOST_OTHERS]


def _last(folder: Path) -> Vectors | None:
    """A trial's last vectors, in single precision; None where they are gone."""
    from core.train.results import TrialResults

    results = TrialResults(folder)
    try:
        vectors = results.snapshot(results.snapshots()[-1])
    except (TrialError, IndexError, OSError):
        return None
    queries, documents = (np.asarray(a, np.float32) for a in (vectors.queries, vectors.documents))
    return dataclasses.replace(vectors, queries=queries, documents=documents)
