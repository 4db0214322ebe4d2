"""Prints the figures of README.md: how far BM25 and the untrained static encoder come on sample_data/lab."""

from __future__ import annotations

import json
import re
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
    return re.findall(r"\w+", text.lower())


def static_vectors(texts: list[str]) -> np.ndarray:
    """Mean token vectors of the wordllama wheel, unit length: float32 (N, 256)."""
    folder = Path(wordllama.__file__).parent
    (table,) = load_file(folder / "weights" / "l2_supercat_256.safetensors").values()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizers" / "l2_supercat_tokenizer_config.json"))
    tokenizer.no_padding()
    vectors = np.stack(
        [table[e.ids].astype(np.float32).mean(0) for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    )
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure(score, doc_ids: list[str], qrels: dict, truth: dict) -> tuple[float, float, float]:
    """RR@10 against the labels, RR@10 against truth, share of truth among the unlabelled documents of the top 10."""
    by_labels, by_truth, unlabelled = [], [], []
    for query_id, labels in qrels.items():
        ranked = [doc_ids[row] for row in np.argsort(-score(query_id), kind="stable")[:10]]
        by_labels.append(next((1 / rank for rank, d in enumerate(ranked, 1) if d in labels), 0))
        by_truth.append(next((1 / rank for rank, d in enumerate(ranked, 1) if d in truth[query_id]), 0))
        unlabelled += [d in truth[query_id] for d in ranked if d not in labels]
    return float(np.mean(by_labels)), float(np.mean(by_truth)), float(np.mean(unlabelled))


def measure_log(truth: dict) -> None:
    """Prints what the impression log holds: sessions, clicks, and both by position and by grade."""
    rows = [line.split("\t") for line in (LAB / "impressions.tsv").read_text("utf-8").splitlines()[1:]]
    shown, clicks = Counter(row[2] for row in rows), Counter(row[2] for row in rows if row[3] == "1")
    sessions, clicked = {row[4] for row in rows}, {row[4] for row in rows if row[3] == "1"}
    print(f"{len(rows):,} impressions, {len(sessions):,} sessions, {sum(clicks.values()):,} clicks; ", end="")
    print(f"{len(sessions - clicked):,} sessions without a click")
    right = sum(row[1] in truth[row[0]] for row in rows if row[3] == "1")
    print(f"{right / sum(clicks.values()):.0%} of the clicks are on a document that truth knows")
    print("| position | " + " | ".join(map(str, range(1, 11))) + " |\n|" + "---|" * 11)
    print("| clicked | " + " | ".join(f"{clicks[str(p)] / shown[str(p)]:.1%}" for p in range(1, 11)) + " |")


def main() -> None:
    corpus, queries = read_lines("corpus.jsonl"), read_lines("queries.jsonl")
    texts, doc_ids = [f"{d['title']} {d['text']}".strip() for d in corpus], [d["_id"] for d in corpus]
    truth, splits = read_qrels("truth.tsv"), {name: read_qrels(f"{name}.tsv") for name in ("train", "test")}
    bm25, vectors = BM25Okapi([words(text) for text in texts]), static_vectors(texts)
    query_texts = {q["_id"]: q["text"] for q in queries}
    query_vectors = dict(zip(query_texts, static_vectors(list(query_texts.values())), strict=True))
    rankers = {
        "BM25": lambda query_id: bm25.get_scores(words(query_texts[query_id])),
        "static": lambda query_id: vectors @ query_vectors[query_id],
    }
    least, median, most = np.percentile([len(text.split()) for text in texts], [0, 50, 100]).astype(int)
    print(f"{len(corpus):,} documents of {least}-{most} words (median {median}, with title), {len(queries)} queries.\n")
    print("| split | queries | labels a query | with an unlabelled positive | unlabelled positives a query |")
    print("|---|---|---|---|---|")
    for split, qrels in splits.items():
        n_labels = np.mean([len(labels) for labels in qrels.values()])
        n_more = np.array([len(truth[query_id].keys() - labels.keys()) for query_id, labels in qrels.items()])
        print(f"| {split} | {len(qrels)} | {n_labels:.2f} | {np.mean(n_more > 0):.0%} | {n_more.mean():.2f} |")
    print("\n| split | ranker | RR@10 | RR@10 against truth | unlabelled top 10 in truth |\n|---|---|---|---|---|")
    for split, qrels in splits.items():
        for name, score in rankers.items():
            labels, against_truth, share = measure(score, doc_ids, qrels, truth)
            print(f"| {split} | {name} | {labels:.3f} | {against_truth:.3f} | {share:.1%} |")
    rows = [line.split("\t") for line in (LAB / "planted.tsv").read_text("utf-8").splitlines()[1:]]
    needy = {row[1] for row in rows if row[0] == "needs_field"}
    print(f"\n{len(needy)} queries need the place:")
    for name, score in rankers.items():
        qrels = {query_id: labels for split in splits.values() for query_id, labels in split.items() if query_id in needy}
        print(f"{name}: RR@10 {measure(score, doc_ids, qrels, truth)[0]:.3f}")
    planted = Counter(row[0] for row in rows)
    print("\n" + "\n".join(f"{kind}: {n:,}" for kind, n in sorted(planted.items())) + "\n")
    articles = Counter(d["source"] for d in corpus)
    print(f"{len(articles)} articles, {sum(n > 1 for n in articles.values())} of several passages ({max(articles.values())} at most)\n")
    measure_log(truth)


if __name__ == "__main__":
    main()
