"""Runs, labels, verdicts and whole corpora in the files that evaluation tools read. One entry of TABLES a format."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.imported import ImportedNegatives
from core.corpus.judgements import Judgements
from core.corpus.write import write_beir
from core.errors import CorpusError
from core.lab.export_format import Format
from core.lab.packing import pack_folder
from core.sampling.decisions import FALSE_NEGATIVE, FIELDS, TRUE_NEGATIVE, Decisions, decided_bytes

if TYPE_CHECKING:
    from core.lab.export import Export

BLOCK_LINES = 50_000
_SPACE = r"[\s\x1c-\x1f\x85\p{Z}]"


def write_run(export: Export, out: Path) -> dict[str, Any]:
    """The final model's first 100 documents of each held-out query."""
    run = export.results.run()
    query_rows, doc_rows, scores = (run[name].to_numpy() for name in ("query_row", "doc_row", "score"))
    return _write_run(export, out, query_rows, doc_rows, scores)


def write_mined_run(export: Export, out: Path) -> dict[str, Any]:
    """The mined negatives as a run, the highest score first, as its readers sort them."""
    mined = export.mined
    query_rows = np.repeat(mined.query_rows, np.diff(mined.starts))
    places = np.arange(len(query_rows)) - mined.starts[np.searchsorted(mined.query_rows, query_rows)]
    scores = mined.scores if mined.has_scores else -(places + 1).astype(np.float32)
    order = np.lexsort((mined.doc_rows, -scores, query_rows))
    return _write_run(export, out, query_rows[order], mined.doc_rows[order], scores[order]) | {"notes": list(mined.notes)}


def _write_run(export: Export, out: Path, query_rows, doc_rows, scores) -> dict[str, Any]:
    """``query Q0 document rank score tag``. Equal scores are parted by the least float32 step, for trec_eval sorts by score alone,
    ties by id, and would rank otherwise than we did."""
    starts = np.searchsorted(query_rows, query_rows)
    ranks = np.arange(len(query_rows)) - starts + 1
    scores = strictly_falling(np.asarray(scores, np.float32), ranks == 1)
    tag = safe_word(export.results.config.name) or "negspace"
    columns = (export.corpus.query_ids(query_rows), export.corpus.doc_ids(doc_rows), ranks.tolist(), scores)
    _lines(out, (f"{q} Q0 {d} {rank} {score} {tag}\n" for q, d, rank, score in zip(*columns, strict=True)))
    return {"rows": len(ranks), "queries": int((ranks == 1).sum())}


def strictly_falling(scores: np.ndarray, is_first: np.ndarray) -> np.ndarray:
    """float32 scores of ranked lists in which no score reaches the one before it; others stay as they are.

    ``is_first`` bool: where a new list begins.

    >>> strictly_falling(np.float32([2, 2, 1, 5]), np.array([True, False, False, True])).tolist()
    [2.0, 1.9999998807907104, 1.0, 5.0]
    """
    scores = scores.copy()
    for i in np.flatnonzero(~is_first[1:] & (scores[1:] >= scores[:-1])) + 1:
        while i < len(scores) and not is_first[i] and scores[i] >= scores[i - 1]:
            scores[i] = np.nextafter(scores[i - 1], np.float32(-np.inf))
            i += 1
    return scores


def write_qrels(export: Export, out: Path) -> dict[str, Any]:
    """The corpus's labels of all splits."""
    return _write_qrels(export.corpus, _all_labels(export.corpus), out)


def write_corrected_qrels(export: Export, out: Path) -> dict[str, Any]:
    """The labels with people's verdicts: false negatives are relevant, true negatives judged non-relevant."""
    decisions = export.need_decisions()
    labels = corrected(_all_labels(export.corpus), decisions)
    n_new = int(((labels.grades >= 1) & ~_all_labels(export.corpus).contains(*labels.pairs()[:2])).sum())
    return _write_qrels(export.corpus, labels, out) | {"promoted": n_new}


def corrected(labels: Judgements, decisions: Decisions) -> Judgements:
    """The labels, each pair judged a false negative of grade 1 unless it had a higher one, true negatives 0 where unlabelled."""
    kinds = np.array(decisions.kinds)
    is_told = np.isin(kinds, (FALSE_NEGATIVE, TRUE_NEGATIVE))
    told = Judgements.from_pairs(
        decisions.query_rows[is_told], decisions.doc_rows[is_told], (kinds[is_told] == FALSE_NEGATIVE).astype(np.int64), labels.n_queries
    )
    return labels.union(told)


def _all_labels(corpus: Corpus) -> Judgements:
    labels = Judgements.empty(corpus.n_queries)
    for table in corpus.splits.values():
        labels = labels.union(table)
    return labels


def _write_qrels(corpus: Corpus, labels: Judgements, out: Path) -> dict[str, Any]:
    query_rows, doc_rows, grades = labels.pairs()
    columns = (corpus.query_ids(query_rows), corpus.doc_ids(doc_rows), grades.tolist())
    _lines(out, (f"{q} 0 {d} {grade}\n" for q, d, grade in zip(*columns, strict=True)))
    return {"rows": labels.n_pairs, "queries": int((labels.n_per_query() > 0).sum())}


