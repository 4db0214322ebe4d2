"""What a trial tells about itself: baselines, curves, snapshots, the final run and its measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.evaluate.metrics import MEASURES, evaluate_run, evaluate_vectors, judged_at, means
from core.train.events import EventWriter
from core.train.setup import Setup

RUN_DEPTH = 100
BM25_DEPTH = 1000


class Outcome:
    """Evaluates on the held-out queries against the whole corpus and writes snapshots and results into the folder."""

    def __init__(self, folder: Path, corpus: Corpus, setup: Setup, events: EventWriter):
        self.folder, self.corpus, self.setup, self.events = folder, corpus, setup, events
        self.judgements = corpus.splits["test"]
        self._kept = folder / "baselines.npz"

    def evaluate(self, step: int, depth: int = 0) -> dict[str, float]:
        """Mean measures of the model as it is now."""
        per_query, _ = self._measure(depth)
        return _measures(means(per_query))

    def _measure(self, depth: int):
        vectors = self.setup.context.vectors("current")
        rows = self.setup.test_rows
        return evaluate_vectors(
            vectors.queries[rows], vectors.documents, self.judgements, rows, vectors.similarity, depth
        )

    def baselines(self) -> None:
        """Measure BM25 and the untrained encoder before the first step; keep their per-query values."""
        rows = self.setup.test_rows
        hits = self.setup.context.bm25.search(self.corpus.query_texts(rows), BM25_DEPTH)
        bm25 = evaluate_run(hits.doc_rows, self.judgements, rows)
        untrained, _ = self._measure(0)
        for name, per_query in (("untrained", untrained), ("bm25", bm25)):
            self.events.write("baseline", name=name, metrics=_measures(means(per_query)), n_queries=len(rows))
        arrays = {f"untrained.{m}": untrained[m] for m in MEASURES} | {f"bm25.{m}": bm25[m] for m in MEASURES}
        part = self._kept.with_suffix(".part.npz")
        np.savez(part, **arrays)
        part.replace(self._kept)

    def snapshot(self, step: int) -> None:
        """Keep the vectors of this moment for the map: float16, memory-mappable, rows as in the corpus."""
        folder = self.folder / "snapshots"
        folder.mkdir(parents=True, exist_ok=True)
        vectors = self.setup.context.vectors("current")
        for name, values in (("queries", vectors.queries), ("documents", vectors.documents)):
            path = folder / f"{step:07d}-{name}.npy"
            part = path.with_suffix(".part.npy")
            np.save(part, values.astype(np.float16))
            part.replace(path)
        self.events.write("snapshot", step=step, epoch=step / self.setup.steps_per_epoch)

    def result(self, seconds: dict[str, float], step: int) -> dict[str, Any]:
        """The trial's result, JSON-ready; writes the run (top 100 a query) and every query's measures beside it."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        rows = self.setup.test_rows
        per_query, hits = self._measure(RUN_DEPTH)
        with np.load(self._kept) as stored:
            baselines = {name: stored[name] for name in stored.files}
        table: dict[str, Any] = {"query_row": rows.astype(np.int32)}
        table |= {f"trial.{m}": per_query[m] for m in MEASURES} | baselines
        result: dict[str, Any] = {
            "metrics": _measures(means(per_query)),
            "untrained": _measures(means({m: baselines[f"untrained.{m}"] for m in MEASURES})),
            "bm25": _measures(means({m: baselines[f"bm25.{m}"] for m in MEASURES})),
            "judged_at_10": judged_at(hits.doc_rows, self.judgements, rows, 10),
            "seconds": seconds,
            "steps": step,
            "n_test_queries": len(rows),
            "n_train_queries": len(self.setup.negatives.query_rows),
            "n_train_pairs": len(self.setup.query_rows),
            "corpus_fingerprint": self.corpus.fingerprint,
            "weights": self.setup.stepper.model.weights_hash(),
        }
        if self.corpus.truth is not None:
            result["truth_metrics"] = self._against_truth(table)
        is_hit = hits.doc_rows >= 0
        n_each = is_hit.sum(1)
        run = {
            "query_row": np.repeat(rows, n_each).astype(np.int32),
            "rank": (np.broadcast_to(np.arange(1, is_hit.shape[1] + 1), is_hit.shape)[is_hit]).astype(np.int32),
            "doc_row": hits.doc_rows[is_hit].astype(np.int32),
            "score": hits.scores[is_hit],
        }
        parquet.write_table(pa.table(table), self.folder / "per_query.parquet")
        parquet.write_table(pa.table(run), self.folder / "run.parquet", compression="zstd")
        return result

    def _against_truth(self, table: dict[str, Any]) -> dict[str, float]:
        """The same measures against the fuller judgements; their per-query values join ``table``."""
        vectors, rows = self.setup.context.vectors("current"), self.setup.test_rows
        per_query, _ = evaluate_vectors(
            vectors.queries[rows], vectors.documents, self.corpus.truth, rows, vectors.similarity, 0
        )
        table |= {f"truth.{m}": per_query[m] for m in MEASURES}
        return _measures(means(per_query))


def _measures(values: dict[str, float]) -> dict[str, float]:
    return {name: float(values[name]) for name in MEASURES}
