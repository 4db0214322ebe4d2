"""``negspace index``: what searching costs and finds, as text and JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.corpus.corpus import Corpus
from core.encode.encoder import Encoder
from core.lab.printed import as_table

Tell = Callable[[str], None]


def measure_indexes(corpus: Corpus, trial: Path | None, encoder: Encoder, options: Any, *, tell: Tell) -> dict[str, Any]:
    """The trade-off of every index, or of those that ``options.indexes`` names, on the corpus; raises ParameterError."""
    from core.audit.index_tradeoff import as_dict, tradeoff, yardstick
    from core.search.index_kinds import make_index
    from core.train.vectors import trial_vectors, untrained_vectors

    pieces = [make_index(key.strip()) for key in options.indexes.split(",")] if options.indexes else None
    tell("Encoding the corpus ..." if trial is None else f"Encoding the corpus with {trial.name} ...")
    vectors = trial_vectors(trial, corpus) if trial else untrained_vectors(corpus, encoder.to_dict(), seed=options.seed)
    stick = yardstick(corpus, vectors, k=options.k, first=options.first, last=options.last, n_queries=options.queries)
    figures = tradeoff(stick, pieces, tell)
    answer = as_dict(stick, figures)
    n = f"{answer['queries']:,} queries, {answer['documents']:,} documents, {vectors.similarity}, {stick.threads} thread(s)"
    tell(f"\n{vectors.label}: {n}; negatives from ranks {options.first}-{options.last}")
    head = ["* = default", "R@10", f"R@{stick.k}", "Jaccard", "build s", "ms/query", "MiB"]
    rows = [
        [("* " if one.is_default else "  ") + one.label, one.recall_10, one.recall_k, one.jaccard]
        + [f"{one.build_seconds:.2f}", f"{one.query_ms:.3f}", f"{one.n_bytes / 2**20:.1f}"]
        for one in figures
    ]
    tell(as_table(head, rows))
    return answer
