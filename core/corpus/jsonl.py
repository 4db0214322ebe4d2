"""Reading one JSON-lines file into an Arrow table of strings.

Two readers give the same table. Arrow's parser takes a flawless file, about ten times faster; as soon as
anything is out of the ordinary the file is read again line by line (core/corpus/lines.py), which finds the
faults, names their lines and keeps the rest.
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.faults import Faults
from core.corpus.fields import Columns, extra_column
from core.corpus.limits import MIB, Limits
from core.corpus.lines import UTF8_MARK, LineReader

UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_jsonl(
    data: bytes, file: str, columns: Columns, limits: Limits, faults: Faults
) -> tuple[pa.Table, np.ndarray] | None:
    """The table of the usable lines and each row's line number (int64, from 1); None after a fatal fault.

    All columns are strings without nulls; rows keep the order of the file; ids may still repeat.
    """
    if data[:2] in UTF16_MARKS:
        faults.fatal(f"{file}:1: byte 0x{data[0]:02X} at position 0 marks UTF-16. Save the file as UTF-8.")
        return None
    table = read_flawless(data, columns, limits)
    if table is not None:
        return table, np.arange(1, table.num_rows + 1)
    return LineReader(file, columns, limits, faults).read(data)


def line_starts(data: bytes) -> np.ndarray:
    """Where each line begins, in bytes: int64. A newline at the very end begins no line."""
    found = [np.zeros(1, dtype=np.int64)]
    for begin in range(0, len(data), 64 * MIB):  # in blocks: the mask must not double a large file
        block = np.frombuffer(data, dtype=np.uint8, count=min(64 * MIB, len(data) - begin), offset=begin)
        found.append(np.flatnonzero(block == ord("\n")) + (begin + 1))
    starts = np.concatenate(found)
    return starts[starts < len(data)]


def read_flawless(data: bytes, columns: Columns, limits: Limits) -> pa.Table | None:
    """The table by Arrow's parser, or None when any line needs a closer look."""
    import pyarrow.json as arrow_json

    if data.startswith(UTF8_MARK):
        data = data[len(UTF8_MARK) :]
    starts = line_starts(data)
    if not len(starts) or b"\\u0000" in data or not is_utf8(data):
        return None
    content = np.frombuffer(data, dtype=np.uint8)
    ends = np.append(starts[1:] - 1, len(data) - (data[-1:] == b"\n"))
    ends = ends - (content[ends - 1] == ord("\r"))
    longest = int((ends - starts).max())
    # Every line is "{...}": Arrow 26 crashes on a file that begins with `null`, and takes an object that
    # runs over two lines, or two objects on one; with as many rows as lines none of these can be.
    if longest > limits.line_bytes or (content[starts] != ord("{")).any() or (content[ends - 1] != ord("}")).any():
        return None
    schema = _schema_of(data[: ends[0]], columns, limits)
    if schema is None:
        return None
    # Fields beyond the first line's must not be inferred: Arrow would read dates out of texts.
    parse = arrow_json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="error" if columns.keeps_more else "ignore"
    )
    read = arrow_json.ReadOptions(block_size=max(4 * MIB, longest + 2))
    try:
        table = arrow_json.read_json(pa.BufferReader(data), read_options=read, parse_options=parse)
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(starts):
        return None
    return _named_columns(table, columns)


def is_utf8(data: bytes) -> bool:
    # Arrow's JSON parser lets bytes through that are not UTF-8; its cast looks at every byte, without a copy.
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, offsets, pa.py_buffer(data)])
    try:
        whole.cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _schema_of(line: bytes, columns: Columns, limits: Limits) -> pa.Schema | None:
    """The types of the first line's fields; None when Arrow would not read them as the line reader does."""
    try:
        first = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not all(field in first for field in columns.required):
        return None
    if not columns.keeps_more:
        first = {field: first[field] for field in columns.named if field in first}
    fields, n_extras = [], 0
    for name, value in first.items():
        kind = _arrow_type(value)
        n_extras += name not in columns.named
        if name == "metadata" and isinstance(value, dict):
            inner = [(key, _arrow_type(v)) for key, v in value.items()]
            n_extras += len(inner) - 1
            kind = None if any(t is None for _, t in inner) else pa.struct(inner)
        if kind is None or (name in columns.named and kind == pa.bool_()):
            return None
        fields.append((name, kind))
    return pa.schema(fields) if n_extras <= limits.fields else None


def _arrow_type(value: object) -> pa.DataType | None:
    # Fractions are left to the line reader: 1.0 and 1e3 would come out of a cast in another spelling.
    return {str: pa.string(), int: pa.int64(), bool: pa.bool_()}.get(type(value))


def _named_columns(table: pa.Table, columns: Columns) -> pa.Table | None:
    """The parsed table under the output names, or None when a required value is missing."""
    found: dict[str, pa.ChunkedArray] = {}
    for name in sorted(table.column_names, key=lambda n: n == "metadata"):
        column = table[name]
        if pa.types.is_struct(column.type):
            for i, inner in enumerate(column.type):
                values = pa.chunked_array([pc.struct_field(c, [i]) for c in column.chunks], inner.type)
                values = values.cast(pa.string())
                output = extra_column(inner.name, is_metadata=True)
                found[output] = pc.coalesce(found[output], values) if output in found else values
        elif name in columns.named:
            found[columns.named[name]] = column.cast(pa.string())
        else:
            found[extra_column(name, is_metadata=False)] = column.cast(pa.string())
    if any(found[output].null_count for output in columns.required.values()):
        return None
    if pc.any(pc.equal(pc.binary_length(found[columns.required["_id"]]), 0)).as_py():
        return None
    for output in columns.optional.values():
        found.setdefault(output, pa.chunked_array([pa.repeat(pa.scalar(""), table.num_rows)]))
    return pa.table({name: pc.fill_null(column, "") for name, column in found.items()})
