"""A small cut of ``sample:lab`` as files: a few hundred training queries, whole articles around their documents, the log, the truth."""

from __future__ import annotations

import json
from pathlib import Path

LAB = Path(__file__).parents[1] / "sample_data" / "lab"


def write_lab_cut(
    folder: Path, *, n_train: int = 240, n_test: int = 60, n_unlabelled: int = 30, n_documents: int = 1200
) -> Path:
    """``folder``, now a corpus in BEIR's layout with ``impressions.tsv``.

    ``n_unlabelled``: training queries that keep their text and their log and lose their labels. Documents: the relevant ones of the
    queries, then the other passages of their articles, then others in the order of the file, to ``n_documents`` and a few.
    """
    documents = [json.loads(line) for line in (LAB / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
    train, test, truth = (_judged(LAB / "qrels" / f"{name}.tsv") for name in ("train", "test", "truth"))
    of_train = list(dict.fromkeys(query for query, _, _ in train))
    labelled, unlabelled = of_train[:n_train], of_train[n_train : n_train + n_unlabelled]
    tested = list(dict.fromkeys(query for query, _, _ in test))[:n_test]
    queries = {*labelled, *unlabelled, *tested}

    kept = {doc for query, doc, _ in (*train, *test, *truth) if query in queries}
    articles = {d["source"] for d in documents if d["_id"] in kept}
    for wanted in (lambda d: d["source"] in articles, lambda d: True):
        kept |= set([d["_id"] for d in documents if d["_id"] not in kept and wanted(d)][: max(0, n_documents - len(kept))])

    (folder / "qrels").mkdir(parents=True)
    _write_lines(folder / "corpus.jsonl", (json.dumps(d) for d in documents if d["_id"] in kept))
    texts = (LAB / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    _write_lines(folder / "queries.jsonl", (line for line in texts if json.loads(line)["_id"] in queries))
    for name, pairs, own in (("train", train, labelled), ("test", test, tested), ("truth", truth, queries)):
        lines = ("\t".join(pair) for pair in pairs if pair[0] in set(own) and pair[1] in kept)
        _write_lines(folder / "qrels" / f"{name}.tsv", ["query-id\tcorpus-id\tscore", *lines])
    head, *log = (LAB / "impressions.tsv").read_text(encoding="utf-8").splitlines()
    shown = (line for line in log if line.split("\t")[0] in queries and line.split("\t")[1] in kept)
    _write_lines(folder / "impressions.tsv", [head, *shown])
    return folder


def _judged(path: Path) -> list[tuple[str, ...]]:
    return [tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").splitlines()[1:]]


def _write_lines(path: Path, lines) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
