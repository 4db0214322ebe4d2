"""Data sets of ir_datasets by id, through that library: an optional extra."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from core.corpus.assemble import Words, assemble, check_table, to_judgements
from core.corpus.cells import text_of
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.growing import Growing
from core.corpus.limits import Limits
from core.corpus.qrels import Rows
from core.corpus.splits import split_name
from core.corpus.tables import SPLIT_WORDS, grade_of
from core.errors import CorpusError

ID_FIELDS = ("doc_id", "query_id")


def read_irds(dataset_id: str, limits: Limits) -> Corpus:
    """The data set ``dataset_id``, with the judgements of its train, dev and test parts where it has none itself.

    Raises CorpusError, in one sentence, when the library is missing, does not know the id or cannot get the files.
    """
    library = optional_library("ir_datasets", "irds")
    try:
        main = library.load(dataset_id)
    except (KeyError, ValueError):
        raise CorpusError(f"irds:{dataset_id}: ir_datasets knows no such data set. Its ids are listed at ir-datasets.com.") from None
    parts = _parts(library, dataset_id, main)
    if not main.has_docs() or not parts:
        raise CorpusError(f"irds:{dataset_id}: has no {'judgements' if main.has_docs() else 'documents'}. Name a part of it.")
    try:
        return _read(main, parts, dataset_id, limits)
    except (OSError, RuntimeError, EOFError) as error:  # requests' errors are OSErrors
        raise CorpusError(
            f"irds:{dataset_id}: its files cannot be had ({_first_line(error)}). Is this machine offline? "
            "Download the data set where there is a network."
        ) from None


def optional_library(module: str, extra: str) -> Any:
    """The library. Raises CorpusError that names the extra when it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise CorpusError(f"{module} is not installed. Run: pip install 'negspace[{extra}]'") from None


def _parts(library: Any, dataset_id: str, main: Any) -> dict[str, Any]:
    """Split -> data set with judgements."""
    if main.has_qrels() and main.has_queries():
        return {_split_of(dataset_id): main}
    parts = {}
    for name in sorted(str(key) for key in library.registry if str(key).startswith(dataset_id + "/")):
        last = name[len(dataset_id) + 1 :]
        if last in SPLIT_WORDS:
            part = library.load(name)
            if part.has_qrels() and part.has_queries():
                parts[split_name(last)] = part
    return parts


def _split_of(dataset_id: str) -> str:
    last = dataset_id.rsplit("/", 1)[-1]
    return split_name(last) if last in SPLIT_WORDS else "qrels"


def _read(main: Any, parts: dict[str, Any], dataset_id: str, limits: Limits) -> Corpus:
    faults = Faults()
    documents, queries = Growing("doc_id", "title", "text"), Growing("query_id", "text")
    for document in main.docs_iter():
        title, text = text_of(getattr(document, "title", "")), _text(document)
        documents.add(text_of(document.doc_id), title, text)
        if documents.n_rows > limits.documents:
            faults.fatal(f"{dataset_id}: more than {limits.documents:,} documents. Name a smaller data set.")
            break
    faults.check()
    seen: set[str] = set()
    judged: dict[str, Rows] = {}
    for split, part in parts.items():
        for query in part.queries_iter():
            query_id = text_of(query.query_id)
            if query_id not in seen:
                seen.add(query_id)
                queries.add(query_id, _text(query))
        pairs, grades = Growing("query_id", "doc_id"), []
        for judgement in part.qrels_iter():
            grade = grade_of(getattr(judgement, "relevance", 1))
            if grade is not None:
                pairs.add(text_of(judgement.query_id), text_of(judgement.doc_id))
                grades.append(grade)
        table = pairs.table().combine_chunks()
        numbers = np.arange(1, len(grades) + 1)
        judged[split] = Rows(*(table[c].combine_chunks() for c in ("query_id", "doc_id")), np.array(grades, np.int64), numbers)
    words = Words("the documents", "the queries", f"irds:{dataset_id}", lambda split: f"the {split} judgements")
    tables = []
    for growing, what, most in ((documents, "documents", limits.documents), (queries, "queries", limits.queries)):
        numbers = np.arange(1, growing.n_rows + 1)
        tables.append(check_table(growing.table(), numbers, f"{dataset_id} {what}", most, "Name another data set.", faults))
    faults.check()
    splits = {split: to_judgements(rows, f"{split} judgements", *tables, faults, words) for split, rows in judged.items()}
    names = {file: file for file in splits}
    return assemble(*tables, splits, names.__getitem__, dataset_id.replace("/", " "), faults, words=words)


def _text(record: Any) -> str:
    """The text of a document or query, whatever its type calls it; the title does not count twice."""
    if hasattr(record, "text"):
        return text_of(record.text)
    if hasattr(record, "default_text") and not hasattr(record, "title"):
        return text_of(record.default_text())
    names = [name for name in getattr(record, "_fields", ()) if name not in (*ID_FIELDS, "url")]
    if any(name in names for name in ID_FIELDS) or hasattr(record, "query_id"):
        names = names[:1]  # of a topic the first field is the title
    else:
        names = [name for name in names if name != "title"]
    return " ".join(text_of(getattr(record, name)) for name in names if isinstance(getattr(record, name), str))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
