"""The BEIR layout: corpus.jsonl, queries.jsonl and qrels/*.tsv made into a Corpus."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.corpus import Corpus, rows_of
from core.corpus.faults import Faults
from core.corpus.fields import DOCUMENTS, QUERIES, Columns
from core.corpus.jsonl import read_jsonl
from core.corpus.judgements import POSITIVE, Judgements
from core.corpus.limits import Limits
from core.corpus.qrels import Rows, read_qrels
from core.corpus.sources import LAYOUT, Member, read_member
from core.corpus.splits import complete_splits, split_name
from core.errors import SHOWN_FAULTS

TRUTH = "truth"


def read_beir(members: Mapping[str, Member], name: str, limits: Limits, faults: Faults) -> Corpus:
    """The corpus in these files. Raises CorpusError with all faults when it cannot be used."""
    documents = _read_table(members, "corpus.jsonl", DOCUMENTS, limits.documents, limits, faults)
    queries = _read_table(members, "queries.jsonl", QUERIES, limits.queries, limits, faults)
    judged = _read_judged(members, limits, faults)
    faults.check()
    tables = {file: _to_rows(rows, file, documents, queries, faults) for file, rows in judged.items()}
    splits, truth = _by_split(tables, faults)
    n_positive = sum(int((table.grades >= POSITIVE).sum()) for table in splits.values())
    if not n_positive:
        faults.fatal(
            "qrels/*.tsv: no query has a positive. "
            "Give at least one query a document of corpus.jsonl with a score of 1 or more."
        )
    faults.check()

    def query_ids(rows) -> list[str]:
        return queries["query_id"].take(pa.array(rows)).to_pylist()

    splits = complete_splits(splits, query_ids, faults)
    _note_idle_queries(splits, queries, faults)
    return Corpus(name, documents, queries, splits, truth, faults.notes())


def _read_table(
    members: Mapping[str, Member], file: str, columns: Columns, most: int, limits: Limits, faults: Faults
) -> pa.Table | None:
    if file not in members:
        found = ", ".join(sorted(members)[:5]) or "none of the files"
        faults.fatal(f"{file}: is missing (found: {found}). {LAYOUT}")
        return None
    data = read_member(members[file], file, limits, faults)
    read = None if data is None else read_jsonl(data, file, columns, limits, faults)
    if read is None:
        return None
    table, lines = read
    table = _first_of_each_id(table, lines, file, faults)
    if not table.num_rows:
        faults.fatal(f"{file}: holds no line to read. {columns.remedy}")
    elif table.num_rows > most:
        faults.fatal(f"{file}: {table.num_rows:,} lines, more than {most:,}. Take a sample.")
    n_empty = pc.sum(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(table["text"])), 0)).as_py() or 0
    if n_empty:
        faults.remark(f"{file}: {n_empty:,} of {table.num_rows:,} texts are empty; they are kept.")
    return table.combine_chunks()


def _first_of_each_id(table: pa.Table, lines: np.ndarray, file: str, faults: Faults) -> pa.Table:
    ids = table.column(0).combine_chunks()
    if not len(ids):
        return table
    codes = ids.dictionary_encode().indices.to_numpy()
    firsts = np.unique(codes, return_index=True)[1]
    if len(firsts) == len(ids):
        return table
    is_repeat = np.ones(len(ids), dtype=bool)
    is_repeat[firsts] = False
    repeats = np.flatnonzero(is_repeat)
    faults.mend_many(
        file,
        "lines with an id that is already taken",
        [
            f"{file}:{lines[row]}: _id {ids[int(row)].as_py()!r} is already on line {lines[firsts[codes[row]]]}; "
            "the first is kept. Give each line an id of its own."
            for row in repeats[:SHOWN_FAULTS]
        ],
        len(repeats),
    )
    return table.filter(pa.array(~is_repeat))


def _read_judged(members: Mapping[str, Member], limits: Limits, faults: Faults) -> dict[str, Rows]:
    files = [file for file in members if file.endswith(".tsv")]
    judged: dict[str, Rows] = {}
    for file in files:
        data = read_member(members[file], file, limits, faults)
        rows = None if data is None else read_qrels(data, file, limits, faults)
        if rows is not None and len(rows.grades):
            judged[file] = rows
        elif rows is not None:
            faults.remark(f"{file}: holds no judgement and is left out.")
    if not any(_split_of(file) != TRUTH for file in files):
        faults.fatal("qrels/*.tsv: is missing. Add qrels/train.tsv and qrels/test.tsv: query-id, corpus-id, score.")
    return judged


def _split_of(file: str) -> str:
    return split_name(PurePosixPath(file).stem)


def _to_rows(rows: Rows, file: str, documents: pa.Table, queries: pa.Table, faults: Faults) -> Judgements:
    """The judgements by row; those that point nowhere are dropped and counted."""
    query_rows = rows_of(rows.query_ids, queries["query_id"])
    doc_rows = rows_of(rows.doc_ids, documents["doc_id"])
    is_kept = (query_rows >= 0) & (doc_rows >= 0)
    dropped = np.flatnonzero(~is_kept)
    if len(dropped):
        share = len(dropped) / len(is_kept)
        faults.mend_many(
            file,
            f"rows that point nowhere ({len(dropped):,} of {len(is_kept):,} were dropped, {share:.1%})",
            [_dangling(rows, int(i), file, query_rows[i] < 0) for i in dropped[:SHOWN_FAULTS]],
            len(dropped),
        )
    table = Judgements.from_pairs(query_rows[is_kept], doc_rows[is_kept], rows.grades[is_kept], queries.num_rows)
    n_repeats = int(is_kept.sum()) - table.n_pairs
    if n_repeats:
        faults.remark(f"{file}: {n_repeats:,} rows repeat a pair; its highest score counts.")
    return table


def _dangling(rows: Rows, place: int, file: str, is_query: bool) -> str:
    if is_query:
        what = f"query {rows.query_ids[place].as_py()!r} is not in queries.jsonl"
    else:
        what = f"document {rows.doc_ids[place].as_py()!r} is not in corpus.jsonl"
    return f"{file}:{rows.lines[place]}: {what}; the row was dropped. Add it or take the row out."


def _by_split(tables: dict[str, Judgements], faults: Faults) -> tuple[dict[str, Judgements], Judgements | None]:
    splits: dict[str, Judgements] = {}
    for file, table in sorted(tables.items()):
        name = _split_of(file)
        if name in splits:
            faults.remark(f"{file}: is joined with the other file of the {name} split.")
            table = splits[name].union(table)
        splits[name] = table
    return splits, splits.pop(TRUTH, None)


def _note_idle_queries(splits: dict[str, Judgements], queries: pa.Table, faults: Faults) -> None:
    is_idle = np.ones(queries.num_rows, dtype=bool)
    for table in splits.values():
        is_idle[table.query_rows_with_positives()] = False
    idle = np.flatnonzero(is_idle)
    if len(idle):
        shown = ", ".join(map(repr, queries["query_id"].take(pa.array(idle[:5])).to_pylist()))
        faults.remark(
            f"queries.jsonl: {len(idle):,} of {queries.num_rows:,} queries have no positive in any split "
            f"({shown}{', ...' if len(idle) > 5 else ''}); they are kept, but neither trained on nor evaluated."
        )
