"""Feature tokens: a field of a text, such as its place, as one token of its own beside the words.

In a text a feature stands as ``⟦place=Canada⟧`` before the words. The tokenizer knows each feature as one added token, so the
saved folder reads the same string the same way in sentence-transformers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from core.encode.tokens import Tokens
from core.errors import ParameterError

if TYPE_CHECKING:
    from pathlib import Path

    from core.encode.subwords import SubwordTokenizer

OPEN, CLOSE = "⟦", "⟧"
MOST_FEATURES = 50_000
LONGEST_VALUE = 120
_FEATURE = re.compile(r"⟦([^⟦⟧=]+)=([^⟦⟧]*)⟧")
_AROUND = re.compile(r"\s*(⟦[^⟦⟧]*⟧)\s*")


def field_names(fields: str) -> tuple[str, ...]:
    """``"place, category"`` as names in order, without repeats."""
    return tuple(dict.fromkeys(name.strip() for name in fields.split(",") if name.strip()))


def feature_of(field: str, value: str) -> str:
    """The field's value as a feature; '' for an empty value."""
    value = " ".join(value.replace(OPEN, " ").replace(CLOSE, " ").split())[:LONGEST_VALUE].strip()
    return f"{OPEN}{field}={value}{CLOSE}" if value else ""


def with_features(texts: Sequence[str], fields: Sequence[str], values: Sequence[Sequence[str]]) -> list[str]:
    """Each text behind its features. ``values[i]``: the values of ``fields[i]``, one a text."""
    rows = zip(*values, strict=True) if values else ((),) * len(texts)
    return [
        " ".join(part for part in [*(feature_of(f, v) for f, v in zip(fields, own, strict=True)), text] if part)
        for text, own in zip(texts, rows, strict=True)
    ]


def features_of(texts: Iterable[str]) -> list[str]:
    """The distinct features that stand in the texts, sorted; raises ParameterError for too many."""
    found = sorted({match.group() for text in texts if OPEN in text for match in _FEATURE.finditer(text)})
    if len(found) > MOST_FEATURES:
        raise ParameterError(
            f"The fields have {len(found):,} different values, at most {MOST_FEATURES:,} can be tokens. "
            "Choose fields whose values repeat, such as a place or a category."
        )
    return found


def without_features(text: str) -> str:
    """The words alone."""
    return _FEATURE.sub(" ", text) if OPEN in text else text


def value_of(feature: str) -> str:
    """``⟦place=Canada⟧`` -> ``Canada``."""
    match = _FEATURE.fullmatch(feature)
    return match.group(2) if match else ""


def starting_rows(tokenizer: Any, table: np.ndarray, features: Sequence[str], scale: float) -> np.ndarray:
    """float32 (F, dim): for each feature ``scale`` times the mean of its value's token vectors; zeros where it has none."""
    tokens = tokenizer.tokenize([value_of(feature) for feature in features])
    rows = np.zeros((len(features), table.shape[1]), np.float32)
    for i in range(len(features)):
        ids = tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]]
        if len(ids):
            rows[i] = scale * table[ids].mean(0)
    return rows


class FeatureTokenizer:
    """The ids of a base tokenizer for the words, and one id behind the base's for each known feature.

    Exactly what the base's ``tokenizers`` model gives with the features as added tokens: they are cut out wherever they
    stand, with the white space around them; an unknown feature is read as words.
    """

    def __init__(self, base: SubwordTokenizer, features: Sequence[str]):
        self.base, self.features = base, tuple(features)
        self._rows = {feature: i for i, feature in enumerate(self.features)}
        self.n_ids: int = base.n_ids + len(self.features)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        segments: list[str] = []
        parts: list[int] = []  # a segment's place, or -1 - the feature's
        counts = []
        for text in texts:
            before = len(parts)
            for start, end, feature in self._pieces(text):
                if feature >= 0:
                    parts.append(-1 - feature)
                else:
                    parts.append(len(segments))
                    segments.append(text[start:end])
            counts.append(len(parts) - before)
        order = np.array(parts, np.int64)
        order = np.where(order < 0, len(segments) - 1 - order, order)
        n = len(self.features)
        alone = Tokens(np.arange(self.base.n_ids, self.n_ids), np.arange(n + 1))
        found = self.base.tokenize(segments).followed_by(alone).take(order)
        return Tokens(found.ids, found.offsets[np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])])

    def spans(self, text: str) -> np.ndarray:
        """The characters of each of the text's tokens, from and to: int64 (n, 2); a feature's are those of its whole mark."""
        found = [np.empty((0, 2), np.int64)]
        for start, end, feature in self._pieces(text):
            found.append(np.array([[start, end]]) if feature >= 0 else self.base.spans(text[start:end]) + start)
        return np.concatenate(found)

    def save(self, path: Path) -> None:
        from tokenizers import AddedToken, Tokenizer

        whole = Tokenizer.from_str(self.base.tokenizer.to_str())
        whole.add_special_tokens([AddedToken(f, lstrip=True, rstrip=True, normalized=False) for f in self.features])
        whole.save(str(path))

    def _pieces(self, text: str) -> list[tuple[int, int, int]]:
        """(from, to, place among the features or -1) of the features and of the words between them, in order."""
        if OPEN not in text:
            return [(0, len(text), -1)]
        found, at = [], 0
        for match in _AROUND.finditer(text):
            row = self._rows.get(match.group(1))
            if row is None:
                continue
            if match.start() > at:
                found.append((at, match.start(), -1))
            found.append((*match.span(1), row))
            at = match.end()
        if at < len(text) or not found:
            found.append((at, len(text), -1))
        return found


def split_tokenizer(spec: str) -> tuple[str, list[str]]:
    """(the tokenizer's JSON without its features, the features in the order of their ids)."""
    data = json.loads(spec)
    own = [token for token in data["added_tokens"] if _FEATURE.fullmatch(token["content"])]
    data["added_tokens"] = [token for token in data["added_tokens"] if not _FEATURE.fullmatch(token["content"])]
    return json.dumps(data, ensure_ascii=False), [token["content"] for token in sorted(own, key=lambda token: token["id"])]
