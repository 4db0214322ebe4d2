"""Reading judgements: tab-separated query-id, corpus-id, score, with or without a header line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.faults import Faults
from core.corpus.jsonl import UTF16_MARKS, line_starts
from core.corpus.limits import Limits
from core.corpus.lines import BROKEN, UTF8_MARK, decoded, has_too_many_broken, numbered_lines

REMEDY = "Each line needs query-id, corpus-id and score, with tabs between."
GRADES = (-(2**15), 2**15 - 1)


@dataclass(frozen=True)
class Rows:
    """Judgements as they stand in one file: ids, not rows."""

    query_ids: pa.Array
    doc_ids: pa.Array
    grades: np.ndarray  # int64
    lines: np.ndarray  # int64, from 1


def read_qrels(data: bytes, file: str, limits: Limits, faults: Faults) -> Rows | None:
    """The usable rows of one file in its order, repeats included; None after a fatal fault.

    The first line is a header when its third cell is no number.
    """
    if data[:2] in UTF16_MARKS:
        faults.fatal(f"{file}:1: byte 0x{data[0]:02X} at position 0 marks UTF-16. Save the file as UTF-8.")
        return None
    rows = read_flawless(data, limits) or _read_lines(data, file, limits, faults)
    if rows is not None and len(rows.grades) > limits.judgements:
        faults.fatal(f"{file}: {len(rows.grades):,} rows, more than {limits.judgements:,}. Cut the file.")
        return None
    return rows


def read_flawless(data: bytes, limits: Limits) -> Rows | None:
    """The rows by Arrow's parser, or None when any line needs a closer look."""
    import pyarrow.csv as arrow_csv

    if data.startswith(UTF8_MARK):
        data = data[len(UTF8_MARK) :]
    starts = line_starts(data)
    if not len(starts) or b"\0" in data or np.diff(np.append(starts, len(data))).max() > limits.line_bytes:
        return None
    names = ("query_id", "doc_id", "score")
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(column_names=list(names)),
            parse_options=arrow_csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(starts):
        return None
    table = table.combine_chunks()
    first = 1 if _is_header(table["score"][0].as_py()) else 0
    table = table.slice(first)
    query_ids, doc_ids, scores = (pa.array(table[name].combine_chunks(), type=pa.string()) for name in names)
    is_bad = pc.or_(pc.equal(query_ids, ""), pc.equal(doc_ids, ""))
    if pc.any(is_bad).as_py() or not pc.all(pc.match_substring_regex(scores, r"^-?\d{1,4}$")).as_py():
        return None
    grades = scores.cast(pa.int64()).to_numpy()
    return Rows(query_ids, doc_ids, grades, np.arange(first + 1, first + 1 + len(grades)))


def _is_header(score: str) -> bool:
    return bool(score.strip()) and not any(character.isdigit() for character in score)


def _read_lines(data: bytes, file: str, limits: Limits, faults: Faults) -> Rows | None:
    query_ids: list[str] = []
    doc_ids: list[str] = []
    grades: list[int] = []
    lines: list[int] = []
    n_lines = 0
    for number, offset, line in numbered_lines(data):
        n_lines += 1
        try:
            cells = decoded(line, offset, limits).rstrip("\r\n").split("\t")
            if n_lines == 1 and len(cells) == 3 and _is_header(cells[2]):
                continue
            query_id, doc_id, grade = _values(cells)
        except ValueError as fault:
            faults.mend(file, BROKEN, f"{file}:{number}: {fault}")
            continue
        query_ids.append(query_id)
        doc_ids.append(doc_id)
        grades.append(grade)
        lines.append(number)
    if has_too_many_broken(file, n_lines, limits, faults):
        return None
    ids = (pa.array(column, type=pa.string()) for column in (query_ids, doc_ids))
    return Rows(*ids, np.array(grades, dtype=np.int64), np.array(lines, dtype=np.int64))


def _values(cells: list[str]) -> tuple[str, str, int]:
    if len(cells) != 3:
        raise ValueError(f"{len(cells)} tab-separated cells where 3 must be. {REMEDY}")
    query_id, doc_id, score = cells
    if not query_id or not doc_id:
        raise ValueError(f"an empty id. {REMEDY}")
    try:
        grade = float(score)
    except ValueError:
        grade = float("nan")
    if not (grade.is_integer() and GRADES[0] <= grade <= GRADES[1]):
        raise ValueError(f"score must be a whole number in [{GRADES[0]}, {GRADES[1]}]; got {score[:40]!r}. {REMEDY}")
    return query_id, doc_id, int(grade)
