"""The log of what searchers were shown and what they clicked: impressions.tsv beside corpus.jsonl."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.corpus import rows_of
from core.corpus.faults import Faults
from core.corpus.judgements import Judgements
from core.corpus.limits import Limits
from core.corpus.lines import BROKEN, decoded, has_too_many_broken, numbered_lines
from core.corpus.sources import IMPRESSIONS
from core.errors import SHOWN_FAULTS

REMEDY = "Each line needs query-id, doc-id and clicked (0 or 1), with tabs between; position and session may follow by name."
REQUIRED = ("query-id", "doc-id", "clicked")
OPTIONAL = ("position", "session")
_ALIASES = {"corpus-id": "doc-id", "query_id": "query-id", "doc_id": "doc-id", "corpus_id": "doc-id", "rank": "position"}
_MOST_POSITION = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Impressions:
    """Documents that were shown for queries, one row an impression; a pair may be shown, and clicked, in several sessions.

    ``query_rows``, ``doc_rows`` int64 (N,), ordered by query row, then as in the file. ``positions`` int32 (N,): place in the
    shown list, from 1, 0 = the log does not say. ``is_clicked`` bool (N,). ``sessions`` int32 (N,): impressions of one list shown
    to one person share a number, -1 = the log does not say.
    """

    query_rows: np.ndarray
    doc_rows: np.ndarray
    positions: np.ndarray
    is_clicked: np.ndarray
    sessions: np.ndarray
    n_queries: int

    def __len__(self) -> int:
        return len(self.query_rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Impressions):
            return NotImplemented
        same = all(np.array_equal(a, b) for a, b in zip(self.arrays(), other.arrays(), strict=True))
        return same and self.n_queries == other.n_queries

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def of(cls, query_rows, doc_rows, positions, is_clicked, sessions, n_queries: int) -> Impressions:
        """From columns in any order of queries; those of one query keep their order, sessions are numbered as they appear."""
        query_rows = np.asarray(query_rows, np.int64)
        order = np.argsort(query_rows, kind="stable")
        columns = (doc_rows, positions, is_clicked, sessions)
        kinds = (np.int64, np.int32, bool, np.int32)
        made = [np.asarray(column, kind)[order] for column, kind in zip(columns, kinds, strict=True)]
        return cls(query_rows[order], *made[:3], _numbered(made[3]), n_queries)

    def arrays(self) -> tuple[np.ndarray, ...]:
        """All columns, in the order in which they enter the corpus's fingerprint."""
        return self.query_rows, self.doc_rows, self.positions, self.is_clicked, self.sessions

    @cached_property
    def shown(self) -> Judgements:
        """Every pair that was shown at least once, grade 0 where it was never clicked, else 1."""
        return Judgements.from_pairs(self.query_rows, self.doc_rows, self.is_clicked.astype(np.int64), self.n_queries)

    @cached_property
    def clicked(self) -> Judgements:
        """The pairs that were clicked at least once, grade 1."""
        return self.shown.only_positive()

    @cached_property
    def in_failed_session(self) -> np.ndarray:
        """bool (N,): impressions of sessions without a single click; False where the log names no session."""
        n = int(self.sessions.max(initial=-1)) + 1
        n_clicks = np.bincount(self.sessions[(self.sessions >= 0) & self.is_clicked], minlength=n)
        failed = np.zeros(len(self), bool)
        is_known = self.sessions >= 0
        failed[is_known] = n_clicks[self.sessions[is_known]] == 0
        return failed

    def moved(self, new_doc_rows: np.ndarray) -> Impressions:
        """The log of a corpus whose document row i became ``new_doc_rows[i]``, -1 = gone."""
        docs = new_doc_rows[self.doc_rows]
        kept = docs >= 0
        columns = (self.query_rows, docs, self.positions, self.is_clicked, self.sessions)
        return Impressions.of(*(column[kept] for column in columns), self.n_queries)

    def table(self) -> pa.Table:
        """One row an impression: query_row, doc_row, position, clicked, session."""
        names = ("query_row", "doc_row", "position", "clicked", "session")
        return pa.table(dict(zip(names, self.arrays(), strict=True)))

    @classmethod
    def from_table(cls, table: pa.Table, n_queries: int, n_documents: int) -> Impressions:
        """What :meth:`table` gave. Raises ValueError for rows outside the corpus."""
        columns = [table[name].to_numpy() for name in table.column_names]
        for rows, n in ((columns[0], n_queries), (columns[1], n_documents)):
            if len(rows) and (rows.min() < 0 or rows.max() >= n):
                raise ValueError(f"impressions name rows outside [0, {n})")
        return cls(*columns, n_queries)


def _numbered(sessions: np.ndarray) -> np.ndarray:
    """int32: the sessions numbered from 0 in the order of their first impression; -1 stays."""
    known = sessions >= 0
    _, firsts, inverse = np.unique(sessions[known], return_index=True, return_inverse=True)
    numbers = np.empty(len(firsts), np.int32)
    numbers[np.argsort(firsts)] = np.arange(len(firsts), dtype=np.int32)
    result = np.full(len(sessions), -1, np.int32)
    result[known] = numbers[inverse]
    return result


