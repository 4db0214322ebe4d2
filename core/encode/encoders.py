"""The encoders that a trial can train: light pieces here, their models are built when needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.errors import ParameterError
from core.params import Citation, Piece, make_piece, param

if TYPE_CHECKING:
    from core.encode.model import EncoderModel

TOWERS = ("shared", "separate")
_TOWERS_HELP = (
    "shared: one table of vectors reads queries and documents; separate: each side trains its own, from equal starts"
)


class Encoder(Piece):
    """Base of the encoders: texts to vectors."""

    family: ClassVar[str] = "encoder"
    towers: str

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        """An untrained model. ``corpus_texts``: for encoders that learn a vocabulary; equal seeds, equal bytes."""
        raise NotImplementedError

    def _model(self, tokenizer: Any, vectors: np.ndarray) -> EncoderModel:
        from core.encode.model import EncoderModel

        sides = ("shared",) if self.towers == "shared" else ("query", "document")
        return EncoderModel(self, tokenizer, {side: vectors for side in sides})


@dataclass(frozen=True, kw_only=True)
class StaticEncoder(Encoder):
    """A text's vector is the mean of its tokens' vectors, which start from distilled language-model embeddings.

    How: the text is cut into subwords, each subword has one row in a table, the rows are averaged; training
    moves the rows. There is no attention, so a training step costs milliseconds and the whole corpus can be
    encoded again in a moment: dynamic mining is live. The start (WordLlama, 32,000 x 256, taken from the
    token embeddings of large language models) already places related words near each other.

    Fails when word order or context decides the meaning ("dog bites man", "not recommended"), and for long
    documents, whose mean blurs many subjects into one.
    """

    key: ClassVar[str] = "static"
    title: ClassVar[str] = "Static token vectors"
    source: ClassVar[Citation] = Citation(
        "Miller", 2024, "WordLlama: recycled token embeddings from large language models",
        "https://github.com/dleemiller/WordLlama",
    )  # fmt: skip
    cost: ClassVar = "low"
    difficulty: ClassVar = "easy"

    towers: str = param("shared", _TOWERS_HELP, choices=TOWERS)

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.subwords import wordllama_tokenizer, wordllama_vectors

        return self._model(wordllama_tokenizer(), wordllama_vectors())


@dataclass(frozen=True, kw_only=True)
class StaticScratch(Encoder):
    """The same mean of token vectors, but the vectors start at random: what pre-training is worth.

    How: the tokenizer of `static`, a table of independent normal vectors. The spread of the start divides the
    learning rate: ten times wider, ten times slower to leave. Before training two texts are close
    only when they share subwords, so the untrained model is a noisy word-overlap search; all that it knows
    about synonyms afterwards, it learnt from the training pairs and the negatives.

    Fails when pairs are few: words that no training pair contains keep their random vectors for ever.
    """

    key: ClassVar[str] = "static-scratch"
    title: ClassVar[str] = "Static token vectors from scratch"
    source: ClassVar[Citation] = Citation(
        "Aarsen", 2025, "Train 400x faster static embedding models with Sentence Transformers",
        "https://huggingface.co/blog/static-embeddings",
    )  # fmt: skip
    cost: ClassVar = "low"
    difficulty: ClassVar = "easy"

    towers: str = param("shared", _TOWERS_HELP, choices=TOWERS)
    dim: int = param(256, "numbers in a vector", ge=8, le=1024)
    spread: float = param(
        0.03,
        "standard deviation of the starting numbers; Adam moves each by about the learning rate a step",
        ge=0.001,
        le=10.0,
    )

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.subwords import wordllama_tokenizer

        tokenizer = wordllama_tokenizer()
        return self._model(tokenizer, _normal_vectors(tokenizer.n_ids, self.dim, self.spread, seed))


@dataclass(frozen=True, kw_only=True)
class CharNgram(Encoder):
    """A text's vector is the mean over its words' character n-grams, so that no word is ever unknown.

    How: each lower-cased word stands between marks (`<where>`), every run of n_min to n_max characters is
    hashed to one of the buckets, and the buckets' vectors are averaged. Misspellings, inflections, product
    codes and words never seen in training share most n-grams with words that were. The vectors start at random.

    Fails when look-alikes differ in meaning ("form", "from"), when unlike words must meet (synonyms, with few
    training pairs), and with too few buckets, where unrelated n-grams collide and move together.
    """

    key: ClassVar[str] = "char-ngram"
    title: ClassVar[str] = "Hashed character n-grams"
    source: ClassVar[Citation] = Citation(
        "Bojanowski, Grave, Joulin and Mikolov", 2017, "Enriching Word Vectors with Subword Information",
        "https://arxiv.org/abs/1607.04606",
    )  # fmt: skip
    used_by: ClassVar[Citation] = Citation(
        "Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632"
    )
    cost: ClassVar = "low"
    difficulty: ClassVar = "medium"

    towers: str = param("shared", _TOWERS_HELP, choices=TOWERS)
    dim: int = param(256, "numbers in a vector", ge=8, le=1024)
    buckets: int = param(32768, "rows in the table that n-grams are hashed to", ge=256, le=1_048_576)
    n_min: int = param(3, "shortest n-gram", unit="characters", ge=1, le=10)
    n_max: int = param(5, "longest n-gram", unit="characters", ge=1, le=10)
    spread: float = param(
        0.1,
        "standard deviation of the starting numbers; Adam moves each by about the learning rate a step",
        ge=0.001,
        le=10.0,
    )

    def check(self) -> None:
        if self.n_min > self.n_max:
            raise ParameterError(f"CharNgram.n_min must be <= n_max; got {self.n_min} > {self.n_max}.")

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.char_ngram import NgramTokenizer

        tokenizer = NgramTokenizer(self.buckets, self.n_min, self.n_max)
        return self._model(tokenizer, _normal_vectors(self.buckets, self.dim, self.spread, seed))


def _normal_vectors(n_rows: int, dim: int, spread: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_rows, dim), dtype=np.float32) * np.float32(spread)


ENCODERS: tuple[type[Encoder], ...] = (StaticEncoder, StaticScratch, CharNgram)


def make_encoder(data: dict[str, Any] | str) -> Encoder:
    """The encoder that a dict (as ``to_dict`` gives it) or a key alone describes; raises ParameterError."""
    return make_piece(ENCODERS, {"key": data} if isinstance(data, str) else data, "encoder")  # type: ignore[return-value]
