"""Reading verdicts from files and pasted text: CSV, TSV, TREC qrels, JSON lines, JSON, and a chat's fenced JSON blocks."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.lab.verdicts import FALSE_NEGATIVE, KINDS, NEAR_DUPLICATE, TRUE_NEGATIVE, UNSURE

MOST_BYTES, MOST_ROWS = 20_000_000, 200_000
FIELDS = {
    "query_id": ("query_id", "query-id", "queryid", "qid", "query", "topic"),
    "doc_id": ("doc_id", "doc-id", "docid", "document_id", "corpus-id", "corpus_id", "passage_id", "pid", "did", "document", "doc"),
    "verdict": ("verdict", "kind", "label", "judgement", "judgment", "relevance", "relevant", "is_relevant", "grade", "score", "answer"),
    "note": ("note", "notes", "comment", "reason", "reasoning", "explanation", "rationale"),
    "judge": ("judge", "annotator", "assessor", "worker", "model", "user"),
}
SYNONYMS = {
    FALSE_NEGATIVE: "false-negative fn relevant yes true positive pos is-relevant highly-relevant",
    TRUE_NEGATIVE: "true-negative tn irrelevant not-relevant non-relevant nonrelevant no false negative neg",
    NEAR_DUPLICATE: "near-duplicate nd duplicate dup copy near-dup nearduplicate",
    UNSURE: "unsure unknown ? maybe uncertain partial partially-relevant undecided",
}
_KIND_OF = {word: kind for kind, words in SYNONYMS.items() for word in words.split()}
_NAME_OF = {name: field for field, names in FIELDS.items() for name in names}
_FENCE = re.compile(r"^[ \t]*```[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_JSON_LINE = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)
_EXAMPLE = '{"query_id": "q1", "doc_id": "d7", "verdict": "false-negative"}'


@dataclass
class ReadVerdicts:
    """The good rows (query_id, doc_id, verdict, note, judge; "" = not given) and a sentence for each fault, in file order.

    ``n_repeated``: rows that say again what an earlier one of the file says.
    """

    rows: list[dict[str, str]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    n_repeated: int = 0


def read_verdicts(data: str | bytes, file: str = "pasted text") -> ReadVerdicts:
    """The verdicts in the text; never raises: whatever cannot be read is a fault with its line and what to do.

    A grade of 1 or more is a false negative (the pair was a negative and is relevant), 0 or less a true negative.
    """
    found = ReadVerdicts()
    if len(data) > MOST_BYTES:
        found.faults.append(f"{file}: has {len(data):,} bytes; at most {MOST_BYTES:,} are read. Split it.")
        return found
    if isinstance(data, bytes):
        try:
            data = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            found.faults.append(f"{file}:{line}: is not UTF-8. Save the file as UTF-8.")
            return found
    text = data.lstrip("\ufeff").replace("\r\n", "\n")
    seen: dict[tuple[str, str, str], tuple[str, int]] = {}
    for line, row in _raw_rows(text, file, found):
        if len(found.rows) >= MOST_ROWS:
            found.faults.append(f"{file}:{line}: only the first {MOST_ROWS:,} verdicts are read. Split the file.")
            break
        good = _row(row, f"{file}:{line}", found)
        if good is None:
            continue
        key = (good["query_id"], good["doc_id"], good["judge"])
        before, at = seen.setdefault(key, (good["verdict"], line))
        if at == line and before == good["verdict"]:
            found.rows.append(good)
        elif before == good["verdict"]:
            found.n_repeated += 1
        else:
            found.faults.append(f"{file}:{line}: says {good['verdict']} where line {at} says {before} of the same pair. Keep one of them.")
    if not found.rows and not found.faults:
        found.faults.append(f"{file}: holds no verdict. Give a CSV with the columns query_id, doc_id, verdict, or lines like {_EXAMPLE}.")
    return found


def known_rows(found: ReadVerdicts, corpus: Any, file: str = "pasted text") -> ReadVerdicts:
    """The same, without rows whose ids the corpus does not have; each such id is one fault."""
    rows = found.rows
    is_query = corpus.query_rows([row["query_id"] for row in rows]) >= 0
    is_document = corpus.doc_rows([row["doc_id"] for row in rows]) >= 0
    faults = list(found.faults)
    for name, column, mask in (("query", "query_id", is_query), ("document", "doc_id", is_document)):
        unknown = [row[column] for row, is_known in zip(rows, mask, strict=True) if not is_known]
        for one in dict.fromkeys(unknown):
            n = unknown.count(one) if len(unknown) < 1000 else 0
            times = f" ({n} verdicts)" if n > 1 else ""
            remedy = "Use the ids of its files, or choose the corpus they belong to."
            faults.append(f"{file}: {name} {one[:80]!r} is not in this corpus{times}. {remedy}")
    good = [row for row, a, b in zip(rows, is_query, is_document, strict=True) if a and b]
    return ReadVerdicts(good, faults, found.n_repeated)


def kind_of(value: Any) -> str | None:
    """The verdict that a word, a grade or a truth value stands for; None when it is no verdict.

    >>> kind_of("FN"), kind_of("Not relevant"), kind_of(2), kind_of(False), kind_of("0.0"), kind_of("banana")
    ('false-negative', 'true-negative', 'false-negative', 'true-negative', 'true-negative', None)
    """
    if isinstance(value, bool):
        return FALSE_NEGATIVE if value else TRUE_NEGATIVE
    if isinstance(value, (int, float)):
        return FALSE_NEGATIVE if value >= 1 else TRUE_NEGATIVE if value <= 0 else UNSURE
    if not isinstance(value, str):
        return None
    word = re.sub(r"[\s_-]+", "-", value.strip().strip("\"'*.`").lower()).strip("-")
    if word in KINDS:
        return word
    if re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", value.strip()):
        return kind_of(float(value))
    return _KIND_OF.get(word)


# The three shapes of text ---------------------------------------------------------------------------
def _raw_rows(text: str, file: str, found: ReadVerdicts) -> Iterator[tuple[int, Mapping[str, Any]]]:
    blocks = [(text.count("\n", 0, m.start(1)) + 1, m.group(1)) for m in _FENCE.finditer(text)] or [(1, text)]
    for line, block in blocks:
        start = block.lstrip()[:1]
        if start in ("{", "["):
            yield from _json_rows(block, line, file, found)
        elif start:
            yield from _delimited_rows(block, line, file, found)


def _json_rows(text: str, first_line: int, file: str, found: ReadVerdicts) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Objects one after the other, in an array or not, over one line or many."""
    decoder, at, line, counted = json.JSONDecoder(), 0, first_line, 0
    between = re.compile(r"[\s,\[\]]*")
    while True:
        at = between.match(text, at).end()  # type: ignore[union-attr]
        if at >= len(text):
            return
        line, counted = line + text.count("\n", counted, at), at
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", "nested too deeply")
            is_prose = not set('{}[]"') & set(text[at:].split("\n", 1)[0])  # a chat's words around its answer
            if not is_prose:
                found.faults.append(f"{file}:{line}: is no JSON object ({why}). Write one object a line, like {_EXAMPLE}.")
            following = re.compile(r"\n[ \t]*(?=\{)").search(text, at)
            if following is None:
                return
            at = following.end()
            continue
        for row in _objects(value):
            yield line, row
        if not isinstance(value, dict):
            found.faults.append(f"{file}:{line}: is no JSON object. Write one object a line, like {_EXAMPLE}.")


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    """The object itself, or those in its lists: {"verdicts": [{...}, ...]}."""
    if not isinstance(value, dict):
        return
    inner = [row for part in value.values() if isinstance(part, list) for row in part if isinstance(row, dict)]
    yield from inner or [value]