def read_impressions(data: bytes, documents: pa.Table, queries: pa.Table, limits: Limits, faults: Faults) -> Impressions | None:
    """The usable lines of impressions.tsv; None after a fatal fault, or when the file holds none.

    The first line names the columns; without names they are query-id, doc-id and clicked. Lines that cannot be read are skipped
    and told, lines that name an unknown query or document are dropped and counted.
    """
    names, cells, lines = _cells(data, limits, faults)
    if names is None:
        return None
    if len(lines) > limits.judgements:
        faults.fatal(f"{IMPRESSIONS}: {len(lines):,} rows, more than {limits.judgements:,}. Cut the file.")
        return None
    if not len(lines):
        faults.remark(f"{IMPRESSIONS}: holds no impression and is left out.")
        return None
    query_ids, doc_ids = (pa.array(cells[name], pa.string()) for name in REQUIRED[:2])
    query_rows, doc_rows = rows_of(query_ids, queries["query_id"]), rows_of(doc_ids, documents["doc_id"])
    is_kept = (query_rows >= 0) & (doc_rows >= 0)
    dropped = np.flatnonzero(~is_kept)
    if len(dropped):
        faults.mend_many(
            IMPRESSIONS,
            f"rows that point nowhere ({len(dropped):,} of {len(lines):,} were dropped)",
            [_nowhere(int(i), lines, query_ids, doc_ids, query_rows[i] < 0) for i in dropped[:SHOWN_FAULTS]],
            len(dropped),
        )
    sessions = np.full(len(lines), -1, np.int32)
    if "session" in cells:
        named = pa.array(cells["session"], pa.string())
        codes = named.dictionary_encode().indices.to_numpy()
        sessions = np.where(pc.equal(named, "").to_numpy(zero_copy_only=False), -1, codes).astype(np.int32)
    positions = np.array(cells.get("position", [0] * len(lines)), np.int32)
    clicked = np.array(cells["clicked"], bool)
    columns = (query_rows, doc_rows, positions, clicked, sessions)
    return Impressions.of(*(column[is_kept] for column in columns), queries.num_rows)


def _nowhere(place: int, lines, query_ids, doc_ids, is_query: bool) -> str:
    what = f"query {query_ids[place].as_py()!r} is not in queries.jsonl" if is_query else ""
    what = what or f"document {doc_ids[place].as_py()!r} is not in corpus.jsonl"
    return f"{IMPRESSIONS}:{lines[place]}: {what}; the row was dropped. Add it or take the row out."


def _cells(data: bytes, limits: Limits, faults: Faults) -> tuple[tuple[str, ...] | None, dict[str, list], list[int]]:
    """``(column names, cells by column, line numbers)`` of the lines that can be read; names None after a fatal fault."""
    names: tuple[str, ...] = ()
    cells: dict[str, list] = {}
    lines: list[int] = []
    n_lines = 0
    for number, offset, line in numbered_lines(data):
        n_lines += 1
        try:
            parts = decoded(line, offset, limits).rstrip("\r\n").split("\t")
            if not names:
                names, is_header = _header(parts)
                missing = [name for name in REQUIRED if name not in names]
                if missing:
                    faults.fatal(f"{IMPRESSIONS}:{number}: no column {missing[0]!r}. {REMEDY}")
                    return None, {}, []
                cells = {name: [] for name in (*REQUIRED, *OPTIONAL) if name in names}
                if is_header:
                    continue
            values = _values(parts, names)
        except ValueError as fault:
            faults.mend(IMPRESSIONS, BROKEN, f"{IMPRESSIONS}:{number}: {fault}")
            continue
        for name, kept in cells.items():
            kept.append(values[name])
        lines.append(number)
    if has_too_many_broken(IMPRESSIONS, n_lines, limits, faults):
        return None, {}, []
    return names, cells or {name: [] for name in REQUIRED}, lines


def _header(parts: list[str]) -> tuple[tuple[str, ...], bool]:
    """The columns' names, and whether this line is them; a first line that names none is data in the order of REQUIRED."""
    named = tuple(_ALIASES.get(part.strip().lower(), part.strip().lower()) for part in parts)
    if set(named) & {*REQUIRED, *OPTIONAL}:
        return named, True
    return REQUIRED, False


def _values(parts: list[str], names: tuple[str, ...]) -> dict[str, str | int | bool]:
    if len(parts) != len(names):
        raise ValueError(f"{len(parts)} tab-separated cells where {len(names)} must be. {REMEDY}")
    values: dict[str, str | int | bool] = dict(zip(names, parts, strict=True))
    if not values["query-id"] or not values["doc-id"]:
        raise ValueError(f"an empty id. {REMEDY}")
    clicked = str(values["clicked"]).strip().lower()
    if clicked not in ("0", "1", "true", "false"):
        raise ValueError(f"clicked must be 0 or 1; got {clicked[:40]!r}. {REMEDY}")
    values["clicked"] = clicked in ("1", "true")
    if "position" in values:
        text = str(values["position"]).strip()
        if not (text == "" or (text.isascii() and text.isdigit() and int(text) <= _MOST_POSITION)):
            raise ValueError(f"position must be a whole number from 1; got {text[:40]!r}. {REMEDY}")
        values["position"] = int(text or 0)
    return values
