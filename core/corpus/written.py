"""Texts that were written for training, by a model, by a rule or by hand: a file of JSON lines beside no corpus.

They are synthetic: read for training alone, never part of the documents that are searched or of the queries that evaluate.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import CorpusError

NEGATIVE, PARAPHRASE, QUERY = "negative", "paraphrase", "query"
KINDS = (NEGATIVE, PARAPHRASE, QUERY)
#: A trial's own copies of the files that its recipe names, by the recipe's slot.
COPIES = {"written": "written-source.jsonl", "positives": "positives-source.jsonl"}
MOST_BYTES = 512 * 2**20
LONGEST_TEXT = 20_000
REMEDY = {
    NEGATIVE: "A negative needs query-id and text; doc-id names the positive that it was made from.",
    PARAPHRASE: "A paraphrase needs the query-id of the query that it words anew, and text.",
    QUERY: "A generated query needs the doc-id of the document that answers it, and text.",
}
_ALIASES = {"query_id": "query-id", "doc_id": "doc-id", "corpus-id": "doc-id", "corpus_id": "doc-id"}


@dataclass(frozen=True)
class Written:
    """One written text. ``origin``: who wrote it (a model's name, "rule", "" = unknown); ids are "" where the line has none."""

    kind: str
    query_id: str
    doc_id: str
    text: str
    origin: str = ""

    def line(self) -> str:
        """As it stands in the file."""
        fields = {"kind": self.kind, "query-id": self.query_id, "doc-id": self.doc_id, "text": self.text, "origin": self.origin}
        return json.dumps({name: value for name, value in fields.items() if value} | {"synthetic": True}, ensure_ascii=False)


def read_written(path: Path, kind: str) -> list[Written]:
    """The texts of this kind in a file of JSON lines; a line that names no kind is of the kind asked for.

    Raises CorpusError with every faulty line (the first 20 shown).
    """
    if not path.is_file():
        raise CorpusError(f"{path.name}: there is no such file. Write one with 'negspace write', or name a file of JSON lines.")
    if path.stat().st_size > MOST_BYTES:
        raise CorpusError(f"{path.name}: is larger than {MOST_BYTES // 2**20} MiB. Split it.")
    found, faults = [], []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            own = _one(json.loads(line.decode("utf-8-sig")), kind)
            found += [own] if own.kind == kind else []
        except (ValueError, RecursionError) as error:
            reason = str(error) if type(error) is ValueError else "is no JSON object in UTF-8. Write one object a line."
            faults.append(f"{path.name}:{number}: {reason}")
    if faults:
        raise CorpusError(faults)
    return found


def _one(record: Any, kind: str) -> Written:
    if not isinstance(record, dict):
        raise ValueError("is no JSON object. Write one object a line.")
    fields = {_ALIASES.get(name, name): value for name, value in record.items()}
    own_kind = fields.get("kind", kind)
    if own_kind not in KINDS:
        raise ValueError(f"'kind' must be one of {', '.join(KINDS)}.")
    texts = {}
    for name in ("query-id", "doc-id", "text", "origin"):
        value = fields.get(name, "")
        if isinstance(value, int) and not isinstance(value, bool) and name.endswith("id"):
            value = str(value)
        if not isinstance(value, str):
            raise ValueError(f"{name!r} must be a text.")
        texts[name] = value.strip()
    needed = ("doc-id", "text") if own_kind == QUERY else ("query-id", "text")
    missing = [name for name in needed if not texts[name]]
    if missing:
        raise ValueError(f"missing {missing[0]!r}. {REMEDY[own_kind]}")
    return Written(own_kind, texts["query-id"], texts["doc-id"], texts["text"][:LONGEST_TEXT], texts["origin"][:100])


def write_lines(path: Path, written: list[Written]) -> None:
    """Write the texts whole or not at all."""
    part = path.with_name(path.name + ".part")
    part.write_text("".join(own.line() + "\n" for own in written), encoding="utf-8")
    part.replace(path)
