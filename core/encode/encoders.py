"""The encoders that a trial can train: light pieces here, their models are built when needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from core.encode.encoder import FIELDS_HELP, TOWERS, TOWERS_HELP, Encoder
from core.encode.encoders_deep import FrozenHead, SentenceTransformerEncoder, TinyTransformer
from core.errors import ParameterError
from core.params import Citation, make_piece, param

if TYPE_CHECKING:
    from core.encode.model import EncoderModel

__all__ = [
    "ENCODERS", "TOWERS", "CharNgram", "Encoder", "FrozenHead", "SentenceTransformerEncoder", "StaticEncoder", "StaticScratch",
    "TinyTransformer", "encoder_of_text", "make_encoder",
]  # fmt: skip

_SCALE_HELP = "length of a feature's starting vector, in means of its value's token vectors: how much it counts beside the words"


def _table_model(encoder: Encoder, tokenizer: Any, vectors: np.ndarray) -> EncoderModel:
    from core.encode.tables import TableModel

    sides = ("shared",) if encoder.towers == "shared" else ("query", "document")
    return TableModel(encoder, tokenizer, {side: vectors for side in sides})


def _with_features(encoder: Any, tokenizer: Any, vectors: np.ndarray, texts: Sequence[str]) -> EncoderModel:
    """The table model whose tokenizer also knows the features that stand in the texts."""
    if encoder.field_names:
        from core.encode.features import FeatureTokenizer, features_of, starting_rows

        features = features_of(texts)
        vectors = np.concatenate([vectors, starting_rows(tokenizer, vectors, features, encoder.feature_scale)])
        tokenizer = FeatureTokenizer(tokenizer, features)
    return _table_model(encoder, tokenizer, vectors)


@dataclass(frozen=True, kw_only=True)
class StaticEncoder(Encoder):
    """A text's vector is the mean of its tokens' vectors, which start from distilled language-model embeddings.

    How: the text is cut into subwords, each subword has one row in a table, the rows are averaged; training
    moves the rows. There is no attention, so a training step costs milliseconds and the whole corpus can be
    encoded again in a moment: dynamic mining is live. The start (WordLlama, 32,000 x 256, taken from the
    token embeddings of large language models) already places related words near each other.

    Fields of the documents (place, category) can join as feature tokens, each with a row of its own that starts at the mean
    of its value's subwords and is trained like the others: what the words leave out (Huang et al. 2020, Facebook Search). With
    a large `feature_scale` they answer what only they can, and blur what the words alone would tell.

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

    towers: str = param("shared", TOWERS_HELP, choices=TOWERS)
    fields: str = param("", FIELDS_HELP, is_late=True)
    feature_scale: float = param(3.0, _SCALE_HELP, ge=0.0, le=100.0, is_late=True)

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.subwords import wordllama_tokenizer, wordllama_vectors

        return _with_features(self, wordllama_tokenizer(), wordllama_vectors(), corpus_texts)


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

    towers: str = param("shared", TOWERS_HELP, choices=TOWERS)
    dim: int = param(256, "numbers in a vector", ge=8, le=1024)
    spread: float = param(
        0.03,
        "standard deviation of the starting numbers; Adam moves each by about the learning rate a step",
        ge=0.001,
        le=10.0,
    )
    fields: str = param("", FIELDS_HELP, is_late=True)
    feature_scale: float = param(3.0, _SCALE_HELP, ge=0.0, le=100.0, is_late=True)

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.subwords import wordllama_tokenizer

        tokenizer = wordllama_tokenizer()
        vectors = _normal_vectors(tokenizer.n_ids, self.dim, self.spread, seed)
        return _with_features(self, tokenizer, vectors, corpus_texts)


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

    towers: str = param("shared", TOWERS_HELP, choices=TOWERS)
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
        return _table_model(self, tokenizer, _normal_vectors(self.buckets, self.dim, self.spread, seed))


def _normal_vectors(n_rows: int, dim: int, spread: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n_rows, dim), dtype=np.float32) * np.float32(spread)


ENCODERS: tuple[type[Encoder], ...] = (
    StaticEncoder, StaticScratch, CharNgram, TinyTransformer, SentenceTransformerEncoder, FrozenHead,
)  # fmt: skip


def make_encoder(data: dict[str, Any] | str) -> Encoder:
    """The encoder that a dict (as ``to_dict`` gives it) or a key alone describes; raises ParameterError."""
    return make_piece(ENCODERS, {"key": data} if isinstance(data, str) else data, "encoder")  # type: ignore[return-value]


def encoder_of_text(text: str, settings: Iterable[str] = ()) -> Encoder:
    """The encoder that ``char-ngram;dim=128`` describes, with ``settings`` such as ``dim=64`` applied; raises ParameterError."""
    key, *own = text.split(";")
    piece = make_encoder(key)
    specs = {spec.name: spec for spec in piece.params()}
    for setting in [*own, *settings]:
        name, _, value = setting.partition("=")
        if name not in specs:
            raise ParameterError(f"{type(piece).__name__} has no parameter {name!r}. It has: {', '.join(specs)}.")
        piece = piece.but(**{name: specs[name].parse(type(piece).__name__, value)})
    return piece
