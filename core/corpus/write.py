"""Writing a corpus as files in BEIR's layout, which most tools of the field read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.corpus.corpus import Corpus
from core.corpus.imported import IMPORTED
from core.corpus.judgements import Judgements
from core.corpus.sources import IMPRESSIONS
from core.errors import CorpusError

BLOCK_ROWS = 20_000


def write_beir(corpus: Corpus, folder: Path) -> Path:
    """The folder, now with the corpus in it: corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv, qrels/truth.tsv, imported.jsonl,
    impressions.tsv.

    Reading it again gives the same fingerprint. Raises CorpusError when the folder holds anything, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise CorpusError(f"{folder}: is not empty. Choose a new folder.")
        (folder / "qrels").mkdir()
        _write_lines(folder / "corpus.jsonl", _renamed(corpus.documents, "doc_id"))
        _write_lines(folder / "queries.jsonl", _renamed(corpus.queries.select(["query_id", "text"]), "query_id"))
        tables = corpus.splits | ({"truth": corpus.truth} if corpus.truth is not None else {})
        for name, table in tables.items():
            _write_qrels(folder / "qrels" / f"{name}.tsv", corpus, table)
        if corpus.imported is not None:
            _write_imported(folder / IMPORTED, corpus)
        if corpus.impressions is not None:
            _write_log(folder / IMPRESSIONS, corpus)
    except OSError as error:
        raise CorpusError(f"{folder}: cannot be written ({error.strerror}). Choose another folder.") from None
    return folder


def _renamed(table: pa.Table, id_column: str) -> pa.Table:
    return table.rename_columns(["_id" if name == id_column else name for name in table.column_names])


def _blocks(table: pa.Table) -> Iterator[list[dict]]:
    for start in range(0, table.num_rows, BLOCK_ROWS):
        yield table.slice(start, BLOCK_ROWS).to_pylist()


def _write_lines(path: Path, table: pa.Table) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for records in _blocks(table):
            file.write("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _write_qrels(path: Path, corpus: Corpus, judgements: Judgements) -> None:
    query_rows, doc_rows, grades = judgements.pairs()
    query_ids, doc_ids = corpus.query_ids(query_rows), corpus.doc_ids(doc_rows)
    _check_ids(query_ids, doc_ids)
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("query-id\tcorpus-id\tscore\n")
        file.writelines(f"{q}\t{d}\t{g}\n" for q, d, g in zip(query_ids, doc_ids, grades.tolist(), strict=True))


def _check_ids(query_ids: list[str], doc_ids: list[str]) -> None:
    spoilt = next((name for name in [*query_ids, *doc_ids] if any(c in name for c in "\t\r\n")), None)
    if spoilt is not None:
        raise CorpusError(f"{spoilt[:60]!r}: an id with a tab or a new line fits no table of judgements. Rename it.")


def _write_imported(path: Path, corpus: Corpus) -> None:
    imported = corpus.imported
    assert imported is not None
    query_ids, doc_ids = corpus.query_ids(imported.query_rows), corpus.doc_ids(imported.doc_rows)
    positive = imported.positive_scores[imported.query_rows]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps({"source": imported.source}) + "\n")
        for row in np.arange(len(imported)):
            record = {
                "query_id": query_ids[row],
                "doc_id": doc_ids[row],
                "score": _number(imported.scores[row]),
                "positive_score": _number(positive[row]),
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _write_log(path: Path, corpus: Corpus) -> None:
    log = corpus.impressions
    assert log is not None
    query_ids, doc_ids = corpus.query_ids(log.query_rows), corpus.doc_ids(log.doc_rows)
    _check_ids(query_ids, doc_ids)
    columns = log.positions.tolist(), log.is_clicked.astype(int).tolist(), log.sessions.tolist()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("query-id\tdoc-id\tposition\tclicked\tsession\n")
        for query_id, doc_id, position, clicked, session in zip(query_ids, doc_ids, *columns, strict=True):
            file.write(f"{query_id}\t{doc_id}\t{position or ''}\t{clicked}\t{session if session >= 0 else ''}\n")


def _number(value: np.float32) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
