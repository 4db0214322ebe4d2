"""BM25 against rank-bm25 and bm25s, side by side in one process."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from core.errors import ParameterError, UserError
from core.search.bm25 import BM25, tokenize
from core.search.threads import thread_count

DEPTH = 100
RANK_BM25_QUERIES = 12  # it takes a tenth of a second for each


def bench_bm25(texts: Sequence[str], queries: Sequence[str], repeats: int = 5) -> dict[str, Any]:
    """Seconds and ratios of the top 100 of all queries, for this package, rank-bm25 and bm25s.

    Each round runs every side once, in turn; the figures are medians over the rounds. On every side the time starts
    with the queries' texts, split by the same tokenizer, and ends with the 100 best documents in order. rank-bm25 runs
    a sample of the queries, and its time is scaled to all. Indexing and compilation come before and are told apart.

    ``bm25_ratio_*``: seconds of the peer / seconds here, larger = faster here. ``bm25s`` is its default ``retrieve``;
    ``bm25s_numba`` its numba backend with as many threads as here. ``bm25_max_score_difference``: over all documents
    of the sampled queries, to rank-bm25. Raises UserError where a peer is not installed.
    """
    if repeats < 1:
        raise ParameterError(f"repeats must be an int in [1, inf); got {repeats}.")
    if not queries or not any(map(tokenize, texts)):
        raise ParameterError("bench_bm25 needs at least one query and one document with a word.")
    rank_bm25, bm25s = _peers()
    threads = thread_count(None)
    k = min(DEPTH, len(texts))
    words = [tokenize(text) for text in texts]
    doc_rows = range(len(texts))

    index, index_seconds = _timed(lambda: BM25.fit(texts))
    okapi, okapi_seconds = _timed(lambda: rank_bm25.BM25Okapi([tokenize(text) for text in texts]))
    plain, plain_seconds = _timed(lambda: _index_bm25s(bm25s, "numpy", texts))
    jitted = _index_bm25s(bm25s, "numba", texts) if bm25s.NUMBA_AVAILABLE else None
    sample = [queries[i] for i in np.linspace(0, len(queries) - 1, min(RANK_BM25_QUERIES, len(queries))).astype(int)]

    def retrieve(peer: Any, some: Sequence[str], n_threads: int) -> None:
        peer.retrieve([tokenize(query) for query in some], k=k, show_progress=False, n_threads=n_threads)

    sides: dict[str, tuple[Callable[[Sequence[str]], Any], Sequence[str]]] = {
        "here": (lambda some: index.search(some, k), queries),
        "rank_bm25": (lambda some: [okapi.get_top_n(tokenize(query), doc_rows, k) for query in some], sample),
        "bm25s": (lambda some: retrieve(plain, some, 0), queries),
    }
    if jitted is not None:
        sides["bm25s_numba"] = (lambda some: retrieve(jitted, some, threads), queries)

    for run, some in sides.values():
        run(some[:2])  # compilation, first touch of memory
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(repeats):
        for name, (run, some) in sides.items():
            seconds[name].append(_timed(lambda run=run, some=some: run(some))[1] * len(queries) / len(some))
    medians = {name: statistics.median(values) for name, values in seconds.items()}

    differences = [np.abs(index.scores(query) - okapi.get_scores(tokenize(query))).max() for query in sample]
    return {
        **{f"bm25_ratio_{name}": medians[name] / medians["here"] for name in sides if name != "here"},
        "bm25_max_score_difference": float(max(differences)),
        **{f"bm25_seconds_{name}": value for name, value in medians.items()},
        "bm25_index_seconds_here": index_seconds,
        "bm25_index_seconds_rank_bm25": okapi_seconds,
        "bm25_index_seconds_bm25s": plain_seconds,
        "n_documents": len(texts),
        "n_queries": len(queries),
        "n_queries_rank_bm25": len(sample),
        "k": k,
        "repeats": repeats,
        "threads": threads,
        "mean_document_words": float(np.mean([len(w) for w in words])),
    }


def _peers() -> tuple[Any, Any]:
    try:
        import bm25s
        import rank_bm25
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install 'negspace[bench]'") from error
    return rank_bm25, bm25s


def _index_bm25s(bm25s: Any, backend: str, texts: Sequence[str]) -> Any:
    # "atire" is the weighting nearest to rank-bm25's; the choice does not change the work of a search.
    peer = bm25s.BM25(method="atire", backend=backend)
    peer.index([tokenize(text) for text in texts], show_progress=False)
    return peer


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = perf_counter()
    result = work()
    return result, perf_counter() - start
