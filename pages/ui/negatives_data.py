"""A trial's why-cards, candidates and counted pairs from the server's memory, made once for all visitors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from core.errors import TrialError
from pages.ui.recipe_mining import shared_context

if TYPE_CHECKING:
    from core.audit.card import Cards
    from core.audit.trial_figures import Pairs
    from core.audit.trial_table import TrialTable
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow

# Cells of one matrix that are held as float32; larger ones stay on disk in half precision.
MOST_CELLS = 50_000_000


def stamp_of(folder: Path) -> str:
    """Changes whenever the trial wrote candidates or a snapshot."""
    patterns = ("candidates/*.parquet", "snapshots/*-documents.npy", "synthetic-uses.parquet")
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return ";".join(f"{p.name}:{p.stat().st_mtime_ns}" for p in sorted(paths))


def trial_cards(corpus: Corpus, row: TrialRow) -> Cards:
    """The cards of a trial, with all its candidates in memory where it mined any.

    Raises TrialError before the trial has written its first vectors.
    """
    from pages.ui.evidence import trained_cross

    cards = _cards(str(row.folder), stamp_of(row.folder), corpus.fingerprint, row.state == "finished", corpus)
    cards.cross = trained_cross(corpus)  # it may have been trained since the cards were made
    return cards


@st.cache_resource(max_entries=4, show_spinner=False)
def _cards(folder: str, stamp: str, fingerprint: str, is_finished: bool, _corpus: Corpus) -> Cards:
    from core.audit.card import Cards
    from core.audit.trial_table import read_trial_table
    from core.train.results import TrialResults

    results = TrialResults(folder)
    steps = results.snapshots()
    if not steps:
        raise TrialError("This trial has not written any vectors yet. Come back when its first step is done.")
    last = "this trial" if is_finished else f"this trial, step {steps[-1]}"
    models = {"untrained": results.snapshot(steps[0])}
    if len(steps) > 1:
        models[last] = results.snapshot(steps[-1])
    models = {name: _in_memory(vectors) for name, vectors in models.items()}
    if any(v.documents.shape[0] != _corpus.n_documents for v in models.values()):
        raise TrialError("This trial was trained on another corpus. Choose a trial of this one.")
    context = shared_context(_corpus)
    tokens = _tokens(folder) if is_finished else lambda: None
    cards = Cards(_corpus, results, models, context, tokens=tokens)
    tables = results.tables()
    cards.whole = read_trial_table(results, _corpus, cards.twins, tables) if tables else None
    return cards


def _tokens(folder: str):
    """The model's token vectors, read when a card first asks; None for a model that is no mean over tokens."""

    def read():
        from core.errors import UserError
        from pages.ui.evidence import trial_tokens

        try:
            return trial_tokens(folder, None)
        except UserError:  # a model of another kind
            return None

    return read


def _in_memory(vectors):
    if vectors.documents.size > MOST_CELLS:
        return vectors
    return replace(vectors, queries=vectors.queries.astype(np.float32), documents=vectors.documents.astype(np.float32))


def counted(cards: Cards, row: TrialRow, table: int | None) -> tuple[TrialTable, Pairs]:
    """The candidates of one mining or of all, and their pairs; raises TrialError where nothing was mined."""
    if cards.whole is None:
        raise TrialError("This trial has no table of mined candidates.")
    return _counted(str(row.folder), stamp_of(row.folder), cards.corpus.fingerprint, table, cards.whole)


@st.cache_resource(max_entries=8, show_spinner=False)
def _counted(folder: str, stamp: str, fingerprint: str, table: int | None, _whole: TrialTable):
    from core.audit.trial_figures import pairs_of

    chosen = _whole.of_tables(None if table is None else [table])
    return chosen, pairs_of(chosen)
