"""One exact refresh against the matrix product alone, side by side in one process."""

from __future__ import annotations

import statistics
from time import perf_counter
from typing import Any

import numpy as np

from core.errors import ParameterError
from core.search.exact import top_k
from core.search.threads import thread_count


def bench_top_k(
    n_queries: int = 4000, n_documents: int = 20000, dim: int = 256, k: int = 100, repeats: int = 5, seed: int = 0
) -> dict[str, Any]:
    """Seconds of the exact top k of random unit vectors, of the product of the matrices, and of faiss's flat index.

    Each round runs every side once, in turn; the figures are medians over the rounds, with the threads that are set.
    ``top_k_ratio_product``: search / product alone, smaller = better. ``top_k_ratio_faiss``: faiss / search, larger =
    faster here; its time includes adding the documents, as they change with every refresh.
    """
    for name, value in (("n_queries", n_queries), ("n_documents", n_documents), ("dim", dim), ("repeats", repeats)):
        if value < 1:
            raise ParameterError(f"{name} must be an int in [1, inf); got {value}.")
    import faiss

    rng = np.random.default_rng(seed)
    queries, documents = (rng.standard_normal((n, dim), dtype=np.float32) for n in (n_queries, n_documents))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    products = np.empty((n_queries, n_documents), np.float32)

    def flat() -> None:
        index = faiss.IndexFlatIP(dim)
        index.add(documents)
        index.search(queries, k)

    sides = {
        "product": lambda: np.matmul(queries, documents.T, out=products),
        "search": lambda: top_k(queries, documents, k),
        "faiss": flat,
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    top_k(queries[:2], documents, k)  # compilation
    for number in range(repeats + 1):
        for name, run in sides.items():
            start = perf_counter()
            run()
            if number:  # the first round touches the memory
                seconds[name].append(perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "top_k_ratio_product": medians["search"] / medians["product"],
        "top_k_ratio_faiss": medians["faiss"] / medians["search"],
        **{f"top_k_seconds_{name}": value for name, value in medians.items()},
        "n_queries": n_queries,
        "n_documents": n_documents,
        "dim": dim,
        "k": k,
        "repeats": repeats,
        "threads": thread_count(None),
    }
