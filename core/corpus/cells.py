"""Tables of any kind (CSV, TSV, JSON lines, JSON, Parquet) as records, one at a time, with their line numbers."""

from __future__ import annotations

import codecs
import io
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import pyarrow as pa

from core.corpus.faults import Faults
from core.corpus.gz import unpacked
from core.corpus.jsonl import UTF16_MARKS, is_utf8
from core.corpus.limits import Limits, size_words
from core.corpus.lines import BROKEN, UTF8_MARK, decoded, numbered_lines
from core.corpus.sources import Member, read_member

KINDS = {".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet"}
HEAD = 64 * 1024
Record = dict[str, Any]


def plain_bytes(member: Member, file: str, limits: Limits, faults: Faults) -> bytes | None:
    """The file's bytes, unpacked if they are gzip; None after noting a fatal fault."""
    data = read_member(member, file, limits, faults)
    if data is None or data[:2] != b"\x1f\x8b":
        return data
    try:
        return unpacked(data, limits)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        faults.fatal(f"{file}: cannot be unpacked ({error}). Pack it again, or unpack it first.")
        return None


def kind_of(file: str, data: bytes) -> str:
    """csv, tsv, jsonl, json or parquet: by the first bytes, then by the name."""
    if data[:4] == b"PAR1":
        return "parquet"
    head = data[:HEAD].removeprefix(UTF8_MARK).lstrip()
    if head[:1] == b"{":
        return "jsonl"
    if head[:1] == b"[":
        return "json"
    stem = file.lower().removesuffix(".gz")
    named = next((kind for ending, kind in KINDS.items() if stem.endswith(ending)), "")
    if named in ("csv", "tsv"):
        return named
    first = head.split(b"\n", 1)[0]
    return "tsv" if first.count(b"\t") > first.count(b",") else "csv"


def read_records(
    data: bytes, file: str, limits: Limits, faults: Faults, kind: str = "", options: Mapping[str, str] | None = None
) -> Iterator[tuple[int, Record]]:
    """``(line or row from 1, record)`` of each usable record, streamed; broken ones are noted and skipped.

    ``options``: header ('no': columns are called 1, 2, ...), encoding and delimiter of CSV and TSV. Afterwards a
    fatal fault may have been noted, for bytes that are no such file; whoever reads on judges the share of broken rows.
    """
    kind = kind or kind_of(file, data)
    options = options or {}
    if kind == "parquet":
        found = _parquet(data, file, limits, faults)
    elif not options.get("encoding") and _is_strange(data, file, faults):
        return
    elif kind == "jsonl":
        found = _json_lines(data, file, limits, faults)
    elif kind == "json":
        found = _json_array(data, file, limits, faults)
    else:
        from core.corpus.delimited import read_delimited

        found = read_delimited(data, file, kind, limits, faults, options)
    for n, (number, record) in enumerate(found, start=1):
        if n > limits.judgements:
            faults.fatal(f"{file}: more than {limits.judgements:,} rows. Take a sample.")
            return
        yield number, record


def peek(data: bytes, file: str, kind: str = "", options: Mapping[str, str] | None = None, n: int = 20) -> tuple[list[str], list[Record]]:
    """The columns and the first ``n`` records of a table, for a preview. Raises CorpusError when there is none."""
    faults = Faults()
    records = [record for _, record in islice(read_records(data, file, Limits(), faults, kind, options), n)]
    if not records:
        faults.check()
        faults.fatal(f"{file}: holds no row that can be read. It may be empty, or no table.")
        faults.check()
    return list(dict.fromkeys(name for record in records for name in record)), records


