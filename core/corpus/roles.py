"""Which column of a table is what: guessed from names and first rows, said by the user, checked against the table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from core.corpus.spec import ROLES
from core.errors import CorpusError

# In order of preference; compared in lower case without spaces, dots, dashes and underscores. The first three rows are
# the names of sentence-transformers, FlagEmbedding and Tevatron; then DPR's, then those of everyday tables.
NAMES: dict[str, tuple[str, ...]] = {
    "query": ("query", "anchor", "question", "querytext", "q", "sentence1", "text1", "prompt", "input", "instruction", "claim", "search"),
    "query_id": ("queryid", "qid", "questionid", "topicid", "topic"),
    "positive": (
        "positive", "pos", "positivepassages", "positivectxs", "answer", "passage", "document", "documents", "passages", "doc", "docs",
        "text", "context", "body", "content", "contents", "response", "output", "answers", "sentence2", "text2", "positivetext",
    ),
    "positive_id": ("positiveid", "posid", "docid", "docno", "documentid", "corpusid", "passageid", "pid", "answerid"),
    "title": ("title", "headline", "doctitle", "documenttitle", "positivetitle"),
    "grade": ("grade", "relevance", "rel", "relevancegrade", "judgement", "judgment"),
    "label": ("label", "labels"),
    "split": ("split", "fold", "subset", "partition"),
    "scores": ("scores", "score", "posscores", "positivescores", "positivescore"),
    "negative_scores": ("negscores", "negativescores", "negativescore"),
}  # fmt: skip
_NEGATIVE = re.compile(r"(hard)?neg(ative)?s?(passages?|ctxs?|texts?|doc(ument)?s?)?\d*")


def plain_name(name: str) -> str:
    """A column's name as names are compared."""
    return re.sub(r"[\s._\-]+", "", name).lower()


def is_known_name(name: str) -> bool:
    """Whether a cell of a first row says that the row is a header."""
    plain = plain_name(name)
    return bool(_NEGATIVE.fullmatch(plain)) or any(plain in names for names in NAMES.values())


@dataclass(frozen=True, kw_only=True)
class Roles:
    """The column of each role; '' = none. ``negative``: several columns may be.

    ``grade``: of the positive; 0 = judged non-relevant. ``label``: 0 marks a mined negative (labeled pairs and lists).
    ``scores``: along the positives, then the negatives, or one number of the pair. ``negative_scores``: along the negatives.
    """

    query: str = ""
    query_id: str = ""
    positive: str = ""
    positive_id: str = ""
    title: str = ""
    negative: tuple[str, ...] = ()
    grade: str = ""
    label: str = ""
    split: str = ""
    scores: str = ""
    negative_scores: str = ""

    @classmethod
    def from_options(cls, options: Mapping[str, str], base: Roles | None = None) -> Roles:
        """``base`` (a guess), changed by what an address says; 'none' takes a column away."""
        values = {f.name: getattr(base, f.name) for f in fields(cls)} if base else {}
        for name in ROLES:
            if name in options:
                said = "" if options[name].lower() == "none" else options[name]
                values[name] = tuple(part.strip() for part in said.split(",") if part.strip()) if name == "negative" else said
        return cls(**values)

    def to_options(self) -> dict[str, str]:
        """The roles as an address says them; those without a column say 'none', so that nothing is guessed."""
        return {name: (",".join(self.negative) if name == "negative" else getattr(self, name)) or "none" for name in ROLES}

    def named(self) -> list[str]:
        """All columns that have a role."""
        return [name for f in fields(self) for name in (self.negative if f.name == "negative" else [getattr(self, f.name)]) if name]

    def check(self, columns: Sequence[str], file: str) -> None:
        """Raise CorpusError when a column is missing or there is neither query nor positive."""
        shown = ", ".join(repr(name[:40]) for name in columns[:12]) + (", ..." if len(columns) > 12 else "")
        faults = [f"{file}: there is no column {name[:40]!r}. It has {shown}." for name in self.named() if name not in columns]
        for role in ("query", "positive"):
            if not getattr(self, role):
                faults.append(f"{file}: no column is known to hold the {role}. Say which: ?{role}=NAME. It has {shown}.")
        if faults:
            raise CorpusError(faults)


def guess_mapping(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Roles:
    """The likely role of each column, from the names, else from the first rows' order: query, positive, negatives.

    ``rows``: the first records. Pure: nothing is read. A role that cannot be told stays empty.

    >>> guess_mapping(["anchor", "positive", "negative_1"], []).negative
    ('negative_1',)
    """
    by_name: dict[str, str] = {}
    for name in columns:
        by_name.setdefault(plain_name(name), name)
    found: dict[str, Any] = {"negative": tuple(name for name in columns if _NEGATIVE.fullmatch(plain_name(name)))}
    found["negative"] = tuple(name for name in found["negative"] if not _is_id(name))
    for role, names in NAMES.items():
        found[role] = next((by_name[name] for name in names if name in by_name), "")
    taken = {name for role in found for name in (found[role] if role == "negative" else [found[role]]) if name}
    texts = [name for name in columns if name not in taken and _looks_like_text(name, rows)]
    if not found["query"] and texts:
        found["query"] = texts.pop(0)
    if not found["positive"] and found["title"]:
        found["positive"], found["title"] = found["title"], ""
    if not found["positive"] and texts:
        found["positive"] = texts.pop(0)
        if not found["negative"] and len(columns) == 3 and texts:
            found["negative"] = (texts.pop(0),)
    return Roles(**found)


def layout_of(roles: Roles, rows: Sequence[Mapping[str, Any]]) -> str:
    """What a mined file of these columns is called: the ``source`` of its negatives."""
    sample = rows[0] if rows else {}
    names = {plain_name(name) for name in roles.named()}
    if {"positivepassages", "negativepassages"} & names:
        return "Tevatron"
    if "positivectxs" in names:
        return "DPR"
    if {"pos", "neg"} & names:
        return "FlagEmbedding"
    if roles.label or (isinstance(sample.get(roles.positive), list) and not roles.negative):
        return "labeled list" if isinstance(sample.get(roles.positive), list) else "labeled pair"
    return "triplet" if len(roles.negative) == 1 else "n-tuple"


def _is_id(name: str) -> bool:
    return plain_name(name).endswith(("id", "ids"))


def _looks_like_text(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Not a number, not an id: some value has a space or is no single word; without rows every column may be one."""
    values = [row.get(name) for row in rows]
    values = [value for value in values if value not in (None, "")]
    if not values:
        return not rows and not _is_id(name)
    if any(isinstance(value, (list, dict)) for value in values):
        return True
    return not _is_id(name) and any(isinstance(value, str) and " " in value.strip() for value in values)
