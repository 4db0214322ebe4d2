"""TREC's files: documents as TRECTEXT or JSON lines, topics in their three forms, judgements of four columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from core.corpus import trec_text
from core.corpus.assemble import Words, assemble, check_table, to_judgements
from core.corpus.cells import HEAD, KINDS, kind_of, plain_bytes, read_records, text_of
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.growing import Growing
from core.corpus.limits import Limits
from core.corpus.lines import BROKEN, decoded, has_too_many_broken, numbered_lines
from core.corpus.qrels import Rows
from core.corpus.roles import plain_name
from core.corpus.sources import Member
from core.corpus.tables import DOCUMENT_IDS, QUERY_IDS, QUERY_TEXTS, TEXTS, grade_of, split_in, stem_words

ENDINGS = (*KINDS, ".txt", ".trec", ".trectext", ".sgml", ".sgm", ".xml", ".qrels", ".qrel", ".topics", ".dat", ".gz", "")
DOCUMENTS, TOPICS, QRELS = "documents", "topics", "qrels"
NEEDS = "A TREC folder holds documents (TRECTEXT or JSON lines), topics and qrels of four columns."
REMEDY = "Each line needs topic, iteration, document and grade, with spaces or tabs between."


def role_of(file: str, head: bytes) -> str:
    """documents, topics, qrels or '' for a file, by its first bytes, then by its name."""
    words = set(stem_words(file))
    is_topics = any(word.startswith(("topic", "quer", "question")) for word in words)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:HEAD]
    lowered = start.lower()
    if lowered.startswith(b"<doc>"):
        return DOCUMENTS
    if lowered.startswith(b"<top>") or b"<topic " in lowered or b"<topics" in lowered or b"<top>" in lowered[:2000]:
        return TOPICS
    if lowered.startswith(b"{"):
        return TOPICS if is_topics else DOCUMENTS
    lines = [line.decode("utf-8", "replace") for line in start.splitlines()[:20] if line.strip()]
    if len(lines) > 1 and not start.endswith(b"\n") and len(start) == HEAD:
        lines.pop()  # cut off
    if lines and all(_is_judgement(line.split()) for line in lines):
        return QRELS
    if lines and all(line.count("\t") >= 1 for line in lines) and kind_of(file, head) == "tsv":
        is_documents = any(word.startswith(("doc", "corpus", "collection", "passage")) for word in words)
        return DOCUMENTS if is_documents else TOPICS if is_topics or all(line.count("\t") == 1 for line in lines) else ""
    return ""


def _is_judgement(cells: list[str]) -> bool:
    return len(cells) == 4 and grade_of(cells[3]) is not None


def read_trec(members: Mapping[str, Member], name: str, limits: Limits, faults: Faults, options: Mapping[str, str]) -> Corpus:
    """The corpus in these files. Raises CorpusError with all faults when it cannot be used.

    ``options``: ``query`` = the field of a topic that is the query (title, desc, ...; default: title, else description).
    """
    documents, topics = Growing("doc_id", "title", "text"), Growing("query_id", "text")
    lines: dict[str, list[int]] = {DOCUMENTS: [], TOPICS: []}
    judged: dict[str, Rows] = {}
    files: dict[str, list[str]] = {DOCUMENTS: [], TOPICS: [], QRELS: []}
    for file in members:
        data = plain_bytes(members[file], file, limits, faults)
        role = role_of(file, data[: HEAD * 2]) if data else ""
        if not data or not role:
            if data:
                faults.remark(f"{file}: is neither documents, topics nor judgements, and is left out.")
            continue
        files[role].append(file)
        if role == QRELS:
            judged[file] = _qrels(data, file, limits, faults)
            continue
        growing, n = (documents, 0) if role == DOCUMENTS else (topics, 0)
        reader = _documents if role == DOCUMENTS else _topics
        most = limits.documents if role == DOCUMENTS else limits.queries
        for number, row in reader(data, file, limits, faults, options):
            n += 1
            growing.add(*row)
            lines[role].append(number)
            if growing.n_rows > most:
                faults.fatal(f"{file}: more than {most:,} {role}. Take a sample.")
                break
        has_too_many_broken(file, n + faults.count(file, BROKEN), limits, faults)
    for role, found in files.items():
        if not found and not faults.is_fatal:
            faults.fatal(f"{name}: holds no {role}. {NEEDS}")
    faults.check()
    words = Words(files[DOCUMENTS][0], files[TOPICS][0], ", ".join(files[QRELS][:3]), lambda split: _called(split, files[QRELS]))
    remedy = "Each document needs a DOCNO and a text, each topic a number and a title."
    tables: list[pa.Table] = []
    for growing, role, most in ((documents, DOCUMENTS, limits.documents), (topics, TOPICS, limits.queries)):
        tables.append(check_table(growing.table(), np.array(lines[role]), files[role][0], most, remedy, faults))
    faults.check()
    splits = {file: to_judgements(rows, file, *tables, faults, words) for file, rows in judged.items()}
    return assemble(*tables, splits, lambda file: split_in(file, "qrels"), name, faults, words=words)


def _called(split: str, files: list[str]) -> str:
    return next((file for file in files if split_in(file, "qrels") == split), f"the {split} split")


def _documents(data: bytes, file: str, limits: Limits, faults: Faults, options) -> Iterator[tuple[int, tuple[str, str, str]]]:
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        yield from trec_text.documents(data, file, limits, faults)
        return
    for number, names, record in _named(data, file, limits, faults):
        doc_id = next((text_of(record[names[x]]) for x in DOCUMENT_IDS if x in names), "")
        text = next((text_of(record[names[x]]) for x in TEXTS if x in names), None)
        if not doc_id or text is None:
            faults.mend(file, BROKEN, f"{file}:{number}: missing id or text. Each document needs docno and text.")
        else:
            yield number, (doc_id, text_of(record[names["title"]]) if "title" in names else "", text)


def _topics(data: bytes, file: str, limits: Limits, faults: Faults, options) -> Iterator[tuple[int, tuple[str, str]]]:
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        yield from trec_text.topics(data, file, faults, options.get("query", ""))
        return
    for number, names, record in _named(data, file, limits, faults):
        query_id = next((text_of(record[names[x]]) for x in QUERY_IDS if x in names), "")
        text = next((text_of(record[names[x]]) for x in (options.get("query", ""), *QUERY_TEXTS) if x in names), "")
        if not query_id or not text.strip():
            faults.mend(file, BROKEN, f"{file}:{number}: missing id or text. Each topic needs both.")
        else:
            yield number, (query_id, text)


def _named(data: bytes, file: str, limits: Limits, faults: Faults) -> Iterator[tuple[int, dict[str, str], dict]]:
    """JSON lines, or two or three tab-separated cells a line: id, (title,) text."""
    kind = kind_of(file, data)
    if kind in ("jsonl", "json"):
        for number, record in read_records(data, file, limits, faults, kind):
            yield number, {plain_name(name): name for name in record}, record
        return
    for number, offset, line in numbered_lines(data):
        try:
            cells = decoded(line, offset, limits).rstrip("\r\n").split("\t")
        except ValueError as problem:
            faults.mend(file, BROKEN, f"{file}:{number}: {problem}")
            continue
        names = ("id", "text") if len(cells) == 2 else ("id", "title", "text") if len(cells) == 3 else ()
        yield number, {name: name for name in names}, dict(zip(names, cells, strict=False))


def _qrels(data: bytes, file: str, limits: Limits, faults: Faults) -> Rows:
    pairs = Growing("query_id", "doc_id")
    grades: list[int] = []
    lines: list[int] = []
    n = 0
    for number, offset, line in numbered_lines(data):
        n += 1
        try:
            cells = decoded(line, offset, limits).replace("\0", " ").split()
            grade = grade_of(cells[3]) if len(cells) == 4 else None
            if grade is None:
                raise ValueError(f"no judgement. {REMEDY}")
        except ValueError as problem:
            faults.mend(file, BROKEN, f"{file}:{number}: {problem}")
            continue
        pairs.add(cells[0], cells[2])
        grades.append(grade)
        lines.append(number)
        if n > limits.judgements:
            faults.fatal(f"{file}: more than {limits.judgements:,} rows. Cut the file.")
            break
    has_too_many_broken(file, n, limits, faults)
    table = pairs.table().combine_chunks()
    ids = [table[c].combine_chunks() for c in ("query_id", "doc_id")]
    return Rows(*ids, np.array(grades, dtype=np.int64), np.array(lines, dtype=np.int64))
