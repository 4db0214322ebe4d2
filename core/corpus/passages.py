"""What one record says: a query, its positives and its negatives, in the shapes of the mined sets in use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.corpus.cells import text_of
from core.corpus.roles import Roles

NEGATIVE = -1  # a place in a list of grades: mined, not judged
GRADES = (-(2**15), 2**15 - 1)
_ID_KEYS = ("docid", "doc_id", "_id", "id", "passage_id", "pid", "corpus_id")
_TEXT_KEYS = ("text", "contents", "content", "passage", "body")


@dataclass(frozen=True)
class Passage:
    """One document as a record mentions it. ``grade``: of a judged one; ``is_negative``: mined, then no grade counts."""

    doc_id: str
    title: str
    text: str
    grade: int
    is_negative: bool
    score: float  # NaN = none


def passages_of(record: Mapping[str, Any], roles: Roles) -> list[Passage]:
    """The positives, then the negatives of a record in its order; empty ones are left out.

    Raises ValueError, with rule and remedy, for grades that are no numbers or lists of other lengths than their passages.
    """
    found = _listed(record.get(roles.positive))
    title = text_of(record.get(roles.title)) if roles.title else ""
    doc_id = record.get(roles.positive_id) if roles.positive_id else None
    ids = doc_id if isinstance(doc_id, list) else [doc_id] * (len(found) == 1)
    scores = _numbers(record.get(roles.scores)) if roles.scores else []
    negatives = [value for name in roles.negative for value in _listed(record.get(name))]
    labels = record.get(roles.label) if roles.label else None
    passages = []
    if labels is None and not negatives and len(found) > 1 and len(scores) == len(found) and not doc_id:
        grades = [1] + [NEGATIVE] * (len(found) - 1)  # a labeled list with scores in place of labels: the positive comes first
    elif labels is not None:
        grades = _from_labels(labels, len(found), roles.label)
    else:
        grades = _grades(record.get(roles.grade) if roles.grade else None, len(found), roles.grade)
    for i, value in enumerate(found):
        own_id, own_title, text = _parts(value)
        own_id = own_id or (text_of(ids[i]) if i < len(ids) else "")
        score = scores[i] if i < len(scores) else math.nan
        passages.append(Passage(own_id, own_title or title, text, max(grades[i], 0), grades[i] == NEGATIVE, score))
    after = scores[len(found) :] if len(scores) == len(found) + len(negatives) else []
    after = _numbers(record.get(roles.negative_scores)) if roles.negative_scores else after
    for i, value in enumerate(negatives):
        own_id, own_title, text = _parts(value)
        passages.append(Passage(own_id, own_title, text, 0, True, after[i] if i < len(after) else math.nan))
    return [p for p in passages if p.text.strip() or p.title.strip()]


def _listed(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" or (isinstance(value, float) and math.isnan(value)) else [value]


def _parts(value: Any) -> tuple[str, str, str]:
    """(id, title, text) of a passage that is a text or an object."""
    if not isinstance(value, dict):
        return "", "", text_of(value)
    doc_id = next((text_of(value[key]) for key in _ID_KEYS if key in value), "")
    text = next((text_of(value[key]) for key in _TEXT_KEYS if key in value), "")
    return doc_id, text_of(value.get("title")), text


def _numbers(value: Any) -> list[float]:
    numbers = []
    for item in _listed(value):
        try:
            number = float(item)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        numbers.append(number if abs(number) < 3e38 else math.nan)
    return numbers


def _from_labels(labels: Any, n: int, name: str) -> list[int]:
    given = _listed(labels)
    if len(given) != n:
        raise ValueError(f"{name!r} holds {len(given)} labels for {n} passages. Give each passage its label.")
    values = [_whole(label, name) for label in given]
    return [NEGATIVE if value <= 0 else value for value in values]


def _grades(value: Any, n: int, name: str) -> list[int]:
    given = _listed(value)
    if not given:
        return [1] * n
    if len(given) == 1:
        given = given * n
    if len(given) != n:
        raise ValueError(f"{name!r} holds {len(given)} grades for {n} passages. Give each passage its grade.")
    return [max(_whole(grade, name), 0) for grade in given]


def _whole(value: Any, name: str) -> int:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (number.is_integer() and GRADES[0] <= number <= GRADES[1]):
        raise ValueError(f"{name!r} must be a whole number in [{GRADES[0]}, {GRADES[1]}]; got {text_of(value)[:40]!r}.")
    return int(number)