def text_of(value: Any) -> str:
    """A cell as text: '' for nothing and NaN, whole numbers without '.0', JSON for what is nested; NUL as a space."""
    if isinstance(value, str):
        text = value
    elif value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    elif isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    elif isinstance(value, bytes):
        text = value.decode("utf-8", "replace")
    elif isinstance(value, (bool, int, float, list, dict)):
        text = json.dumps(value, default=str, ensure_ascii=False)
    else:
        text = str(value)
    if "\0" in text:
        text = text.replace("\0", " ")
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _is_strange(data: bytes, file: str, faults: Faults) -> bool:
    if data[:2] in UTF16_MARKS:
        faults.fatal(f"{file}:1: byte 0x{data[0]:02X} at position 0 marks UTF-16. Save the file as UTF-8, or add ?encoding=utf-16.")
    elif not is_utf8(data):
        at = _first_bad(data)
        line = data.count(b"\n", 0, at) + 1
        faults.fatal(
            f"{file}:{line}: byte 0x{data[at]:02X} at position {at:,} of the file is not UTF-8. "
            "Save the file as UTF-8, or name its encoding, for example ?encoding=cp1252."
        )
    return faults.is_fatal


def _first_bad(data: bytes) -> int:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), HEAD):
        kept = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + HEAD], final=start + HEAD >= len(data))
        except UnicodeDecodeError as error:
            return max(0, start - kept + error.start)
    return 0


def _json_lines(data: bytes, file: str, limits: Limits, faults: Faults) -> Iterator[tuple[int, Record]]:
    for number, offset, line in numbered_lines(data):
        try:
            record = json.loads(decoded(line, offset, limits), strict=False)
        except json.JSONDecodeError as error:
            problem = f"broken JSON at column {error.colno} ({error.msg}). Write one whole JSON object on each line."
            faults.mend(file, BROKEN, f"{file}:{number}: {problem}")
            continue
        except (ValueError, RecursionError) as error:
            why = str(error) if "UTF-8" in str(error) or "more than" in str(error) else "broken JSON (too deep, or a number too long)."
            faults.mend(file, BROKEN, f"{file}:{number}: {why}")
            continue
        if isinstance(record, dict):
            yield number, record
        else:
            faults.mend(file, BROKEN, f"{file}:{number}: no JSON object. Write one whole JSON object on each line.")


def _json_array(data: bytes, file: str, limits: Limits, faults: Faults) -> Iterator[tuple[int, Record]]:
    try:
        records = json.loads(data.removeprefix(UTF8_MARK).decode(), strict=False)
    except (ValueError, RecursionError) as error:
        faults.fatal(f"{file}: broken JSON ({str(error)[:120]}). Write a list of objects, or one object a line.")
        return
    for number, record in enumerate(records if isinstance(records, list) else [records], start=1):
        if isinstance(record, dict):
            yield number, record
        else:
            faults.mend(file, BROKEN, f"{file}: entry {number} is no JSON object. Write a list of objects.")


def _parquet(data: bytes, file: str, limits: Limits, faults: Faults) -> Iterator[tuple[int, Record]]:
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(pa.BufferReader(data))
        weight = sum(table.metadata.row_group(i).total_byte_size for i in range(table.metadata.num_row_groups))
        if weight > limits.file_bytes:
            faults.fatal(f"{file}: unpacks to {size_words(weight)}, more than {size_words(limits.file_bytes)}. Cut the file.")
            return
        number = 0
        # Not to_pylist of the whole: a batch lives as Python objects at a time.
        for batch in table.iter_batches(batch_size=5_000):
            names = batch.schema.names
            columns = [column.to_pylist() for column in batch.columns]
            for cells in zip(*columns, strict=True):
                number += 1
                yield number, _unique(names, cells)
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        faults.fatal(f"{file}: is no Parquet file that can be read ({str(error).splitlines()[0][:120]}). Write it again.")


def _unique(names: list[str], cells) -> Record:
    """A record in which a name that comes twice is called name.2: duplicate columns are kept apart."""
    record: Record = {}
    for name, cell in zip(names, cells, strict=True):
        record[unused(name, record)] = cell
    return record


def unused(name: str, taken) -> str:
    """``name``, or ``name.2``, ``name.3`` ... where it is taken."""
    if name not in taken:
        return name
    n = 2
    while f"{name}.{n}" in taken:
        n += 1
    return f"{name}.{n}"


def text_stream(data: bytes, encoding: str) -> io.TextIOWrapper:
    """The bytes as lines of text, decoded as they are read; a leading byte-order mark is no text."""
    return io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="")