def check_trec_ids(export: Export) -> None:
    """Raise CorpusError where an id would fall apart: TREC's columns are parted by white space."""
    import pyarrow.compute as pc

    for table, name in ((export.corpus.queries, "query_id"), (export.corpus.documents, "doc_id")):
        is_spoilt = pc.or_(pc.match_substring_regex(table[name], _SPACE), pc.equal(table[name], ""))
        if pc.any(is_spoilt).as_py():
            example = table[name].filter(is_spoilt)[0].as_py()
            raise CorpusError(f"{example[:60]!r}: an id with white space fits no TREC file. Export as Tevatron, verdicts or BEIR instead.")


def write_verdicts(export: Export, out: Path) -> dict[str, Any]:
    """query_id, doc_id, verdict: the file that `negspace train --verdicts` and the Judge page read."""
    decided = export.need_decisions().decided
    if export.suffix == ".csv":
        with out.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(FIELDS)
            rows.writerows((*pair, kind) for pair, kind in sorted(decided.items()))
    else:
        out.write_bytes(decided_bytes(decided))
    return {"rows": len(decided)}


def write_corpus(export: Export, out: Path) -> dict[str, Any]:
    """The corpus in BEIR's layout, zipped."""
    return _write_corpus(export.corpus, out)


def write_corpus_with_set(export: Export, out: Path) -> dict[str, Any]:
    """The same, with the mined negatives in imported.jsonl and, where verdicts are promoted, the corrected training labels."""
    mined, corpus = export.mined, export.corpus
    query_rows = np.repeat(mined.query_rows, np.diff(mined.starts))
    best = np.full(corpus.n_queries, np.inf, np.float32)
    np.minimum.at(best, mined.positives.pairs()[0], mined.positive_scores)
    best[np.isinf(best)] = np.nan
    imported = ImportedNegatives.from_mentions(query_rows, mined.doc_rows, mined.scores, best, "Negative Space")
    splits = dict(corpus.splits)
    if export.choice.verdict_use == "promote" and "train" in splits:
        splits["train"] = splits["train"].union(mined.positives)
    whole = Corpus(
        corpus.name, corpus.documents, corpus.queries, splits, corpus.truth, corpus.notes, imported=imported,
        impressions=corpus.impressions,
    )  # fmt: skip
    return _write_corpus(whole, out) | {"negatives": len(imported), "notes": list(mined.notes)}


def _write_corpus(corpus: Corpus, out: Path) -> dict[str, Any]:
    with TemporaryDirectory(dir=out.parent, prefix=".corpus-") as place:
        folder = write_beir(corpus, Path(place) / "corpus")
        pack_folder(folder, out)
    return {"documents": corpus.n_documents, "queries": corpus.n_queries, "fingerprint": corpus.fingerprint}


def check_beir_ids(export: Export) -> None:
    """Raise CorpusError where an id fits no table of judgements."""
    import pyarrow.compute as pc

    for table, name in ((export.corpus.queries, "query_id"), (export.corpus.documents, "doc_id")):
        is_spoilt = pc.match_substring_regex(table[name], r"[\t\r\n]")
        if pc.any(is_spoilt).as_py():
            example = table[name].filter(is_spoilt)[0].as_py()
            raise CorpusError(f"{example[:60]!r}: an id with a tab or a new line fits no table of judgements. Rename it.")


def safe_word(name: str) -> str:
    """The name as one word of plain letters, for tags and file names; '' when nothing is left.

    >>> safe_word("../ANCE, seed 0"), safe_word("***")
    ('ANCE-seed-0', '')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:60]


def _lines(out: Path, lines: Iterable[str]) -> None:
    with out.open("w", encoding="utf-8", newline="\n") as file:
        block: list[str] = []
        for line in lines:
            block.append(line)
            if len(block) == BLOCK_LINES:
                file.write("".join(block))
                block.clear()
        file.write("".join(block))


TABLES: tuple[Format, ...] = (
    Format(
        "trec-run",
        "TREC run",
        "trec_eval, ir_measures, ranx: the final model's first 100 documents of each held-out query.",
        (".txt", ".trec", ".run"),
        write_run,
        check_trec_ids,
        needs_result=True,
    ),
    Format(
        "trec-negatives",
        "TREC run of the negatives",
        "The same tools, for the mined negatives of the training queries instead of the held-out ranking.",
        (".txt", ".trec", ".run"),
        write_mined_run,
        check_trec_ids,
        needs_mined=True,
    ),
    Format("qrels", "Qrels", "trec_eval and its kin: the labels of all splits.", (".txt", ".qrels"), write_qrels, check_trec_ids),
    Format(
        "qrels-corrected",
        "Corrected qrels",
        "The same, with the pairs that people judged false negatives as relevant and true negatives as judged, grade 0.",
        (".txt", ".qrels"),
        write_corrected_qrels,
        check_trec_ids,
        needs_verdicts=True,
    ),
    Format(
        "verdicts",
        "Verdicts",
        "negspace train --verdicts, the Judge page, a spreadsheet: query_id, doc_id, verdict.",
        (".jsonl", ".csv"),
        write_verdicts,
        needs_verdicts=True,
    ),
    Format(
        "beir",
        "Corpus (BEIR)",
        "BEIR, MTEB, this product: documents, queries and labels as a zip of JSON lines and tables.",
        (".zip",),
        write_corpus,
        check_beir_ids,
    ),
    Format(
        "beir-mined",
        "Corpus with the mined set",
        "This product: the corpus with the negatives in imported.jsonl, with their ids, scores and order.",
        (".zip",),
        write_corpus_with_set,
        check_beir_ids,
        needs_mined=True,
    ),
)
