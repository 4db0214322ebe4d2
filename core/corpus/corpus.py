"""The corpus: documents, queries and judgements, held in Arrow tables and arrays of rows."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.imported import ImportedNegatives
from core.corpus.judgements import Judgements

if TYPE_CHECKING:
    from core.corpus.impressions import Impressions

DOCUMENT_FIELDS = ("doc_id", "title", "text")
QUERY_FIELDS = ("query_id", "text")


class Corpus:
    """Documents, queries, judgements by split, and perhaps a fuller truth.

    Ids are strings, arrays hold row numbers, and the two never mix. No Python object is kept per document.

    ``documents``: table of strings ``doc_id``, ``title``, ``text`` and any further fields, without nulls.
    ``queries``: table of strings ``query_id``, ``text``. ``splits``: judgements by name ('train', 'test',
    perhaps 'dev'), each over all queries. ``truth``: fuller judgements for auditing, never for training.
    ``imported``: negatives that came with the corpus (a mined set), or None: to be looked at, never masked or trained on.
    ``impressions``: what searchers were shown and clicked, or None; given as a function it is read when first asked for.
    ``fingerprint``: 16 hex digits of the content (documents, queries, judgements, log; order counts, since rows
    do; name and notes do not). ``notes``: what was mended or decided at load, one sentence each.
    ``facts``: the same where a count is needed, JSON-ready: ``dangling`` (dropped judgements that point nowhere,
    by file) and ``in_two_splits`` (ids of test queries that stood in another split, too); empty when not read from files.
    Raises ValueError when a column is missing or judgements are of another number of queries.
    """

    def __init__(
        self,
        name: str,
        documents: pa.Table,
        queries: pa.Table,
        splits: Mapping[str, Judgements],
        truth: Judgements | None = None,
        notes: Sequence[str] = (),
        fingerprint: str | None = None,
        facts: Mapping[str, Any] | None = None,
        imported: ImportedNegatives | None = None,
        impressions: Impressions | Callable[[], Impressions] | None = None,
    ):
        self.name = name
        self.documents = _strings(documents, DOCUMENT_FIELDS)
        self.queries = _strings(queries, QUERY_FIELDS)
        self.splits = dict(splits)
        self.truth = truth
        self.imported = imported
        self._impressions = impressions
        self.notes = tuple(notes)
        self.facts = dict(facts or {})
        tables = [*self.splits.values(), *([truth] if truth is not None else [])]
        for judgements in tables:
            if judgements.n_queries != self.n_queries:
                raise ValueError(f"judgements of {judgements.n_queries} queries for a corpus of {self.n_queries}")
            if judgements.n_pairs and judgements.doc_rows.max() >= self.n_documents:
                raise ValueError(f"a judged document row is beyond the {self.n_documents} documents")
        self.fingerprint = fingerprint or self._fingerprint()

    def __repr__(self) -> str:
        return f"Corpus({self.name!r}, {self.n_documents} documents, {self.n_queries} queries, {self.fingerprint})"

    @cached_property
    def impressions(self) -> Impressions | None:
        """The log of what was shown and clicked, None where the corpus has none."""
        return self._impressions() if callable(self._impressions) else self._impressions

    @property
    def has_impressions(self) -> bool:
        """Whether there is a log, without reading it."""
        return self._impressions is not None

    @property
    def n_documents(self) -> int:
        return self.documents.num_rows

    @property
    def n_queries(self) -> int:
        return self.queries.num_rows

    @cached_property
    def positives(self) -> Judgements:
        """The known positives: every pair of grade >= 1 in any split. Masked wherever negatives are picked."""
        union = Judgements.empty(self.n_queries)
        for judgements in self.splits.values():
            union = union.union(judgements.only_positive())
        return union

    def document_texts(self, rows=None) -> list[str]:
        """``f"{title} {text}".strip()`` of these document rows, or of all: what encoders and BM25 read."""
        table = self.documents if rows is None else self.documents.select(["title", "text"]).take(_row_array(rows))
        joined = pc.binary_join_element_wise(table["title"], table["text"], " ")
        return [text.strip() for text in joined.to_pylist()]

    def query_texts(self, rows=None) -> list[str]:
        """The texts of these query rows, or of all."""
        return _pick(self.queries["text"], rows)

    def doc_ids(self, rows=None) -> list[str]:
        """The ids of these document rows, or of all."""
        return _pick(self.documents["doc_id"], rows)

    def query_ids(self, rows=None) -> list[str]:
        """The ids of these query rows, or of all."""
        return _pick(self.queries["query_id"], rows)

    def doc_rows(self, ids) -> np.ndarray:
        """The rows of these document ids: int64, -1 = unknown."""
        return rows_of(ids, self.documents["doc_id"])

    def query_rows(self, ids) -> np.ndarray:
        """The rows of these query ids: int64, -1 = unknown."""
        return rows_of(ids, self.queries["query_id"])

    def split_query_rows(self, split: str) -> np.ndarray:
        """Query rows with at least one positive in this split: int64, ascending; none for an unknown split."""
        if split not in self.splits:
            return np.empty(0, dtype=np.int64)
        return self.splits[split].query_rows_with_positives()

    def save(self, folder: Path) -> None:
        """Write the corpus as Arrow files that :meth:`open` maps; see core/corpus/store.py."""
        from core.corpus import store

        store.save(self, Path(folder))

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """The corpus saved in this folder, its texts memory-mapped. Raises CorpusError if it is none."""
        from core.corpus import store

        return store.open_saved(Path(folder))

    def _fingerprint(self) -> str:
        content = hashlib.sha256()
        for label, table in (("documents", self.documents), ("queries", self.queries)):
            content.update(f"{label} {table.num_rows}\n".encode())
            for name in table.column_names:
                content.update(f"{name}\n".encode() + _column_digest(table[name]))
        tables = dict(sorted(self.splits.items()))
        for label, judgements in [*((f"split {s}", j) for s, j in tables.items()), ("truth", self.truth)]:
            if judgements is not None:
                content.update(f"{label} {judgements.n_pairs}\n".encode())
                for array in (judgements.indptr, judgements.doc_rows, judgements.grades):
                    content.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        if self.imported is not None:
            content.update(f"imported {len(self.imported)} {self.imported.source}\n".encode())
            for array in self.imported.arrays():
                content.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        if self.impressions is not None:
            content.update(f"impressions {len(self.impressions)}\n".encode())
            for array in self.impressions.arrays():
                content.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
        return content.hexdigest()[:16]


def rows_of(ids, column: pa.ChunkedArray) -> np.ndarray:
    """The place of each id in a column of distinct ids: int64, -1 = absent."""
    if not isinstance(ids, (pa.Array, pa.ChunkedArray)):
        ids = pa.array(ids, type=pa.string())
    if len(ids) == 1:  # one id by a scan: building the hash table of a whole column would take longer
        return np.array([pc.index(column, ids[0]).as_py()], dtype=np.int64)
    places = pc.fill_null(pc.index_in(ids, value_set=column.combine_chunks()), -1)
    return places.to_numpy().astype(np.int64) if len(ids) else np.empty(0, dtype=np.int64)


def _row_array(rows) -> pa.Array:
    return pa.array(np.asarray(rows, dtype=np.int64).reshape(-1))


def _pick(column: pa.ChunkedArray, rows) -> list[str]:
    return (column if rows is None else column.take(_row_array(rows))).to_pylist()


def _strings(table: pa.Table, first: tuple[str, ...]) -> pa.Table:
    """The table with ``first`` as its first columns, the others by name, all strings without nulls."""
    missing = [name for name in first if name not in table.column_names]
    if missing:
        raise ValueError(f"column {missing[0]!r} is missing")
    columns = {}
    for name in (*first, *sorted(set(table.column_names) - set(first))):
        column = table[name] if table[name].type == pa.string() else table[name].cast(pa.string())
        columns[name] = pc.fill_null(column, "") if column.null_count else column
    return pa.table(columns)


def _column_digest(column: pa.ChunkedArray) -> bytes:
    """SHA-256 of the lengths, then of the bytes: the same however the column is cut into chunks."""
    lengths, content = hashlib.sha256(), hashlib.sha256()
    for chunk in column.chunks:
        if not len(chunk):
            continue
        offsets_buffer, data = chunk.buffers()[1:]
        offsets = np.frombuffer(offsets_buffer, dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        lengths.update(np.diff(offsets).astype("<i4").tobytes())
        if data is not None:
            content.update(memoryview(data)[offsets[0] : offsets[-1]])
    return lengths.digest() + content.digest()
