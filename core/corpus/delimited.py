"""CSV and TSV as people write them: with or without header and quotes, any delimiter, ragged rows, duplicate columns."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from core.corpus.cells import HEAD, text_stream, unused
from core.corpus.faults import Faults
from core.corpus.limits import Limits, size_words
from core.corpus.lines import BROKEN, UTF8_MARK
from core.corpus.roles import is_known_name

DELIMITERS = {"csv": ",", "tsv": "\t"}
WRITTEN = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
SNIFFED_ROWS = 200
_NAME = re.compile(r"[^\W\d][\w.\- /]{0,39}")


def read_delimited(
    data: bytes, file: str, kind: str, limits: Limits, faults: Faults, options: Mapping[str, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """``(line, record)`` of each row with as many cells as there are columns; the others are noted."""
    encoding = options.get("encoding") or "utf-8"
    try:
        codecs.lookup(encoding)
        head = data[:HEAD].removeprefix(UTF8_MARK).decode(encoding, "replace")
    except (LookupError, ValueError):
        faults.fatal(f"{file}: {encoding[:40]!r} is no known text encoding. Try utf-8, cp1252 or latin-1.")
        return
    delimiter = options.get("delimiter", "")
    delimiter = WRITTEN.get(delimiter, delimiter) or _delimiter(head, kind)
    if len(delimiter) != 1 or delimiter in "\r\n\"":
        faults.fatal(f"{file}: {delimiter[:20]!r} is no delimiter. Write one character, or tab, comma, semicolon or pipe.")
        return
    csv.field_size_limit(limits.line_bytes)  # of the whole process; Python's own 128 KiB is too short for a text
    quoting = csv.QUOTE_NONE if delimiter == "\t" and not _is_quoted(head, delimiter) else csv.QUOTE_MINIMAL
    reader = csv.reader(text_stream(data, encoding), delimiter=delimiter, quoting=quoting)
    columns: list[str] = []
    for number, row in _rows(reader, file, limits, faults):
        if not columns:
            has_header = _has_header(row, options)
            columns = _names(row) if has_header else [str(i + 1) for i in range(len(row))]
            if has_header:
                continue
        if len(row) > len(columns) and not any(row[len(columns) :]):
            row = row[: len(columns)]  # spreadsheets append empty cells
        if len(row) != len(columns):
            problem = f"{len(row)} cells where {len(columns)} must be. Put texts that hold the delimiter in quotes."
            faults.mend(file, BROKEN, f"{file}:{number}: {problem}")
            continue
        yield number, dict(zip(columns, row, strict=True))


def _rows(reader, file: str, limits: Limits, faults: Faults) -> Iterator[tuple[int, list[str]]]:
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = f"a cell of more than {size_words(limits.line_bytes)}" if "field limit" in str(error) else str(error)[:120]
            faults.mend(file, BROKEN, f"{file}:{number}: {why}. Is a quote left open?")
            continue
        except UnicodeError as error:
            faults.fatal(f"{file}: is not in the encoding that was named ({str(error)[:120]}). Name another.")
            return
        if any(cell.strip() for cell in row):
            yield number, row


def _delimiter(head: str, kind: str) -> str:
    """The kind's own, unless the first line has none of it and more of another."""
    own = DELIMITERS[kind]
    first = re.sub(r'"[^"]*"', "", head.split("\n", 1)[0])
    best = max((own, "\t", ";", "|", ","), key=first.count)
    return best if first.count(own) == 0 else own


def _is_quoted(head: str, delimiter: str) -> bool:
    """Whether quotes around cells are the table's own: only so do all rows have as many cells."""
    if '"' not in head:
        return False
    widths = []
    for quoting in (csv.QUOTE_NONE, csv.QUOTE_MINIMAL):
        lines = head.splitlines(keepends=True)[:SNIFFED_ROWS]
        try:
            rows = [row for row in islice(csv.reader(lines, delimiter=delimiter, quoting=quoting), len(lines)) if row]
        except csv.Error:
            rows = []
        # The head may end within a row.
        widths.append({len(row) for row in rows[:-1]} or {len(row) for row in rows})
    cells = (cell for line in head.splitlines()[:SNIFFED_ROWS] for cell in line.split(delimiter))
    is_wrapped = any(cell.startswith('"') and cell.endswith('"') for cell in cells)
    return len(widths[1]) == 1 and (len(widths[0]) > 1 or is_wrapped)


def _has_header(row: list[str], options: Mapping[str, str]) -> bool:
    said = options.get("header", "").lower()
    if said:
        return said not in ("no", "none", "false", "0")
    named = {name.strip() for key, value in options.items() if key not in ("encoding", "delimiter") for name in value.split(",")}
    cells = [cell.strip() for cell in row]
    if named & set(cells) or any(is_known_name(cell) for cell in cells):
        return True
    # Names are short, distinct and start with a letter; a first row of texts or numbers is data.
    return all(_NAME.fullmatch(cell) and cell.count(" ") < 3 for cell in cells) and len(set(cells)) == len(cells)


def _names(row: list[str]) -> list[str]:
    names: dict[str, None] = {}
    for i, cell in enumerate(row):
        names[unused(cell.strip() or str(i + 1), names)] = None
    return list(names)
