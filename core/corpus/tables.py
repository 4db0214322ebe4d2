"""A folder of three tables, in any kind: documents, queries and judgements with ids, as data-frame exports have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from core.corpus.assemble import Words, assemble, check_table, to_judgements
from core.corpus.cells import KINDS, plain_bytes, read_records, text_of
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.growing import Growing
from core.corpus.judgements import Judgements
from core.corpus.limits import Limits
from core.corpus.lines import BROKEN, has_too_many_broken
from core.corpus.qrels import Rows
from core.corpus.roles import plain_name
from core.corpus.sources import Member
from core.corpus.splits import split_name

DOCUMENT_STEMS = ("corpus", "documents", "docs", "collection", "passages")
QUERY_STEMS = ("queries", "topics", "questions")
SPLIT_WORDS = ("train", "test", "dev", "valid", "val", "validation", "truth")
DOCUMENT_IDS = ("id", "docid", "docno", "documentid", "corpusid", "passageid", "pid")
QUERY_IDS = ("id", "queryid", "qid", "topicid", "number", "num")
TEXTS = ("text", "contents", "content", "body", "passage", "document", "abstract")
QUERY_TEXTS = ("text", "query", "question", "title", "topic")
GRADES = ("score", "relevance", "rel", "grade", "label")
#: Of all qrels in use only these call the document so; 'id' alone would be ambiguous there.
JUDGED_QUERIES, JUDGED_DOCUMENTS = QUERY_IDS[1:], DOCUMENT_IDS[1:]
_WORDS = re.compile(r"[^a-z0-9]+")


def stem_words(file: str) -> list[str]:
    """The words of a file's name without its endings: 'qrels.train.tsv' -> ['qrels', 'train']."""
    name = PurePosixPath(file).name.lower().removesuffix(".gz")
    for ending in (*KINDS, ".txt", ".trec", ".xml", ".qrels", ".qrel", ".topics"):
        name = name.removesuffix(ending) or name
    return [word for word in _WORDS.split(name) if word]


def split_in(file: str, otherwise: str) -> str:
    """The split that a file's name tells."""
    return next((split_name(word) for word in stem_words(file) if word in SPLIT_WORDS), otherwise)


def table_files(paths: Iterable[str]) -> tuple[list[str], list[str], list[str]] | None:
    """(documents, queries, judgements) when the files are the three tables; else None."""
    tables = [path for path in paths if any(path.lower().removesuffix(".gz").endswith(ending) for ending in KINDS)]
    documents = [p for p in tables if {*stem_words(p), *PurePosixPath(p).parts[:-1]} & set(DOCUMENT_STEMS)]
    queries = [p for p in tables if p not in documents and {*stem_words(p), *PurePosixPath(p).parts[:-1]} & set(QUERY_STEMS)]
    judged = [p for p in tables if p not in documents and p not in queries]
    judged = [p for p in judged if "qrels" in p.lower() or set(stem_words(p)) & {*SPLIT_WORDS, "judgements", "relevance"}]
    return (documents, queries, judged) if documents and queries and judged else None


def read_tables(members: Mapping[str, Member], name: str, limits: Limits, faults: Faults, options: Mapping[str, str]) -> Corpus:
    """The corpus of the three tables. Raises CorpusError with all faults when it cannot be used."""
    found = table_files(members)
    assert found is not None
    document_files, query_files, judged_files = found
    documents = _read(members, document_files, "doc_id", limits, faults, options)
    queries = _read(members, query_files, "query_id", limits, faults, options)
    judged = {file: _judged(members, file, limits, faults, options) for file in judged_files}
    faults.check()
    words = Words(document_files[0], query_files[0], " and ".join(judged_files[:3]), lambda split: _file_of(split, judged_files))
    tables: dict[str, Judgements] = {}
    for file, rows in judged.items():
        if rows is not None:
            tables[file] = to_judgements(rows, file, documents, queries, faults, words)
    return assemble(documents, queries, tables, lambda file: split_in(file, "all"), name, faults, words=words)


def _file_of(split: str, files: list[str]) -> str:
    return next((file for file in files if split_in(file, "all") == split), f"the {split} split")


