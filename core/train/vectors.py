"""Vectors of a corpus by the model in training, by a finished trial, by an encoder that nobody trained yet."""

from __future__ import annotations

import time
from pathlib import Path

from core.corpus.corpus import Corpus
from core.encode.encoders import make_encoder
from core.encode.model import EncoderModel, load_model
from core.errors import TrialError
from core.sampling.context import Vectors
from core.train.config import read_config
from core.train.step import Stepper


class CurrentVectors:
    """Vectors of the model in training, encoded at most once for each step, and of other trials.

    ``home``: the folder that holds the trials, so that a recipe can name one by its id; an absolute folder stands for itself.
    """

    def __init__(self, stepper: Stepper, corpus: Corpus, home: Path):
        self.stepper, self.corpus, self.home = stepper, corpus, home
        self._current: tuple[int, Vectors] | None = None
        self._others: dict[str, Vectors] = {}

    def of(self, which: str) -> Vectors:
        """``"current"``; ``"start"``, which only the first step may ask for; or a trial's id or folder."""
        step = self.stepper.n_done
        if which == "current" or (which == "start" and step == 0 and which not in self._others):
            if self._current is None or self._current[0] != step:
                self._current = step, self._encode()
            return self._current[1]
        if which not in self._others:
            self._others[which] = trial_vectors(self.home / which, self.corpus)
        return self._others[which]

    def keep(self, which: str) -> None:
        """Hold these vectors for the whole trial; before the first step, ``"start"`` among them, which later nobody can make."""
        self._others[which] = self.of(which)

    def _encode(self) -> Vectors:
        stepper = self.stepper
        # Texts that positives made stand behind the corpus's own and are not searched.
        queries, documents = (
            tokens if len(tokens) == n else tokens.part(0, n)
            for tokens, n in ((stepper.query_tokens, self.corpus.n_queries), (stepper.doc_tokens, self.corpus.n_documents))
        )
        return Vectors(
            stepper.model.encode(queries, "query"),
            stepper.model.encode(documents, "document"),
            stepper.recipe.signal.similarity,
            f"step {stepper.n_done}",
        )


def trial_vectors(folder: Path, corpus: Corpus) -> Vectors:
    """Vectors of a finished trial's model for any corpus; raises TrialError where the folder holds none."""
    config = read_config(folder)
    if not (folder / "model").is_dir():
        raise TrialError(f"{folder} has no model yet. Wait until the trial has finished, or choose another.")
    model = load_model(folder / "model")
    return model_vectors(model, corpus, config.recipe_value.signal.similarity, str(folder))


def untrained_vectors(corpus: Corpus, encoder: dict, similarity: str = "cosine", seed: int = 0) -> Vectors:
    """Vectors of the encoder as it is before the first step of a trial with this seed."""
    piece = make_encoder(encoder)
    return model_vectors(piece.build(piece.document_texts(corpus), seed), corpus, similarity, f"{piece.title}, untrained")


def model_vectors(model: EncoderModel, corpus: Corpus, similarity: str, label: str) -> Vectors:
    """Vectors of every query and document of the corpus by one model, and the seconds that encoding took.

    Texts are made into tokens first and untimed, as a training does once and not at each refresh.
    """
    encoder = model.encoder
    queries, documents = model.tokenize(encoder.query_texts(corpus)), model.tokenize(encoder.document_texts(corpus))
    model.encode(queries.part(0, min(1, len(queries))), "query")  # compiled code is loaded by the first
    started = time.perf_counter()
    found = model.encode(queries, "query"), model.encode(documents, "document")
    return Vectors(*found, similarity, label, time.perf_counter() - started)
