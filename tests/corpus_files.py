"""Small corpora as uploaded files, to be spoilt by the tests of the reader."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from core.corpus.corpus import Corpus
from core.corpus.load import load_uploads
from core.errors import CorpusError

N_DOCUMENTS, N_QUERIES = 20, 12


def lines(*records) -> bytes:
    """The records as JSON lines."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records).encode()


def document(i: int, **more) -> dict:
    return {"_id": f"d{i}", "title": f"Title {i}", "text": f"text of document {i}", **more}


def query(i: int, **more) -> dict:
    return {"_id": f"q{i}", "text": f"question {i}", **more}


def tsv(*rows, header: bool = True) -> bytes:
    """The rows as a table of judgements."""
    head = "query-id\tcorpus-id\tscore\n" if header else ""
    return (head + "".join("\t".join(map(str, row)) + "\n" for row in rows)).encode()


def flawless() -> dict[str, bytes]:
    """Twenty documents; queries 0 to 7 are judged in train, 8 to 11 in test, query i with document i."""
    return {
        "corpus.jsonl": lines(*(document(i) for i in range(N_DOCUMENTS))),
        "queries.jsonl": lines(*(query(i) for i in range(N_QUERIES))),
        "qrels/train.tsv": tsv(*((f"q{i}", f"d{i}", 1) for i in range(8))),
        "qrels/test.tsv": tsv(*((f"q{i}", f"d{i}", 1) for i in range(8, N_QUERIES))),
    }


def with_files(**changes: bytes | None) -> dict[str, bytes]:
    """The flawless files with some replaced, or taken out by None; named by their stem."""
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl"}
    files = flawless()
    for stem, data in changes.items():
        name = names.get(stem, f"qrels/{stem}.tsv")
        if data is None:
            del files[name]
        else:
            files[name] = data
    return files


def load(files: dict[str, bytes], **options) -> Corpus:
    return load_uploads(files, "mine", **options)


def faults_of(files: dict[str, bytes], **options) -> list[str]:
    with pytest.raises(CorpusError) as caught:
        load(files, **options)
    return caught.value.faults


def one_document() -> dict[str, bytes]:
    """One document, relevant to one query of each split."""
    rows = {"qrels/train.tsv": tsv(("q0", "d0", 1)), "qrels/test.tsv": tsv(("q1", "d0", 1))}
    return {"corpus.jsonl": lines(document(0)), "queries.jsonl": lines(query(0), query(1)), **rows}


def write(files: dict[str, bytes], folder: Path) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(files: dict[str, bytes], prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(prefix + name, data)
    return buffer.getvalue()


def same_content(a: Corpus, b: Corpus) -> bool:
    return (
        a.documents.equals(b.documents)
        and a.queries.equals(b.queries)
        and (a.splits, a.truth, a.fingerprint) == (b.splits, b.truth, b.fingerprint)
    )


def documents_but(row: int, line: bytes) -> bytes:
    """Twenty documents, of which one line is replaced."""
    all_lines = flawless()["corpus.jsonl"].splitlines(keepends=True)
    all_lines[row] = line + b"\n"
    return b"".join(all_lines)