def _delimited_rows(text: str, first_line: int, file: str, found: ReadVerdicts) -> Iterator[tuple[int, Mapping[str, Any]]]:
    lines = text.split("\n")
    skipped = next(i for i, line in enumerate(lines) if line.strip())
    head, first_line = lines[skipped], first_line + skipped
    if re.fullmatch(r"\S+\s+\S+\s+\S+\s+-?\d+\s*", head) and "," not in head:
        for number, line in enumerate(lines[skipped:], first_line):
            parts = line.split()
            if len(parts) == 4:
                yield number, {"query_id": parts[0], "doc_id": parts[2], "verdict": parts[3]}
            elif parts:
                found.faults.append(f"{file}:{number}: has {len(parts)} columns. A line of TREC qrels has four: query 0 document grade.")
        return
    separator = max("\t;,", key=head.count)
    names = [_NAME_OF.get(name.strip().strip('"').lower(), "") for name in head.split(separator)]
    missing = [name for name in ("query_id", "doc_id", "verdict") if name not in names]
    json_start = _JSON_LINE.search(text) if missing else None
    if json_start is not None:  # after some words
        yield from _json_rows(text[json_start.start() :], first_line - skipped + text.count("\n", 0, json_start.start()), file, found)
        return
    if missing:
        found.faults.append(
            f"{file}:{first_line}: the first line names no column {', '.join(missing)}. "
            f"Begin with query_id,doc_id,verdict (perhaps note and judge), or write lines like {_EXAMPLE}."
        )
        return
    reader = csv.reader(io.StringIO("\n".join(lines[skipped + 1 :])), delimiter=separator)
    number = first_line + 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            found.faults.append(f"{file}:{number}: cannot be read ({error}). Put texts with line breaks between double quotes.")
            return
        if any(cell.strip() for cell in cells):
            if len(cells) != len(names):
                remedy = f"Put cells that hold a {separator!r} between double quotes."
                found.faults.append(f"{file}:{number}: has {len(cells)} columns, the first line {len(names)}. {remedy}")
            else:
                yield number, {name: cell for name, cell in zip(names, cells, strict=True) if name}
        number = first_line + 1 + reader.line_num


def _row(row: Mapping[str, Any], where: str, found: ReadVerdicts) -> dict[str, str] | None:
    values: dict[str, Any] = {}
    for name, value in row.items():
        meaning = _NAME_OF.get(str(name).strip().lower())
        if meaning and (meaning not in values or str(name) == meaning):
            values[meaning] = value
    missing = [name for name in ("query_id", "doc_id", "verdict") if values.get(name) in (None, "")]
    if missing:
        found.faults.append(f"{where}: has no {' and no '.join(missing)}. Give all three, like {_EXAMPLE}.")
        return None
    kind = kind_of(values["verdict"])
    if kind is None:
        said = str(values["verdict"])[:60]
        found.faults.append(f"{where}: {said!r} is no verdict. Use {', '.join(KINDS)} (or relevant / irrelevant, 1 / 0).")
        return None
    if not all(isinstance(values[name], (str, int)) and not isinstance(values[name], bool) for name in ("query_id", "doc_id")):
        found.faults.append(f"{where}: the ids must be texts or whole numbers. Write them as in the corpus's files.")
        return None
    texts = {name: str(values[name]).strip() for name in ("query_id", "doc_id")}
    note, judge = (str(values.get(name) or "").strip() for name in ("note", "judge"))
    return {**texts, "verdict": kind, "note": note, "judge": judge}
