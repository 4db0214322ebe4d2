"""A corpus written out in the formats that people have, by code of the tests' own."""

from __future__ import annotations

import csv
import html
import json
from pathlib import Path

import numpy as np

from core.corpus.corpus import Corpus


def positive_pairs(corpus: Corpus) -> list[dict[str, str]]:
    """One row a labelled positive of grade >= 1, with its split, in the order of queries."""
    rows = []
    for split, table in corpus.splits.items():
        queries, documents, grades = table.pairs()
        keep = grades >= 1
        texts = corpus.documents.take(documents[keep]).to_pylist()
        columns = (corpus.query_ids(queries[keep]), corpus.query_texts(queries[keep]), texts, grades[keep].tolist())
        for query_id, question, d, grade in zip(*columns, strict=True):
            row = {"query_id": query_id, "question": question, "doc_id": d["doc_id"], "title": d["title"], "answer": d["text"]}
            rows.append(row | {"grade": grade, "split": split})
    return rows


def write_csv(rows: list[dict], path: Path, delimiter: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(rows: list[dict], path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_parquet(rows: list[dict], path: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_tables(corpus: Corpus, folder: Path) -> Path:
    """corpus.parquet, queries.parquet and qrels/SPLIT.parquet, as hub data sets have them."""
    (folder / "qrels").mkdir(parents=True)
    for name, table in (("corpus", corpus.documents), ("queries", corpus.queries)):
        rows = [{"_id" if key.endswith("_id") else key: value for key, value in row.items()} for row in table.to_pylist()]
        write_parquet(rows, folder / f"{name}.parquet")
    for split, table in (corpus.splits | ({"truth": corpus.truth} if corpus.truth else {})).items():
        q, d, grades = table.pairs()
        ids = zip(corpus.query_ids(q), corpus.doc_ids(d), grades.tolist(), strict=True)
        rows = [{"query-id": a, "corpus-id": b, "score": grade} for a, b, grade in ids]
        write_parquet(rows, folder / "qrels" / f"{split}.parquet")
    return folder


def write_trec(corpus: Corpus, folder: Path, topics: str = "classic", documents: str = "trectext") -> Path:
    """Documents, topics and qrels.SPLIT.txt as TREC has them; ids must hold no white space."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = corpus.documents.select(["doc_id", "title", "text"]).to_pylist()
    if documents == "trectext":
        marked = "<DOC>\n<DOCNO> {} </DOCNO>\n<TITLE>{}</TITLE>\n<TEXT>\n{}\n</TEXT>\n</DOC>\n"
        text = "".join(marked.format(*(html.escape(row[key], quote=False) for key in ("doc_id", "title", "text"))) for row in rows)
        (folder / "docs.trectext").write_text(text, encoding="utf-8")
    else:
        write_jsonl([{"docno": row["doc_id"], "title": row["title"], "contents": row["text"]} for row in rows], folder / "docs.jsonl")
    queries = zip(corpus.query_ids(), corpus.query_texts(), strict=True)
    forms = {
        "classic": "<top>\n<num> Number: {}\n<title> {}\n<desc> Description:\nsay more\n<narr> Narrative:\nnone\n</top>\n\n",
        "xml": '<topic number="{}">\n<query>{}</query>\n<narrative>none</narrative>\n</topic>\n',
        "tsv": "{}\t{}\n",
    }
    marked = [
        forms[topics].format(query_id, html.escape(" ".join(text.split()), quote=False) if topics != "tsv" else " ".join(text.split()))
        for query_id, text in queries
    ]
    wrapped = f'<?xml version="1.0"?>\n<topics>\n{"".join(marked)}</topics>\n' if topics == "xml" else "".join(marked)
    (folder / f"topics.{'tsv' if topics == 'tsv' else 'xml' if topics == 'xml' else 'txt'}").write_text(wrapped, encoding="utf-8")
    for split, table in (corpus.splits | ({"truth": corpus.truth} if corpus.truth else {})).items():
        q, d, grades = table.pairs()
        lines = [f"{a} 0 {b} {g}\n" for a, b, g in zip(corpus.query_ids(q), corpus.doc_ids(d), grades.tolist(), strict=True)]
        (folder / f"qrels.{split}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def judged_texts(corpus: Corpus, split: str, squeeze: bool = False) -> set[tuple[str, str, int]]:
    """{(query text, document text, grade)} of one split, of grade >= 1: what a corpus says whatever its ids are."""
    q, d, grades = corpus.splits[split].pairs()
    keep = grades >= 1
    found = zip(corpus.query_texts(q[keep]), corpus.document_texts(d[keep]), grades[keep].tolist(), strict=True)
    return {(" ".join(a.split()), " ".join(b.split()), g) if squeeze else (a, b, g) for a, b, g in found}


def split_sizes(corpus: Corpus) -> dict[str, int]:
    return {name: int(np.sum(table.grades >= 1)) for name, table in corpus.splits.items()}
