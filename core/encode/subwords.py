"""Subword tokenisation by a Hugging Face ``tokenizers`` model, word by word where that is exact."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.encode.tokens import Tokens, tokenize_by_pieces
from core.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPACE_MARK = "▁"
_LLAMA_NORMALIZER = [
    {"type": "Prepend", "prepend": SPACE_MARK},
    {"type": "Replace", "pattern": {"String": " "}, "content": SPACE_MARK},
]
_WORDS = re.compile(" *[^ ]+")


class SubwordTokenizer:
    """Ids exactly as sentence-transformers' ``StaticEmbedding.preprocess`` gives them: no special tokens, no cap."""

    def __init__(self, tokenizer: Tokenizer):
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.tokenizer = tokenizer
        self.n_ids: int = tokenizer.get_vocab_size()
        self._written = tokenizer.to_str()
        self._marks = _word_marks(self._written)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """The token ids of ``texts``; an empty text has none."""
        if self._marks is None:
            return self._encode(list(texts))
        return tokenize_by_pieces(texts, self._split, self._encode)

    def spans(self, text: str) -> np.ndarray:
        """The characters of each of the text's tokens, from and to: int64 (n, 2). A letter of several bytes may stand for several."""
        return np.array(self.tokenizer.encode(text, add_special_tokens=False).offsets, np.int64).reshape(-1, 2)

    def save(self, path: Path) -> None:
        path.write_text(self._written, encoding="utf-8")

    def _encode(self, texts: list[str]) -> Tokens:
        # The fast variant leaves out character offsets, which nobody reads here.
        return Tokens.from_lists([e.ids for e in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)])

    def _split(self, text: str) -> list[str]:
        """The words of ``text``, each without the one space before it, which the normaliser puts back.

        A text with a special token, a literal mark or a space at its end stays whole: there the parts'
        ids are not the whole's.
        """
        if text.endswith(" ") or any(mark in text for mark in self._marks or ()):
            return [text]
        if "  " not in text and not text.startswith(" "):
            return text.split(" ") if text else []
        return [word[1:] for word in _WORDS.findall(" " + text)]


def _word_marks(written: str) -> tuple[str, ...] | None:
    """Strings that forbid word-by-word tokenisation of a text; None when this tokenizer forbids it always.

    Byte-pair merges never cross from a letter to a following space mark when no vocabulary entry does;
    then each word's ids do not depend on its neighbours and a text is the sum of its words.
    """
    spec = json.loads(written)
    model, normalizer = spec["model"], spec["normalizer"] or {}
    is_llama = (
        model["type"] == "BPE"
        and not model.get("dropout")
        and bool(model.get("byte_fallback"))
        and spec["pre_tokenizer"] is None
        and normalizer.get("normalizers") == _LLAMA_NORMALIZER
    )
    if not is_llama or any(SPACE_MARK in entry.lstrip(SPACE_MARK) for entry in model["vocab"]):
        return None
    return (SPACE_MARK, *(token["content"] for token in spec["added_tokens"]))


@cache
def wordllama_tokenizer() -> SubwordTokenizer:
    """The 32,000-entry tokenizer inside the ``wordllama`` wheel; made once a process, nothing changes it."""
    from tokenizers import Tokenizer

    return SubwordTokenizer(Tokenizer.from_file(str(_wheel_file("tokenizers/l2_supercat_tokenizer_config.json"))))


@cache
def wordllama_vectors() -> np.ndarray:
    """The token vectors inside the ``wordllama`` wheel, float32 (32000, 256), read-only; read once a process."""
    from safetensors.numpy import load_file

    vectors = load_file(_wheel_file("weights/l2_supercat_256.safetensors"))["embedding.weight"].astype(np.float32)
    vectors.flags.writeable = False
    return vectors


def _wheel_file(name: str) -> Path:
    # Found without importing the package, whose import is heavy and not needed.
    spec = util.find_spec("wordllama")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder, name)
        if path.is_file():
            return path
    raise UserError(f"The wordllama package with its {name} is missing. Install it: pip install wordllama.")
