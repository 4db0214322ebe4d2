"""From documents, queries and judged ids to a Corpus: the last step of every reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.corpus import Corpus, rows_of
from core.corpus.faults import Faults
from core.corpus.imported import ImportedNegatives
from core.corpus.impressions import Impressions
from core.corpus.judgements import POSITIVE, Judgements
from core.corpus.qrels import Rows
from core.corpus.splits import beir_file, complete_splits
from core.errors import SHOWN_FAULTS

TRUTH = "truth"


@dataclass(frozen=True)
class Words:
    """How messages of one layout name its parts; ``split``: the name of a split -> where it stands."""

    documents: str = "corpus.jsonl"
    queries: str = "queries.jsonl"
    judged: str = "qrels/*.tsv"
    split: Callable[[str], str] = beir_file


BEIR = Words()


def assemble(
    documents: pa.Table,
    queries: pa.Table,
    tables: Mapping[str, Judgements],
    split_of: Callable[[str], str],
    name: str,
    faults: Faults,
    *,
    words: Words = BEIR,
    imported: ImportedNegatives | None = None,
    impressions: Impressions | None = None,
) -> Corpus:
    """The corpus of these parts. ``tables``: judgements by file; ``split_of``: the split of a file.

    Raises CorpusError, with all that was found before, when no query has a positive.
    """
    splits, truth = _by_split(dict(tables), split_of, faults)
    n_positive = sum(int((table.grades >= POSITIVE).sum()) for table in splits.values())
    if not n_positive:
        faults.fatal(
            f"{words.judged}: no query has a positive. "
            f"Give at least one query a document of {words.documents} with a score of 1 or more."
        )
    faults.check()

    def query_ids(rows) -> list[str]:
        return queries["query_id"].take(pa.array(rows)).to_pylist()

    splits = complete_splits(splits, query_ids, faults, words.split)
    _note_idle_queries(splits, queries, faults, words)
    return Corpus(
        name, documents, queries, splits, truth, faults.notes(), imported=imported, impressions=impressions, facts=faults.facts()
    )


def check_table(table: pa.Table, lines: np.ndarray, file: str, most: int, remedy: str, faults: Faults) -> pa.Table:
    """The table with the first row of each id, in one piece; notes what is empty, too long or missing.

    ``lines``: each row's line in ``file``. The first column holds the ids; ``text`` is looked at.
    """
    table = first_of_each_id(table, lines, file, faults)
    if not table.num_rows:
        faults.fatal(f"{file}: holds no line to read. {remedy}")
    elif table.num_rows > most:
        faults.fatal(f"{file}: {table.num_rows:,} lines, more than {most:,}. Take a sample.")
    n_empty = pc.sum(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(table["text"])), 0)).as_py() or 0
    if n_empty:
        faults.remark(f"{file}: {n_empty:,} of {table.num_rows:,} texts are empty; they are kept.")
    return table.combine_chunks()


def first_of_each_id(table: pa.Table, lines: np.ndarray, file: str, faults: Faults) -> pa.Table:
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


def to_judgements(
    rows: Rows, file: str, documents: pa.Table, queries: pa.Table, faults: Faults, words: Words = BEIR
) -> Judgements:
    """The judgements by row; those that point nowhere are dropped and counted."""
    query_rows = rows_of(rows.query_ids, queries["query_id"])
    doc_rows = rows_of(rows.doc_ids, documents["doc_id"])
    is_kept = (query_rows >= 0) & (doc_rows >= 0)
    dropped = np.flatnonzero(~is_kept)
    if len(dropped):
        faults.dangling[file] = len(dropped)
        share = len(dropped) / len(is_kept)
        faults.mend_many(
            file,
            f"rows that point nowhere ({len(dropped):,} of {len(is_kept):,} were dropped, {share:.1%})",
            [_dangling(rows, int(i), file, query_rows[i] < 0, words) for i in dropped[:SHOWN_FAULTS]],
            len(dropped),
        )
    table = Judgements.from_pairs(query_rows[is_kept], doc_rows[is_kept], rows.grades[is_kept], queries.num_rows)
    n_repeats = int(is_kept.sum()) - table.n_pairs
    if n_repeats:
        faults.remark(f"{file}: {n_repeats:,} rows repeat a pair; its highest score counts.")
    return table


def _dangling(rows: Rows, place: int, file: str, is_query: bool, words: Words) -> str:
    if is_query:
        what = f"query {rows.query_ids[place].as_py()!r} is not in {words.queries}"
    else:
        what = f"document {rows.doc_ids[place].as_py()!r} is not in {words.documents}"
    return f"{file}:{rows.lines[place]}: {what}; the row was dropped. Add it or take the row out."


def _by_split(
    tables: dict[str, Judgements], split_of: Callable[[str], str], faults: Faults
) -> tuple[dict[str, Judgements], Judgements | None]:
    splits: dict[str, Judgements] = {}
    for file, table in sorted(tables.items()):
        name = split_of(file)
        if name in splits:
            faults.remark(f"{file}: is joined with the other file of the {name} split.")
            table = splits[name].union(table)
        splits[name] = table
    return splits, splits.pop(TRUTH, None)


def _note_idle_queries(
    splits: dict[str, Judgements], queries: pa.Table, faults: Faults, words: Words
) -> None:
    is_idle = np.ones(queries.num_rows, dtype=bool)
    for table in splits.values():
        is_idle[table.query_rows_with_positives()] = False
    idle = np.flatnonzero(is_idle)
    if len(idle):
        shown = ", ".join(map(repr, queries["query_id"].take(pa.array(idle[:5])).to_pylist()))
        faults.remark(
            f"{words.queries}: {len(idle):,} of {queries.num_rows:,} queries have no positive in any split "
            f"({shown}{', ...' if len(idle) > 5 else ''}); they are kept, but neither trained on nor evaluated."
        )
