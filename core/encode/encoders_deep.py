"""Encoders that read words in order: a tiny transformer, any sentence-transformer, and a frozen one with a trained head."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from core.encode.encoder import FIELDS_HELP, TOWERS, Encoder
from core.errors import ParameterError
from core.params import Citation, param

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.encode.model import EncoderModel

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_TOWERS_HELP = "shared: one tower reads queries and documents; separate: each side trains its own, from equal starts"
_MODEL_HELP = "folder of a sentence-transformers model on the machine that trains, or its name on the model hub"
_LONGEST_HELP = "tokens of a text that are read, marks at both ends included; the rest is cut off"


class _Deep(Encoder):
    """Base of the encoders whose step is heavy enough to share between threads."""

    is_table: ClassVar[bool] = False
    is_light: ClassVar[bool] = False

    def _sides(self, modules: list[Any]) -> dict[str, list[Any]]:
        """The modules for both sides, or a copy for each."""
        return {"shared": modules} if self.towers == "shared" else {"query": modules, "document": copy.deepcopy(modules)}


@dataclass(frozen=True, kw_only=True)
class TinyTransformer(_Deep):
    """A small transformer, from nothing: its word pieces and its weights come from this corpus alone.

    How: a WordPiece vocabulary is learnt from the documents; a BERT of two layers reads the pieces in their order, each looking
    at all others, and the mean of what comes out is the text's vector. Small enough to train on two cores while one looks on,
    and a real tower: its vectors depend on order and context, so it shows what a mean of token vectors cannot.

    Dropout is left out, so that a step depends on nothing but weights and batch; vectors start at random. It wants a smaller
    learning rate than the token tables, .001 unless another is chosen.

    Fails with the few thousand pairs of a small corpus: it must learn the language itself from them, and mostly stays
    behind token vectors that come from a large model. Texts longer than `max_tokens` are cut.
    """

    key: ClassVar[str] = "tiny-transformer"
    title: ClassVar[str] = "Tiny transformer"
    source: ClassVar[Citation] = Citation(
        "Turc, Chang, Lee and Toutanova", 2019, "Well-Read Students Learn Better: On the Importance of Pre-training Compact Models",
        "https://arxiv.org/abs/1908.08962",
    )  # fmt: skip
    cost: ClassVar = "medium"
    difficulty: ClassVar = "hard"
    learning_rate: ClassVar[float] = 0.001

    towers: str = param("shared", _TOWERS_HELP, choices=TOWERS)
    dim: int = param(128, "numbers in a vector and in every layer; the heads must divide it", ge=8, le=1024)
    layers: int = param(2, "layers of attention", ge=1, le=12)
    heads: int = param(2, "attention heads of a layer", ge=1, le=16)
    vocabulary: int = param(8000, "most word pieces to learn", ge=200, le=60_000)
    max_tokens: int = param(64, _LONGEST_HELP, unit="tokens", ge=8, le=512)
    fields: str = param("", FIELDS_HELP)

    def check(self) -> None:
        if self.dim % self.heads:
            raise ParameterError(f"TinyTransformer.heads must divide dim ({self.dim}); got {self.heads}.")

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.tiny import tiny_modules
        from core.encode.transformer import TransformerModel

        return TransformerModel(self, self._sides(tiny_modules(self, corpus_texts, seed)))


@dataclass(frozen=True, kw_only=True)
class SentenceTransformerEncoder(_Deep):
    """Any sentence-transformer, all of its weights trained: real work.

    How: the model of a folder or of the hub is loaded with its own tokenizer and pooling, and every weight moves. What it has
    read before carries over, so a few hundred pairs can be enough, at a learning rate as small as .00002.

    Dropout is left out, so that a step depends on nothing but weights and batch. A closing Normalize is left to the
    similarity, and prompts that the folder declares are not put before texts. Where there is a GPU it is used
    (NEGSPACE_DEVICE=cpu forbids it); there equal seeds need not give equal bytes.

    Fails in patience on a processor: every refresh of dynamic mining encodes the corpus anew. It forgets when the learning rate is
    too large, and starts from what its makers trained it on, perhaps on this very corpus.
    """

    key: ClassVar[str] = "sentence-transformer"
    title: ClassVar[str] = "Sentence-transformer, fully trained"
    source: ClassVar[Citation] = Citation(
        "Reimers and Gurevych", 2019, "Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks",
        "https://arxiv.org/abs/1908.10084",
    )  # fmt: skip
    cost: ClassVar = "high"
    difficulty: ClassVar = "hard"
    needs: ClassVar[tuple[str, ...]] = ("model",)
    learning_rate: ClassVar[float] = 2e-5

    model: str = param(MINILM, _MODEL_HELP)
    towers: str = param("shared", _TOWERS_HELP, choices=TOWERS)
    max_tokens: int = param(128, _LONGEST_HELP, unit="tokens", ge=8, le=8192)
    fields: str = param("", FIELDS_HELP)

    def check(self) -> None:
        _need_model(self)

    def lacks(self, corpus: Corpus) -> str:
        return super().lacks(corpus) or _absent(self)

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.tiny import add_features
        from core.encode.transformer import TransformerModel, load_modules, without_normalize

        modules = without_normalize(load_modules(self.model, type(self).__name__, seed))
        if not _cut(modules, self.max_tokens):
            raise ParameterError(
                f"{type(self).__name__}.model {self.model!r} begins with {type(modules[0]).__name__}, not with a transformer. "
                "Take the encoder frozen-head for it, or static for token vectors."
            )
        if self.field_names:
            add_features(modules[0], corpus_texts)
        return TransformerModel(self, self._sides(modules))


@dataclass(frozen=True, kw_only=True)
class FrozenHead(_Deep):
    """A large model reads each text once; only a small head on its vectors is trained: its meaning at live speed.

    How: the frozen model's vectors of the corpus are computed once and kept for later trials; a step multiplies them by the
    head, so dynamic mining costs milliseconds again. The head starts as the identity: before the first step the vectors
    are the frozen model's own, and training can only bend them. `hidden` units make it more than a linear map.

    Fails where the frozen vectors have lost what the query asks for: a head can weigh what is there, not add it. It
    cannot read feature fields either: those would be new tokens of a model that does not learn.
    """

    key: ClassVar[str] = "frozen-head"
    title: ClassVar[str] = "Frozen model with a trained head"
    source: ClassVar[Citation] = Citation(
        "Houlsby et al.", 2019, "Parameter-Efficient Transfer Learning for NLP", "https://arxiv.org/abs/1902.00751"
    )
    cost: ClassVar = "medium"
    difficulty: ClassVar = "easy"
    needs: ClassVar[tuple[str, ...]] = ("model",)
    learning_rate: ClassVar[float] = 5e-4

    model: str = param(MINILM, _MODEL_HELP)
    towers: str = param("shared", "shared: one head for queries and documents; separate: one each", choices=TOWERS)
    hidden: int = param(0, "units between two layers of the head; 0 = one linear layer", ge=0, le=8192)
    max_tokens: int = param(256, _LONGEST_HELP, unit="tokens", ge=8, le=8192)

    def check(self) -> None:
        _need_model(self)

    def lacks(self, corpus: Corpus) -> str:
        return super().lacks(corpus) or _absent(self)

    def build(self, corpus_texts: Sequence[str], seed: int) -> EncoderModel:
        from core.encode.frozen import FrozenBase, FrozenModel, new_head
        from core.encode.transformer import load_modules

        modules = load_modules(self.model, type(self).__name__, seed)
        _cut(modules, self.max_tokens)
        base = FrozenBase(modules)
        return FrozenModel(self, base, self._sides(new_head(base.dim, self.hidden, seed)))


def _absent(piece: Any) -> str:
    """Why the model of the piece cannot be there: it is named as a folder, and there is none. A name of the hub is asked later."""
    name = piece.model.strip()
    if not name.startswith(("/", "./", "../", "~", "\\")) or Path(name).expanduser().is_dir():
        return ""
    return f"{type(piece).__name__}.model names the folder {name}, which is not on this machine. Name one that is, or a model of the hub."


def _cut(modules: list[Any], max_tokens: int) -> bool:
    """Let the first module read no more than ``max_tokens``; False where it is no transformer and reads everything."""
    if type(modules[0]).__name__ != "Transformer":
        return False
    modules[0].max_seq_length = min(max_tokens, modules[0].max_seq_length or max_tokens)
    return True


def _need_model(piece: Any) -> None:
    if not piece.model.strip():
        raise ParameterError(f"{type(piece).__name__}.model must name a folder or a model of the hub.")
