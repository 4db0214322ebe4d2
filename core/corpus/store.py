"""Corpora on disk: Arrow files that are memory-mapped, written so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
import shutil
import time
import uuid
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.corpus.corpus import Corpus
from core.corpus.imported import ImportedNegatives
from core.corpus.impressions import Impressions
from core.corpus.judgements import Judgements
from core.errors import CorpusError

FORMAT = 1
FACTS = "corpus.json"
STALE_SECONDS = 3600.0


def is_saved(folder: Path) -> bool:
    """Whether this folder was written by :func:`save`."""
    return (folder / FACTS).is_file() and (folder / "documents.arrow").is_file()


def save(corpus: Corpus, folder: Path) -> None:
    """Write the corpus into ``folder``, whole or not at all; an older saved corpus there is replaced.

    Raises CorpusError when the folder holds anything else.
    """
    if folder.exists() and not is_saved(folder) and any(folder.iterdir()):
        raise CorpusError(f"{folder}: holds other files than a saved corpus. Choose an empty folder.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = _write(corpus, folder.parent)
    if folder.exists():
        discard(folder)
    os.rename(fresh, folder)


def discard(folder: Path) -> None:
    """Remove a saved corpus; who has it open keeps it, and nobody opens half of it."""
    old = folder.parent / f".old-{uuid.uuid4().hex}"
    try:
        os.rename(folder, old)
    except FileNotFoundError:  # another process was quicker
        return
    shutil.rmtree(old)


def save_once(corpus: Corpus, folder: Path) -> None:
    """Write the corpus into a cache folder, unless another process has just done so."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    fresh = _write(corpus, folder.parent)
    try:
        os.rename(fresh, folder)
    except OSError:
        shutil.rmtree(fresh)
        if not is_saved(folder):
            raise


def open_saved(folder: Path) -> Corpus:
    """The saved corpus, its texts mapped from the files. Raises CorpusError when there is none of this format."""
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise CorpusError(
                f"{folder}: was saved in format {facts['format']}, not {FORMAT}. Load it from its source."
            )
        documents, queries = (_map(folder / f"{name}.arrow") for name in ("documents", "queries"))
        pairs = _map(folder / "qrels.arrow")
        table_of = pairs["table"].to_numpy()
        arrays = [pairs[name].to_numpy() for name in ("query_row", "doc_row", "grade")]
        tables = [
            Judgements.from_pairs(*(array[table_of == i] for array in arrays), queries.num_rows)
            for i in range(len(facts["splits"]) + facts["has_truth"])
        ]
        truth = tables.pop() if facts["has_truth"] else None
        splits = dict(zip(facts["splits"], tables, strict=True))
        imported = None
        if facts.get("imported"):
            imported = ImportedNegatives.from_table(_map(folder / "imported.arrow"), queries.num_rows, facts["imported"])
        return Corpus(
            facts["name"], documents, queries, splits, truth, facts["notes"], facts["fingerprint"], facts.get("facts"), imported,
            partial(_read_impressions, folder, queries.num_rows, documents.num_rows) if facts.get("impressions") else None,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise CorpusError(f"{folder}: is not a whole saved corpus ({error}). Load it from its source.") from None


def _read_impressions(folder: Path, n_queries: int, n_documents: int) -> Impressions:
    try:
        return Impressions.from_table(_map(folder / "impressions.arrow"), n_queries, n_documents)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise CorpusError(f"{folder}: its impressions are not whole ({error}). Load the corpus from its source.") from None


def _write(corpus: Corpus, parent: Path) -> Path:
    """A new folder beside the final one with the corpus in it."""
    fresh = parent / f".new-{uuid.uuid4().hex}"
    fresh.mkdir()
    _write_table(fresh / "documents.arrow", corpus.documents)
    _write_table(fresh / "queries.arrow", corpus.queries)
    names = list(corpus.splits)
    tables = [corpus.splits[name] for name in names] + ([corpus.truth] if corpus.truth is not None else [])
    columns = [np.concatenate(parts) for parts in zip(*(table.pairs() for table in tables), strict=True)]
    which = np.repeat(np.arange(len(tables), dtype=np.int16), [table.n_pairs for table in tables])
    qrels = pa.table(dict(zip(("table", "query_row", "doc_row", "grade"), (which, *columns), strict=True)))
    _write_table(fresh / "qrels.arrow", qrels)
    if corpus.imported is not None:
        _write_table(fresh / "imported.arrow", corpus.imported.table())
    if corpus.impressions is not None:
        _write_table(fresh / "impressions.arrow", corpus.impressions.table())
    facts = {
        "format": FORMAT,
        "name": corpus.name,
        "fingerprint": corpus.fingerprint,
        "notes": list(corpus.notes),
        "facts": corpus.facts,
        "splits": names,
        "has_truth": corpus.truth is not None,
        "imported": corpus.imported.source if corpus.imported is not None else "",
        "impressions": corpus.impressions is not None,
    }
    (fresh / FACTS).write_text(json.dumps(facts, ensure_ascii=False, indent=1), encoding="utf-8")
    return fresh


def _write_table(path: Path, table: pa.Table) -> None:
    table = table.combine_chunks()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _map(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _sweep(parent: Path) -> None:
    """Remove what writers that were killed have left behind."""
    for left in [*parent.glob(".new-*"), *parent.glob(".old-*")]:
        try:
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left)
        except FileNotFoundError:  # another process was quicker
            continue
