"""Tables of question-answer pairs, triplets and mined sets made into a Corpus, their negatives beside it."""

from __future__ import annotations

import array
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.assemble import TRUTH, Words, assemble
from core.corpus.cells import text_of
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.growing import Growing
from core.corpus.imported import ImportedNegatives
from core.corpus.judgements import Judgements
from core.corpus.limits import Limits
from core.corpus.lines import BROKEN, has_too_many_broken
from core.corpus.passages import passages_of
from core.corpus.roles import Roles, layout_of
from core.corpus.splits import split_name

Records = Iterator[tuple[int, Mapping[str, Any]]]
WHOLE = ""  # the split of a table that names none


class RecordReader:
    """Collects the mentions of queries and documents of one or several tables; ``corpus`` makes rows of them.

    Queries are told apart by id, or by text where there is none; documents by id, or by title and text.
    """

    def __init__(self, limits: Limits, faults: Faults):
        self.limits, self.faults = limits, faults
        self.queries = Growing("query_id", "text")
        self.documents = Growing("doc_id", "title", "text")
        self.of_query, self.grades = array.array("q"), array.array("q")
        self.scores = array.array("d")
        self.is_negative, self.split_of = array.array("b"), array.array("l")
        self.splits: dict[str, int] = {}
        self.files: list[str] = []
        self.source = ""

    def read(self, records: Records, roles: Roles, file: str, split: str = WHOLE) -> None:
        """Take in one table. ``split``: of all its rows, unless a column says it."""
        self.files.append(file)
        n_rows = n_empty = 0
        for number, record in records:
            n_rows += 1
            try:
                self._add(record, roles, split)
            except ValueError as problem:
                n_empty += 1
                self.faults.mend(file, BROKEN, f"{file}:{number}: {problem}")
            if max(self.documents.n_rows, self.queries.n_rows) > self.limits.judgements:
                self.faults.fatal(f"{file}: more than {self.limits.judgements:,} passages. Take a sample.")
                return
        n_unread = self.faults.count(file, BROKEN) - n_empty  # those never came as records
        has_too_many_broken(file, n_rows + n_unread, self.limits, self.faults)

    def _add(self, record: Mapping[str, Any], roles: Roles, split: str) -> None:
        text = record.get(roles.query)
        text = text_of(text[0] if isinstance(text, list) and len(text) == 1 else text)
        if not text.strip():
            raise ValueError(f"no query in {roles.query!r}. Each row needs one.")
        found = passages_of(record, roles)
        if not found:
            raise ValueError(f"no passage in {roles.positive!r}. Each row needs a text there.")
        if roles.split:
            split = split_name(text_of(record.get(roles.split)).strip()) or split
        code = self.splits.setdefault(split, len(self.splits))
        query = self.queries.n_rows
        self.queries.add(text_of(record.get(roles.query_id)) if roles.query_id else "", text)
        if not self.source and any(passage.is_negative for passage in found):
            self.source = layout_of(roles, [record])
        for passage in found:
            self.documents.add(passage.doc_id, passage.title, passage.text)
            self.of_query.append(query)
            self.grades.append(passage.grade)
            self.scores.append(passage.score)
            self.is_negative.append(passage.is_negative)
            self.split_of.append(code)

    def corpus(self, name: str) -> Corpus:
        """The corpus of all tables. Raises CorpusError with all faults when it cannot be used."""
        file = self.files[0] if len(self.files) == 1 else "the tables"
        if not self.queries.n_rows and not self.faults.is_fatal:
            self.faults.fatal(f"{file}: holds no row with a query and a passage.")
        self.faults.check()
        queries, query_rows = self._distinct(self.queries.table(), "query_id", ("text",), "q", file)
        documents, doc_rows = self._distinct(self.documents.table(), "doc_id", ("title", "text"), "d", file)
        for table, most, what in ((documents, self.limits.documents, "documents"), (queries, self.limits.queries, "queries")):
            if table.num_rows > most:
                self.faults.fatal(f"{file}: {table.num_rows:,} {what}, more than {most:,}. Take a sample.")
        of_query = query_rows[np.array(self.of_query, np.int64)]
        is_negative, split_of = np.array(self.is_negative, bool), np.array(self.split_of, np.int64)
        grades, scores = np.array(self.grades, np.int64), np.array(self.scores, np.float32)
        tables = {}
        for split, code in self.splits.items():
            is_here = (split_of == code) & ~is_negative
            tables[split or "all"] = Judgements.from_pairs(of_query[is_here], doc_rows[is_here], grades[is_here], queries.num_rows)
        imported = None
        if is_negative.any():
            best = np.full(queries.num_rows, np.inf, np.float32)
            known = ~is_negative & ~np.isnan(scores)
            np.minimum.at(best, of_query[known], scores[known])
            best[np.isinf(best)] = np.nan
            imported = ImportedNegatives.from_mentions(
                of_query[is_negative], doc_rows[is_negative], scores[is_negative], best, self.source or "negatives"
            )
        words = Words("the passages", "the queries", file, lambda split: _table_name(split, file))
        return assemble(documents, queries, tables, _split_itself, name, self.faults, words=words, imported=imported)

    def _distinct(
        self, mentions: pa.Table, id_column: str, text_columns: tuple[str, ...], letter: str, file: str
    ) -> tuple[pa.Table, np.ndarray]:
        """The first mention of each, with an id, and the row of every mention: int64."""
        ids = mentions[id_column]
        has_id = pc.greater(pc.binary_length(ids), 0)
        content = _joined(*(mentions[c] for c in text_columns))
        keys = content
        if pc.any(has_id).as_py():
            keys = pc.if_else(has_id, _joined("i", ids), _joined("t", content))
        rows, firsts = _codes(keys)
        if keys is not content:
            self._note_other_texts(content, rows, firsts, has_id, ids, file)
        del keys, content
        table = mentions.take(pa.array(firsts))
        given = table[id_column]
        is_given = has_id.take(pa.array(firsts))
        if not pc.all(is_given).as_py():
            made = _made_ids(letter, len(firsts), set(given.to_pylist()) if pc.any(is_given).as_py() else set())
            given = pc.if_else(is_given, given, made)
        return table.set_column(0, id_column, given), rows

    def _note_other_texts(self, content, rows: np.ndarray, firsts: np.ndarray, has_id, ids, file: str) -> None:
        texts, _ = _codes(content)
        is_other = texts != texts[firsts][rows]
        n_other = len(np.unique(np.stack([rows[is_other], texts[is_other]]), axis=1).T)
        if n_other:
            example = ids[int(np.flatnonzero(is_other)[0])].as_py()
            self.faults.remark(
                f"{file}: {n_other:,} texts have an id that another text has, too (for example {example[:60]!r}); the first is kept."
            )


def _joined(*parts: pa.ChunkedArray | str) -> pa.ChunkedArray:
    """The parts of each row with NUL between, which no text holds; large strings, as all together may pass 2 GiB."""
    large = pa.large_string()
    cast = [pa.scalar(part, large) if isinstance(part, str) else part.cast(large) for part in parts]
    return pc.binary_join_element_wise(*cast, pa.scalar("\0", large))


def _codes(keys: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Each value's place among the distinct ones, in order of first sight, and where each was first seen: int64."""
    codes = keys.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return codes, np.unique(codes, return_index=True)[1].astype(np.int64)


def _made_ids(letter: str, n: int, taken: set[str]) -> pa.Array:
    while any(name.startswith(letter) and name[len(letter) :].isdigit() for name in taken):
        letter += "_"
        if len(letter) > 8:
            break
    return pa.array([f"{letter}{i + 1}" for i in range(n)])


def _split_itself(file: str) -> str:
    return TRUTH if file == TRUTH else file


def _table_name(split: str, file: str) -> str:
    return file if split in ("all", WHOLE) else f"{file} ({split})"


