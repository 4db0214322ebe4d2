"""Scores of pairs that somebody else made, from a file: TSV, CSV, JSON lines or Parquet with query-id, doc-id and score."""

from __future__ import annotations

import csv
import hashlib
import json
import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import ParameterError

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus

#: What each of the three columns may be called; the first name is ours.
NAMES = (
    ("query-id", "query_id", "qid", "query"),
    ("doc-id", "doc_id", "corpus-id", "corpus_id", "docid", "pid", "document"),
    ("score", "teacher_score", "value"),
)
FORM = "query-id, doc-id and score"
SUFFIXES = (".tsv", ".csv", ".jsonl", ".parquet")


@dataclass(frozen=True)
class GivenScores:
    """Scores by pair. ``keys`` int64 (N,), ascending: query_row * n_documents + doc_row; ``values`` float32 (N,).

    ``n_unknown``: rows of the file whose ids the corpus does not have; ``digest``: 12 hexadecimal digits of the file.
    """

    keys: np.ndarray
    values: np.ndarray
    n_documents: int
    n_unknown: int
    digest: str

    def of(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32, shape of ``doc_rows`` (Q,) or (Q, C); NaN where the file says nothing, and where -1."""
        rows = np.broadcast_to(query_rows.reshape(-1, *[1] * (doc_rows.ndim - 1)), doc_rows.shape)
        wanted = rows * self.n_documents + doc_rows
        if not len(self.keys):
            return np.full(doc_rows.shape, np.nan, np.float32)
        place = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        is_given = (self.keys[place] == wanted) & (doc_rows >= 0)
        return np.where(is_given, self.values[place], np.nan).astype(np.float32)


def read_scores(path: Path, corpus: Corpus) -> GivenScores:
    """The scores in the file, on the rows of the corpus; where a pair stands there twice, the last counts.

    Raises ParameterError that names the line.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
        records = _parquet(path) if path.suffix.lower() == ".parquet" else _lines(path)
        queries = {name: row for row, name in enumerate(corpus.query_ids())}
        documents = {name: row for row, name in enumerate(corpus.doc_ids())}
        keys, values, n_unknown = array("q"), array("f"), 0
        for number, query_id, doc_id, score in records:
            query_row, doc_row = queries.get(str(query_id), -1), documents.get(str(doc_id), -1)
            value = _number(score)
            if not math.isfinite(value):
                raise ParameterError(f"{path}:{number}: the score is not a number. Each line needs {FORM}.")
            if query_row < 0 or doc_row < 0:
                n_unknown += 1
                continue
            keys.append(query_row * corpus.n_documents + doc_row)
            values.append(value)
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror or error}). Give a file with {FORM}.") from None
    except UnicodeDecodeError:
        raise ParameterError(f"{path} is not UTF-8 text. Give a file with {FORM}.") from None
    found, given = np.array(keys, np.int64), np.array(values, np.float32)
    order = np.argsort(found, kind="stable")
    found, given = found[order], given[order]
    is_last = np.append(found[1:] != found[:-1], True) if len(found) else np.empty(0, bool)
    return GivenScores(found[is_last], given[is_last], corpus.n_documents, n_unknown, digest)


Record = tuple[int, Any, Any, Any]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _columns(path: Path, names: Iterable[str], line: int) -> list[str]:
    """The column of each of NAMES; raises ParameterError where one is missing."""
    there = list(names)
    chosen = [next((name for name in known if name in there), None) for known in NAMES]
    if None in chosen:
        missing = NAMES[chosen.index(None)][0]
        raise ParameterError(f"{path}:{line}: no {missing}. The file needs {FORM}.")
    return [name for name in chosen if name is not None]


def _lines(path: Path) -> Iterable[Record]:
    if path.suffix.lower() not in SUFFIXES:
        raise ParameterError(f"{path.name} must end in {', '.join(SUFFIXES)}. Give a file with {FORM}.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        if path.suffix.lower() == ".jsonl":
            yield from _json(path, file)
        else:
            yield from _table(path, file)


def _json(path: Path, file: Iterable[str]) -> Iterable[Record]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ParameterError(f"{path}:{number}: not a JSON object. Each line needs {FORM}.")
        yield number, *(record[name] for name in _columns(path, record, number))


def _table(path: Path, file: Iterable[str]) -> Iterable[Record]:
    """With a head line, or three columns in our order without one."""
    # Ids may hold quotes in a TSV, as in TREC's and BEIR's files: only a CSV has them quoted.
    is_tab = path.suffix.lower() == ".tsv"
    reader = csv.reader(file, delimiter="\t" if is_tab else ",", quoting=csv.QUOTE_NONE if is_tab else csv.QUOTE_MINIMAL)
    places: list[int] | None = None
    for cells in reader:
        number = reader.line_num
        if not cells:
            continue
        if places is None:
            if len(cells) == 3 and math.isfinite(_number(cells[2])):
                places = [0, 1, 2]
            else:
                places = [cells.index(name) for name in _columns(path, cells, number)]
                continue
        if len(cells) <= max(places):
            raise ParameterError(f"{path}:{number}: {len(cells)} columns. Each line needs {FORM}.")
        yield number, *(cells[place] for place in places)


def _parquet(path: Path) -> Iterable[Record]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ParameterError(f"{path} is not a Parquet file. Give a file with {FORM}.") from None
    names, number = _columns(path, file.schema_arrow.names, 1), 0
    for batch in file.iter_batches(columns=names):
        for values in zip(*(batch[name].to_pylist() for name in names), strict=True):
            number += 1
            yield number, *values
