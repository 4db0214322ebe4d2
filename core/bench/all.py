"""``negspace bench``: every speed claim of the product, measured beside the peers in one process."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from core.bench.bm25 import bench_bm25
from core.bench.exact import bench_top_k
from core.bench.generated import generated
from core.bench.mine import bench_mine
from core.bench.train import bench_train
from core.corpus.load import load_corpus

# An epoch is short: a few rounds more cost seconds and steady the median.
LEAST_TRAIN_ROUNDS = 5


def bench_all(spec: str | None, *, repeats: int, print_line: Callable[[str], None]) -> dict[str, Any]:
    """All figures in one dictionary; ``spec`` as CORPUS on the command line, None = the generated corpus."""
    os.environ["TQDM_DISABLE"] = "1"  # the peers draw progress bars over the report
    corpus = load_corpus(spec) if spec else generated()
    print_line(f"{corpus.name}: {corpus.n_documents} documents, {len(corpus.split_query_rows('train'))} training queries")
    print_line(f"{os.cpu_count()} processors, Python {platform.python_version()}; medians of {repeats} alternating rounds")
    found: dict[str, Any] = {"corpus": corpus.name, "n_documents": corpus.n_documents, "processors": os.cpu_count()}
    queries = corpus.query_texts(corpus.split_query_rows("train"))
    found |= bench_bm25(corpus.document_texts(), queries, repeats=repeats)
    print_line(
        f"BM25 top {found['k']} of {len(queries)} queries: {found['bm25_seconds_here']:.2f} s; "
        f"rank-bm25 {found['bm25_ratio_rank_bm25']:.0f}x (its time scaled from {found['n_queries_rank_bm25']} queries, "
        f"largest score difference {found['bm25_max_score_difference']:.1e}), "
        f"bm25s {found['bm25_ratio_bm25s']:.2f}x"
    )
    found |= bench_train(corpus, repeats=max(repeats, LEAST_TRAIN_ROUNDS))
    print_line(
        f"In-batch epoch of {found['train_pairs']} pairs: {found['train_seconds_here']:.2f} s; sentence-transformers trainer "
        f"{found['train_seconds_sentence_transformers']:.2f} s: {found['train_ratio']:.1f}x "
        f"({found['train_ratio_with_tokenizing']:.1f}x with our one tokenising of the texts)"
    )
    found |= bench_mine(corpus, repeats=repeats)
    print_line(
        f"Dense mining for {found['mine_queries']} queries: {found['mine_seconds_here']:.2f} s; mine_hard_negatives "
        f"{found['mine_seconds_sentence_transformers']:.2f} s: {found['mine_ratio']:.1f}x "
        f"({found['mine_ratio_with_tokenizing']:.1f}x with our one tokenising), {found['mine_agreement']:.1%} the same negatives"
    )
    found |= {name: value for name, value in bench_top_k(repeats=repeats).items() if name.startswith("top_k_")}
    print_line(f"One exact refresh: {found['top_k_ratio_product']:.2f}x the matrix product's own time")
    return found
