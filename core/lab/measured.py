"""``negspace index`` and ``negspace cascade``: what searching costs and finds, as text and JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.corpus.corpus import Corpus
from core.encode.encoder import Encoder
from core.errors import TrialError
from core.lab.printed import as_table
from core.lab.workspace import Workspace

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


def measure_cascade(workspace: Workspace, corpus: Corpus, trial: Path, options: Any, *, tell: Tell) -> dict[str, Any]:
    """Retriever, reranker and both on the held-out queries; the cross-encoder is trained, or opened from the workspace's cache."""
    from core.audit import cascade
    from core.encode.model import load_model
    from core.sampling.context import CorpusIndex
    from core.search.cross_encoder import make_cross_encoder
    from core.train.config import read_config

    config = read_config(trial)
    if not (trial / "model").is_dir():
        raise TrialError(f"{trial} has no model yet. Wait until the trial has finished, or choose another.")
    cross = CorpusIndex(corpus, cross_folder=workspace.cache / "cross").cross(make_cross_encoder(options.cross))
    tell(cross.report.sentence)
    found = cascade.measure_cascade(
        corpus, load_model(trial / "model"), config.recipe_value.signal.similarity, cross,
        k=options.k, depth=options.depth, alone_queries=options.alone, against_truth=options.truth, tell=tell,
    )  # fmt: skip
    tell("\n" + as_table(*cascade.stage_rows(found.stages, found.k)))
    if found.sampled:
        tell(f"\nOn the {found.sampled[-1].n_queries} queries that the reranker alone was asked:")
        tell(as_table(*cascade.stage_rows(found.sampled, found.k)))
    tell("\nBy the number of candidates:\n" + as_table(*cascade.stage_rows(found.by_depth, found.k)))
    tell(f"\n{found.sentence}")
    return {"trial": str(trial), **found.to_dict()}
