"""Prints the figures of README.md for sample_data/lab: BM25 and the untrained static encoder against labels and truth."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import wordllama
from rank_bm25 import BM25Okapi
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAB = Path(__file__).parent / "lab"


def read_lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (LAB / name).read_text(encoding="utf-8").splitlines()]


def read_qrels(name: str) -> dict[str, dict[str, int]]:
    table: dict[str, dict[str, int]] = defaultdict(dict)
    for line in (LAB / "qrels" / name).read_text(encoding="utf-8").splitlines()[1:]:
        query_id, doc_id, score = line.split("\t")
        table[query_id][doc_id] = int(score)
    return table


def words(text: str) -> list[str]:
    import re

    return re.findall(r"\w+", text.lower())


def static_vectors(texts: list[str]) -> np.ndarray:
    """Mean token vectors of the wordllama wheel, unit length: float32 (N, 256)."""
    folder = Path(wordllama.__file__).parent
    (table,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    vectors = np.stack([table[e.ids].astype(np.float32).mean(0) for e in tokenizer.encode_batch(texts, add_special_tokens=False)])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    corpus, queries = read_lines("corpus.jsonl"), read_lines("queries.jsonl")
    texts, doc_ids = [f"{d['title']} {d['text']}".strip() for d in corpus], [d["_id"] for d in corpus]
    truth, splits = read_qrels("truth.tsv"), {name: read_qrels(f"{name}.tsv") for name in ("train", "test")}
    bm25, vectors = BM25Okapi([words(text) for text in texts]), static_vectors(texts)
    by_text = {q["_id"]: q["text"] for q in queries}
    query_vectors = dict(zip(by_text, static_vectors(list(by_text.values())), strict=True))
    print(f"{len(corpus)} documents, {len(queries)} queries, words a document {np.percentile([len(t.split()) for t in texts], [0, 50, 100])}")
    for split, qrels in splits.items():
        for name, score in (("BM25", lambda q: bm25.get_scores(words(by_text[q]))), ("static", lambda q: vectors @ query_vectors[q])):
            reciprocal, in_truth, false_negatives, unlabelled = [], [], 0, 0
            for query_id, labels in qrels.items():
                ranked = [doc_ids[row] for row in np.argsort(-score(query_id), kind="stable")[:10]]
                reciprocal.append(next((1 / r for r, d in enumerate(ranked, 1) if d in labels), 0))
                in_truth.append(next((1 / r for r, d in enumerate(ranked, 1) if d in truth[query_id]), 0))
                rest = [d for d in ranked if d not in labels]
                unlabelled, false_negatives = unlabelled + len(rest), false_negatives + sum(d in truth[query_id] for d in rest)
            print(f"{split:5} {name:6} RR@10 {np.mean(reciprocal):.3f}, against truth {np.mean(in_truth):.3f}, true positives among its unlabelled top 10 {false_negatives / unlabelled:.3f}")
        more = [len(truth[q].keys() - labels.keys()) for q, labels in qrels.items()]
        print(f"{split:5} {len(qrels)} queries, {np.mean([len(v) for v in qrels.values()]):.2f} labels a query, with an unlabelled positive {np.mean(np.array(more) > 0):.3f}, unlabelled a query {np.mean(more):.2f}")
    print(dict(Counter(line.split("\t")[0] for line in (LAB / "planted.tsv").read_text().splitlines()[1:])))


if __name__ == "__main__":
    main()
