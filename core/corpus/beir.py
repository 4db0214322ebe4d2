"""The BEIR layout: corpus.jsonl, queries.jsonl and qrels/*.tsv made into a Corpus."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from core.corpus.assemble import TRUTH, assemble, check_table, to_judgements
from core.corpus.corpus import Corpus, rows_of
from core.corpus.faults import Faults
from core.corpus.fields import DOCUMENTS, QUERIES, Columns
from core.corpus.imported import IMPORTED, ImportedNegatives
from core.corpus.impressions import Impressions, read_impressions
from core.corpus.jsonl import read_jsonl
from core.corpus.limits import Limits
from core.corpus.lines import BROKEN, decoded, numbered_lines
from core.corpus.qrels import Rows, read_qrels
from core.corpus.sources import IMPRESSIONS, LAYOUT, Member, read_member
from core.corpus.splits import split_name


def read_beir(members: Mapping[str, Member], name: str, limits: Limits, faults: Faults) -> Corpus:
    """The corpus in these files. Raises CorpusError with all faults when it cannot be used."""
    documents = _read_table(members, "corpus.jsonl", DOCUMENTS, limits.documents, limits, faults)
    queries = _read_table(members, "queries.jsonl", QUERIES, limits.queries, limits, faults)
    judged = _read_judged(members, limits, faults)
    faults.check()
    tables = {file: to_judgements(rows, file, documents, queries, faults) for file, rows in judged.items()}
    imported = _read_imported(members, documents, queries, limits, faults)
    log = _read_log(members, documents, queries, limits, faults)
    return assemble(documents, queries, tables, _split_of, name, faults, imported=imported, impressions=log)


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
    return check_table(table, lines, file, most, columns.remedy, faults)


def _read_judged(members: Mapping[str, Member], limits: Limits, faults: Faults) -> dict[str, Rows]:
    files = [file for file in members if file.endswith(".tsv") and file != IMPRESSIONS]
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


def _read_imported(
    members: Mapping[str, Member], documents: pa.Table, queries: pa.Table, limits: Limits, faults: Faults
) -> ImportedNegatives | None:
    """The negatives of imported.jsonl, which only this product writes; lines that point nowhere are dropped and counted."""
    data = read_member(members[IMPORTED], IMPORTED, limits, faults) if IMPORTED in members else None
    if data is None:
        return None
    source, lines = "imported", []
    for number, offset, line in numbered_lines(data):
        try:
            record = json.loads(decoded(line, offset, limits))
            if "source" in record:
                source = str(record["source"])[:60]
            else:
                scores = [math.nan if record[name] is None else float(record[name]) for name in ("score", "positive_score")]
                lines.append((str(record["query_id"]), str(record["doc_id"]), *scores))
        except (ValueError, KeyError, TypeError, RecursionError):
            problem = "is no negative with query_id, doc_id, score and positive_score; it was skipped. Write the file anew."
            faults.mend(IMPORTED, BROKEN, f"{IMPORTED}:{number}: {problem}")
    query_ids, doc_ids, scores, positive_scores = zip(*lines, strict=True) if lines else ((), (), (), ())
    query_rows = rows_of(list(query_ids), queries["query_id"])
    doc_rows = rows_of(list(doc_ids), documents["doc_id"])
    is_known = (query_rows >= 0) & (doc_rows >= 0)
    if not is_known.all():
        faults.remark(f"{IMPORTED}: {(~is_known).sum():,} lines point nowhere and were dropped.")
    best = np.full(queries.num_rows, np.nan, np.float32)
    best[query_rows[is_known]] = np.array(positive_scores, np.float32)[is_known]
    return ImportedNegatives.from_mentions(query_rows[is_known], doc_rows[is_known], np.array(scores)[is_known], best, source)


def _read_log(
    members: Mapping[str, Member], documents: pa.Table, queries: pa.Table, limits: Limits, faults: Faults
) -> Impressions | None:
    data = read_member(members[IMPRESSIONS], IMPRESSIONS, limits, faults) if IMPRESSIONS in members else None
    return None if data is None else read_impressions(data, documents, queries, limits, faults)


def _split_of(file: str) -> str:
    return split_name(PurePosixPath(file).stem)