def _read(members, files: list[str], id_column: str, limits: Limits, faults: Faults, options) -> pa.Table | None:
    is_query = id_column == "query_id"
    ids, texts = (QUERY_IDS, QUERY_TEXTS) if is_query else (DOCUMENT_IDS, TEXTS)
    columns: list[str] = []
    growing: Growing | None = None
    lines: list[int] = []
    for file in files:
        data = plain_bytes(members[file], file, limits, faults)
        if data is None:
            continue
        n = 0
        chosen: tuple[str, str, str] | None = None
        for number, record in read_records(data, file, limits, faults, "", options):
            n += 1
            if chosen is None:
                chosen = _chosen(record, ids, texts, file, faults)
                if chosen is None:
                    break
            if growing is None:
                extras = [] if is_query else [c for c in record if c not in chosen and c not in ("doc_id", "title", "text")]
                columns = extras[: limits.fields]
                growing = Growing(id_column, *([] if is_query else ["title"]), "text", *columns)
            id_name, text_name, title_name = chosen
            doc_id = text_of(record.get(id_name))
            if not doc_id:
                faults.mend(file, BROKEN, f"{file}:{number}: {id_name!r} is empty. Give each row an id of its own.")
                continue
            title = [] if is_query else [text_of(record.get(title_name)) if title_name else ""]
            growing.add(doc_id, *title, text_of(record.get(text_name)), *(text_of(record.get(c)) for c in columns))
            lines.append(number)
        has_too_many_broken(file, max(n, faults.count(file, BROKEN)), limits, faults)
    if growing is None:
        if not faults.is_fatal:
            faults.fatal(f"{files[0]}: holds no line to read.")
        return None
    most = limits.queries if is_query else limits.documents
    return check_table(growing.table(), np.array(lines), files[0], most, "Each row needs an id and a text.", faults)


def _chosen(record: Mapping[str, Any], ids, texts, file: str, faults: Faults) -> tuple[str, str, str] | None:
    by_name = {plain_name(column): column for column in record}
    found_id = next((by_name[name] for name in ids if name in by_name), None)
    title = by_name.get("title", "")
    text = next((by_name[name] for name in texts if name in by_name), None)
    if found_id is None or text is None:
        what = "an id" if found_id is None else "a text"
        shown = ", ".join(repr(column[:40]) for column in list(record)[:12])
        faults.fatal(f"{file}: no column is known to hold {what}. It has {shown}. Call them id and text.")
        return None
    return found_id, text, title if title != text else ""


def _judged(members, file: str, limits: Limits, faults: Faults, options) -> Rows | None:
    data = plain_bytes(members[file], file, limits, faults)
    if data is None:
        return None
    pairs = Growing("query_id", "doc_id")
    grades: list[int] = []
    lines: list[int] = []
    n = 0
    for number, record in read_records(data, file, limits, faults, "", options):
        n += 1
        by_name = {plain_name(column): column for column in record}
        names = [next((by_name[x] for x in wanted if x in by_name), None) for wanted in (JUDGED_QUERIES, JUDGED_DOCUMENTS, GRADES)]
        if names[:2].count(None) and len(record) >= 3 and "1" in record:  # no header: query, document, grade
            names = list(record)[:3]
        if names[0] is None or names[1] is None:
            shown = ", ".join(repr(column[:40]) for column in list(record)[:12])
            faults.fatal(f"{file}: needs the columns query-id, corpus-id and score. It has {shown}.")
            return None
        query_id, doc_id = text_of(record[names[0]]), text_of(record[names[1]])
        grade = grade_of(record.get(names[2])) if names[2] else 1
        if not query_id or not doc_id or grade is None:
            faults.mend(file, BROKEN, f"{file}:{number}: an empty id, or a score that is no whole number. Mend the row.")
            continue
        pairs.add(query_id, doc_id)
        grades.append(grade)
        lines.append(number)
    has_too_many_broken(file, max(n, faults.count(file, BROKEN)), limits, faults)
    table = pairs.table().combine_chunks()
    ids = [table[c].combine_chunks() for c in ("query_id", "doc_id")]
    return Rows(*ids, np.array(grades, dtype=np.int64), np.array(lines, dtype=np.int64))


def grade_of(value: Any) -> int | None:
    """A grade as a whole number that fits a judgement; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and -(2**15) <= number < 2**15 else None
