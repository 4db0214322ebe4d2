"""Previews of recipes from the server's memory: encodings, lexical index and mined tables, each made once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from core.errors import TrialError
from core.sampling.context import CorpusIndex, MiningContext, Vectors
from pages.ui import services

if TYPE_CHECKING:
    from core.audit.batches import EpochBatches
    from core.audit.preview import Preview
    from core.corpus.corpus import Corpus
    from core.sampling.recipe import Recipe

UNTRAINED = "untrained"
N_QUERIES = 200
SEED = 0


@dataclass(frozen=True)
class Scorer:
    """Whose vectors score the candidates: the untrained ``encoder`` or a finished trial; ``folders`` by trial id."""

    who: str
    encoder: str
    folders: Mapping[str, Path]

    @classmethod
    def of(cls, who: str, encoder: dict[str, Any], folders: Mapping[str, Path]) -> Scorer:
        return cls(who, json.dumps(encoder, sort_keys=True), folders)


@st.cache_resource(max_entries=8, show_spinner=False)
def encodings(fingerprint: str, who: str, encoder: str, _corpus: Corpus, _folder: Path | None) -> Vectors:
    """The corpus's vectors by one model."""
    from core.train.vectors import trial_vectors, untrained_vectors

    return untrained_vectors(_corpus, json.loads(encoder), seed=SEED) if _folder is None else trial_vectors(_folder, _corpus)


@st.cache_resource(max_entries=4, show_spinner=False)
def corpus_index(fingerprint: str, _corpus: Corpus) -> CorpusIndex:
    """The corpus's lexical index, protected pairs and near copies, once for all visitors."""
    return CorpusIndex(_corpus, cross_folder=services.workspace().cache / "cross")


def shared_context(corpus: Corpus) -> MiningContext:
    """A context on the shared index that has no vectors of its own."""

    def refuse(which: str) -> Vectors:
        raise TrialError(f"No vectors of {which!r} here.")

    return MiningContext(corpus, refuse, corpus_index(corpus.fingerprint, corpus))


def context_of(corpus: Corpus, recipe: Recipe, scorer: Scorer) -> MiningContext:
    """What ``recipe`` would see on the corpus when its model is the scorer's."""

    def vectors_of(which: str) -> Vectors:
        who, encoder, folder = scorer.who, scorer.encoder, None
        if which == "start":
            who = UNTRAINED
        elif which != "current":
            who = next((i for i, path in scorer.folders.items() if which in (i, str(path))), "")
            if not who:
                raise TrialError("The trial that this recipe mines with is not a finished trial of this corpus. Choose one in the lane.")
        if who != UNTRAINED:
            folder, encoder = scorer.folders[who], ""
        made = encodings(corpus.fingerprint, who, encoder, corpus, folder)
        return dataclasses.replace(made, similarity=recipe.signal.similarity)

    if recipe.positives.key == "labelled" or recipe.positives.lacks(corpus):
        return MiningContext(corpus, vectors_of, corpus_index(corpus.fingerprint, corpus))
    described = json.dumps(recipe.positives.to_dict(), sort_keys=True)
    index = _trained_index(corpus.fingerprint, described, corpus, recipe)
    return MiningContext(index.corpus, vectors_of, index)


@st.cache_resource(max_entries=2, show_spinner=False)
def _trained_index(fingerprint: str, positives: str, _corpus: Corpus, _recipe: Recipe) -> CorpusIndex:
    """The index of the corpus whose training split is what other positives found; of the corpus itself for most."""
    trained = _recipe.positives.trained_corpus(_corpus)
    if trained is _corpus:
        return corpus_index(fingerprint, _corpus)
    return CorpusIndex(trained, cross_folder=services.workspace().cache / "cross")


def training_queries(corpus: Corpus) -> np.ndarray:
    """Rows of the queries with a training pair, ascending."""
    return np.unique(corpus_index(corpus.fingerprint, corpus).training_pairs[0])


@st.cache_resource(max_entries=64, show_spinner=False)
def _previewed(
    fingerprint: str,
    recipe_key: str,
    who: str,
    encoder: str,
    always: int | None,
    _recipe: Recipe,
    _context: MiningContext,
    _encode_seconds: float,
) -> Preview:
    from core.audit.preview import preview, sample_queries

    rows = sample_queries(_context, N_QUERIES, SEED, always)
    # One query first: what is made once for a corpus must not count as time for each query.
    preview(_recipe, _context, rows[:1], seed=SEED)
    return preview(_recipe, _context, rows, seed=SEED, encode_seconds=_encode_seconds)


def sampled_queries(corpus: Corpus) -> np.ndarray:
    """The training queries on which every recipe is previewed."""
    from core.audit.preview import sample_queries

    return sample_queries(shared_context(corpus), N_QUERIES, SEED)


def previewed(corpus: Corpus, recipe: Recipe, scorer: Scorer, query_row: int) -> tuple[Preview, MiningContext, float]:
    """The preview on the sampled queries and this one, its context, and the seconds of one encoding of the corpus."""
    context = context_of(corpus, recipe, scorer)
    folder = None if scorer.who == UNTRAINED else scorer.folders[scorer.who]
    encoder = scorer.encoder if folder is None else ""
    seconds = encodings(corpus.fingerprint, scorer.who, encoder, corpus, folder).seconds
    always = None if query_row in sampled_queries(corpus) else int(query_row)
    made = _previewed(
        corpus.fingerprint, recipe.key, scorer.who, scorer.encoder, always, recipe, context, seconds
    )  # fmt: skip
    return made, context, seconds


@st.cache_resource(max_entries=32, show_spinner=False)
def _composed(
    fingerprint: str, recipe_key: str, who: str, encoder: str, batch_size: int, _recipe: Recipe, _context: MiningContext
) -> EpochBatches:
    from core.audit.batches import first_epoch

    return first_epoch(_recipe, _context, seed=SEED, batch_size=batch_size)


def composed(corpus: Corpus, recipe: Recipe, scorer: Scorer, batch_size: int) -> EpochBatches:
    """The batches of the recipe's first epoch on the corpus; clusters are those of the untrained encoder or of a trial that it names."""
    return _composed(
        corpus.fingerprint, recipe.key, scorer.who, scorer.encoder, batch_size, recipe, context_of(corpus, recipe, scorer)
    )  # fmt: skip
