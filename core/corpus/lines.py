"""The careful reader of JSON lines: skips what is broken and says where, why and what to do."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.faults import Faults
from core.corpus.fields import Columns, extra_column
from core.corpus.limits import Limits, size_words

BROKEN = "broken lines"
UTF8_MARK = b"\xef\xbb\xbf"
CHUNK_LINES = 20_000
NAMED_FIELDS = 20  # fields named in notes; a file may invent one on every line


class LineReader:
    """Reads one file line by line; at no time more than a chunk of lines lives as Python objects."""

    def __init__(self, file: str, columns: Columns, limits: Limits, faults: Faults):
        self.file, self.columns, self.limits, self.faults = file, columns, limits, faults
        self.number = 0
        self.extras: set[str] = set()
        self.left_out: dict[str, str] = {}

    def read(self, data: bytes) -> tuple[pa.Table, np.ndarray] | None:
        """The table of the usable lines and each row's line number; None when too many lines are broken."""
        chunks: list[pa.Table] = []
        rows: list[dict[str, str]] = []
        numbers: list[int] = []
        n_lines = 0
        for self.number, offset, line in numbered_lines(data):
            n_lines += 1
            try:
                rows.append(self._row(line, offset))
                numbers.append(self.number)
            except ValueError as fault:
                self._mend(BROKEN, str(fault))
            if len(rows) == CHUNK_LINES:
                chunks.append(self._chunk(rows))
                rows = []
        chunks.append(self._chunk(rows))
        if has_too_many_broken(self.file, n_lines, self.limits, self.faults):
            return None
        for name, why in self.left_out.items():
            self.faults.remark(f"{self.file}: field {name!r} {why}.")
        table = pa.concat_tables(chunks, promote_options="default")
        table = pa.table({name: pc.fill_null(table[name], "") for name in table.column_names})
        return table, np.array(numbers, dtype=np.int64)

    def _mend(self, kind: str, text: str) -> None:
        self.faults.mend(self.file, kind, f"{self.file}:{self.number}: {text}")

    def _chunk(self, rows: list[dict[str, str]]) -> pa.Table:
        names = [*self.columns.named.values(), *sorted(self.extras)]
        return pa.table({n: pa.array([row.get(n, "") for row in rows], type=pa.string()) for n in names})

    def _row(self, line: bytes, offset: int) -> dict[str, str]:
        """The line's values by output column; raises ValueError with rule and remedy."""
        text = decoded(line, offset, self.limits)
        try:
            record = json.loads(text.rstrip("\r\n"), strict=False)
        except json.JSONDecodeError as error:
            raise ValueError(
                f"broken JSON at column {error.colno} ({error.msg}). Write one whole JSON object on each line."
            ) from None
        except (ValueError, RecursionError):
            raise ValueError("broken JSON (too deep, or a number too long). Write plain values.") from None
        if not isinstance(record, dict):
            raise ValueError(f"a JSON {_kind(record)} where an object must be. {self.columns.remedy}")
        row = self._named_values(record)
        if self.columns.keeps_more:
            self._add_extras(row, record)
        if "\0" in text or "\\u0000" in text:
            row = self._cleaned(row, "NUL characters", lambda value: value.replace("\0", " "))
        if "\\ud" in text.lower():
            row = self._cleaned(row, "halved characters", _whole_characters)
        return row

    def _named_values(self, record: dict) -> dict[str, str]:
        row = {}
        for name, output in self.columns.named.items():
            value = record.get(name)
            if value is None and name in self.columns.required:
                raise ValueError(f"missing {name!r}. {self.columns.remedy}")
            if isinstance(value, (bool, list, dict)):
                raise ValueError(f"{name!r} is a JSON {_kind(value)}, not a text. {self.columns.remedy}")
            row[output] = _spell(value)
        if not row[self.columns.required["_id"]]:
            raise ValueError("'_id' is empty. Give each line an id of its own.")
        return row

    def _add_extras(self, row: dict[str, str], record: dict) -> None:
        more = [(n, v, False) for n, v in record.items() if n not in self.columns.named and n != "metadata"]
        inner = record.get("metadata")
        if isinstance(inner, dict):
            more += [(n, v, True) for n, v in inner.items()]
        else:
            more.append(("metadata", inner, False))
        for name, value, is_metadata in more:
            output = _whole_characters(extra_column(name, is_metadata=is_metadata))
            if isinstance(value, (list, dict)):
                self._leave_out(name, f"holds a JSON {_kind(value)} and is left out; texts and numbers are kept")
            elif value is None or output in row:
                continue
            elif output in self.extras or len(self.extras) < self.limits.fields:
                self.extras.add(output)
                row[output] = _spell(value)
            else:
                self._leave_out(name, f"is left out; at most {self.limits.fields} further fields are kept")

    def _leave_out(self, name: str, why: str) -> None:
        if len(self.left_out) < NAMED_FIELDS:
            self.left_out.setdefault(name, why)

    def _cleaned(self, row: dict[str, str], what: str, clean) -> dict[str, str]:
        better = {name: clean(value) for name, value in row.items()}
        if better != row:
            self._mend(f"lines with {what}", f"{what} were replaced. Clean the text if they mattered.")
        return better


def numbered_lines(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """``(line number from 1, byte offset, line)`` of each line that is not blank, without a leading UTF-8 mark."""
    offset = 0
    for number, line in enumerate(io.BytesIO(data), start=1):
        start = offset
        offset += len(line)
        if number == 1 and line.startswith(UTF8_MARK):
            line = line[len(UTF8_MARK) :]
            start += len(UTF8_MARK)
        if line.strip():
            yield number, start, line


def decoded(line: bytes, offset: int, limits: Limits) -> str:
    """The line as text; raises ValueError, with rule and remedy, when it is too long or not UTF-8."""
    if len(line.rstrip(b"\r\n")) > limits.line_bytes:
        most = size_words(limits.line_bytes)
        raise ValueError(f"the line has {size_words(len(line))}, more than {most}. Split the text.")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        at = error.start
        raise ValueError(
            f"byte 0x{line[at]:02X} at position {offset + at:,} of the file is not UTF-8. Save the file as UTF-8."
        ) from None


def has_too_many_broken(file: str, n_lines: int, limits: Limits, faults: Faults) -> bool:
    """Whether the file has more broken lines than the limit allows; notes it as a fatal fault."""
    n_broken = faults.count(file, BROKEN)
    if n_broken <= limits.broken_share * n_lines:
        return False
    share = f"more than {limits.broken_share:.0%}"
    faults.fatal(f"{file}: {n_broken:,} of {n_lines:,} lines are broken, {share}. Mend the lines named below.")
    return True


def _whole_characters(text: str) -> str:
    # JSON may hold one half of a surrogate pair, which no UTF-8 file can.
    return text.encode("utf-8", "replace").decode()


def _spell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "text", bool: "true/false", type(None): "null"}
    return kinds.get(type(value), "number")
