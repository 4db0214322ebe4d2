"""Mined sets in the shapes that trainers read: sentence-transformers, FlagEmbedding, Tevatron. One entry of SETS a format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import TrialError
from core.lab.export_format import Format
from core.lab.mined_set import Group, MinedSet, training_positives

if TYPE_CHECKING:
    import pyarrow as pa

    from core.lab.export import Export

Row = dict[str, Any]
Queries, Documents = dict[int, str], dict[int, dict[str, str]]
#: (one query's group, query texts, documents, the whole set) -> its rows.
Rows = Callable[[Group, Queries, Documents, MinedSet], Iterator[Row]]
PARQUET_ROWS = 20_000


def triplets(group: Group, queries: Queries, documents: Documents, mined: MinedSet) -> Iterator[Row]:
    """A row for each positive and each negative. Columns in this order and no other: a trainer takes every column as an input."""
    for positive in group.positives.tolist():
        for negative in group.negatives.tolist():
            texts = (queries[group.query_row], documents[positive]["joined"], documents[negative]["joined"])
            yield dict(zip(("anchor", "positive", "negative"), texts, strict=True))


def n_tuples(group: Group, queries: Queries, documents: Documents, mined: MinedSet) -> Iterator[Row]:
    """A row for each positive with the first ``width`` negatives; a query with fewer gives none, as in mine_hard_negatives."""
    if len(group.negatives) < mined.width:
        return
    chosen = [documents[row]["joined"] for row in group.negatives[: mined.width].tolist()]
    for positive in group.positives.tolist():
        row = {"anchor": queries[group.query_row], "positive": documents[positive]["joined"]}
        yield row | {f"negative_{i}": text for i, text in enumerate(chosen, start=1)}


def labeled_lists(group: Group, queries: Queries, documents: Documents, mined: MinedSet) -> Iterator[Row]:
    """One row a query: its positives, then its negatives, and 1 or 0 for each."""
    rows = [*group.positives.tolist(), *group.negatives.tolist()]
    labels = [1] * len(group.positives) + [0] * len(group.negatives)
    yield {"anchor": queries[group.query_row], "positive": [documents[row]["joined"] for row in rows], "labels": labels}


def flag_embedding(group: Group, queries: Queries, documents: Documents, mined: MinedSet) -> Iterator[Row]:
    """One row a query; the scores only where every pair of the set has one, since the loader wants all or none."""
    lists = {"pos": group.positives, "neg": group.negatives}
    row: Row = {"query": queries[group.query_row]}
    row |= {name: [documents[i]["joined"] for i in rows.tolist()] for name, rows in lists.items()}
    if mined.has_scores:
        row |= {"pos_scores": plain_numbers(group.positive_scores), "neg_scores": plain_numbers(group.scores)}
    yield row


def tevatron(group: Group, queries: Queries, documents: Documents, mined: MinedSet) -> Iterator[Row]:
    """One row a query with passages by id. ``title`` is always there: the loader joins it wherever any passage has one."""
    row: Row = {"query_id": mined.corpus.query_ids([group.query_row])[0], "query": queries[group.query_row]}
    for name, rows in (("positive_passages", group.positives), ("negative_passages", group.negatives)):
        passages = (documents[i] for i in rows.tolist())
        row[name] = [{"docid": d["doc_id"], "title": d["title"], "text": d["text"]} for d in passages]
    yield row


def plain_numbers(scores: np.ndarray) -> list[float]:
    """The shortest decimals that give the same float32 again."""
    return [float(str(score)) for score in scores]


def _texts(mined: MinedSet | None, names: tuple[str, ...]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, pa.string()) for name in names])


def _tuple_schema(mined: MinedSet) -> pa.Schema:
    return _texts(mined, ("anchor", "positive", *(f"negative_{i}" for i in range(1, mined.width + 1))))


def _list_schema(mined: MinedSet) -> pa.Schema:
    import pyarrow as pa

    columns = {"anchor": pa.string(), "positive": pa.list_(pa.string()), "labels": pa.list_(pa.int64())}
    return pa.schema(list(columns.items()))


def _writer(rows_of: Rows, schema_of: Callable[[MinedSet], pa.Schema] | None = None):
    def write(export: Export, out: Path) -> dict[str, Any]:
        mined = export.mined
        sink = _Parquet(out, schema_of(mined)) if export.suffix == ".parquet" and schema_of else _Lines(out)
        n_rows = n_queries = 0
        with sink:
            for groups, queries, documents, share in mined.blocks():
                rows = [list(rows_of(group, queries, documents, mined)) for group in groups]
                n_queries += sum(bool(own) for own in rows)
                n_rows += sum(map(len, rows))
                sink.write([row for own in rows for row in own])
                export.tell(share)
        if not n_rows:
            raise TrialError(f"No query has {mined.width} negatives. Ask for fewer of each query, or for all that were kept.")
        short = len(mined) - n_queries
        notes = [f"{short:,} queries have fewer than {mined.width} negatives and are left out."] if short else []
        return {"rows": n_rows, "queries": n_queries, "negatives": mined.n_negatives, "notes": [*mined.notes, *notes]}

    return write


def write_pairs(export: Export, out: Path) -> dict[str, Any]:
    """anchor and positive of every training pair as Parquet: the data of a trial that mined nothing."""
    corpus = export.corpus
    query_rows, doc_rows, _ = training_positives(export.results, corpus).pairs()
    if not len(query_rows):
        raise TrialError("This corpus has no training pair, so there is nothing to train on.")
    with _Parquet(out, _texts(None, ("anchor", "positive"))) as sink:
        for first in range(0, len(query_rows), PARQUET_ROWS):
            part = slice(first, first + PARQUET_ROWS)
            texts = zip(corpus.query_texts(query_rows[part]), corpus.document_texts(doc_rows[part]), strict=True)
            sink.write([{"anchor": query, "positive": document} for query, document in texts])
            export.tell(min(1.0, (first + PARQUET_ROWS) / len(query_rows)))
    return {"rows": len(query_rows), "queries": len(np.unique(query_rows)), "notes": []}


class _Lines:
    """JSON lines in UTF-8; texts as they are, new lines escaped by JSON."""

    def __init__(self, out: Path):
        self.file = out.open("w", encoding="utf-8", newline="\n")

    def write(self, rows: list[Row]) -> None:
        self.file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class _Parquet:
    """Row groups of at least PARQUET_ROWS rows."""

    def __init__(self, out: Path, schema: pa.Schema):
        import pyarrow.parquet as parquet

        self.schema, self.rows = schema, []
        self.file = parquet.ParquetWriter(out, schema, compression="zstd")

    def write(self, rows: list[Row]) -> None:
        self.rows += rows
        if len(self.rows) >= PARQUET_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self.file.write_table(pa.Table.from_pylist(self.rows, self.schema))
        self.rows = []

    def __enter__(self) -> _Parquet:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self.rows:
            self._flush()
        self.file.close()


_BOTH = (".parquet", ".jsonl")
SETS: tuple[Format, ...] = (
    Format(
        "triplet",
        "Triplets",
        "sentence-transformers: anchor, positive, negative, one row for each pair of positive and negative.",
        _BOTH,
        _writer(triplets, lambda mined: _texts(mined, ("anchor", "positive", "negative"))),
        needs_mined=True,
    ),
    Format(
        "n-tuple",
        "N-tuples",
        "sentence-transformers: anchor, positive, negative_1 ... negative_n; what MultipleNegativesRankingLoss takes.",
        _BOTH,
        _writer(n_tuples, _tuple_schema),
        needs_mined=True,
    ),
    Format(
        "labeled-list",
        "Labelled lists",
        "sentence-transformers' cross-encoders: anchor, a list of texts, a list of 1 and 0.",
        _BOTH,
        _writer(labeled_lists, _list_schema),
        needs_mined=True,
    ),
    Format(
        "flagembedding",
        "FlagEmbedding",
        "FlagEmbedding (BGE): query, pos, neg, and both lists' scores by this trial's model, for distillation.",
        (".jsonl",),
        _writer(flag_embedding),
        needs_mined=True,
    ),
    Format(
        "tevatron",
        "Tevatron",
        "Tevatron: query_id, query, positive_passages, negative_passages with docid, title and text. Keeps the ids.",
        (".jsonl",),
        _writer(tevatron),
        needs_mined=True,
    ),
)
