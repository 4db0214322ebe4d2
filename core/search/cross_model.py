"""A trained cross-encoder: calibrated probabilities of pairs, how good they are, and reranking by them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from core.search.cross_pairs import PairStore
from core.search.hits import Hits

if TYPE_CHECKING:
    from core.search.cross_task import Task

#: Probabilities at which the report says how much would be refused.
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)


class Scorer(Protocol):
    """What a kind of cross-encoder gives: one number a pair, larger = likelier."""

    def logits(self, query_rows: np.ndarray, doc_rows: np.ndarray, folds: np.ndarray) -> np.ndarray: ...
    def save(self, folder: Path) -> None: ...


@dataclass(frozen=True)
class CrossReport:
    """How good the model is on pairs whose query its network never saw; labels only, so unlabelled positives count as wrong.

    ``auc``: chance that a labelled positive scores above a drawn negative. ``calibration_error``: mean distance between what is
    said and what is so, in tenths of the held-out pairs, each calibrated without its own fold. ``positives_above``,
    ``negatives_above``: share of the held-out pairs with a probability of at least each of LEVELS. NaN where nothing was learned.
    """

    auc: float = float("nan")
    calibration_error: float = float("nan")
    n_queries: int = 0
    n_pairs: int = 0
    n_positives: int = 0
    n_folds: int = 0
    seconds: float = 0.0
    positives_above: tuple[float, ...] = ()
    negatives_above: tuple[float, ...] = ()
    note: str = ""

    @property
    def sentence(self) -> str:
        """How good it is, in words."""
        return self.note or (
            f"Cross-encoder: {self.n_positives} labelled pairs of {self.n_queries} queries, {self.n_folds} folds; on held-out queries "
            f"AUC {self.auc:.3f}, calibration error {self.calibration_error:.3f}; {self.seconds:.0f} s."
        )


class CrossModel:
    """A trained cross-encoder of one corpus. ``key``: 16 hex digits of piece, corpus fingerprint and seed."""

    def __init__(
        self, key: str, scorer: Scorer | None, fold_of: np.ndarray, calibration: tuple[float, float], report: CrossReport,
        pairs: PairStore,
    ):  # fmt: skip
        self.key, self.scorer, self.fold_of = key, scorer, fold_of
        self.calibration, self.report, self.pairs = calibration, report, pairs

    @property
    def is_trained(self) -> bool:
        """False where the corpus has too few labels; then every probability is 0."""
        return self.scorer is not None

    def probabilities(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 (N,): the chance that the document is relevant, among one positive to four negatives; kept by pair.

        ``query_rows``, ``doc_rows``: int64 (N,). A pair of a training query is scored by the networks that never saw the query.
        """
        from core.search.cross_task import sigmoid

        query_rows, doc_rows = (np.ascontiguousarray(rows, np.int64) for rows in (query_rows, doc_rows))
        if self.scorer is None:
            return np.zeros(len(query_rows), np.float32)

        def compute(queries: np.ndarray, docs: np.ndarray) -> np.ndarray:
            slope, shift = self.calibration
            return sigmoid(slope * self.logits(queries, docs) + shift).astype(np.float32)

        return self.pairs.values(query_rows, doc_rows, compute)

    def logits(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float64 (N,): what the networks say before calibration; never kept."""
        assert self.scorer is not None
        return self.scorer.logits(query_rows, doc_rows, self.fold_of[query_rows])

    def save(self, folder: Path) -> None:
        """Write the model to ``folder``, which must exist."""
        about = {"key": self.key, "calibration": self.calibration, "report": dataclasses.asdict(self.report)}
        if self.scorer is not None:
            self.scorer.save(folder)
        (folder / "model.json").write_text(json.dumps({**about, "is_trained": self.is_trained}))


def judge(task: Task, queries: np.ndarray, logits: np.ndarray, is_positive: np.ndarray) -> tuple[tuple[float, float], CrossReport]:
    """The calibration over all held-out pairs, and the report, which calibrates each fold on the others."""
    from core.search.cross_metrics import auc, calibration_error
    from core.search.cross_task import platt, sigmoid

    said = np.empty(len(logits))
    for fold in range(task.n_folds):
        own = task.fold_of[queries] == fold
        slope, shift = platt(logits[~own], is_positive[~own])
        said[own] = sigmoid(slope * logits[own] + shift)
    slope, shift = platt(logits, is_positive)
    final = sigmoid(slope * logits + shift)
    return (slope, shift), CrossReport(
        auc=auc(logits, is_positive),
        calibration_error=calibration_error(said, is_positive),
        n_queries=len(np.unique(task.query_rows)),
        n_pairs=len(logits),
        n_positives=int(is_positive.sum()),
        n_folds=task.n_folds,
        positives_above=tuple(float((final[is_positive] >= level).mean()) for level in LEVELS),
        negatives_above=tuple(float((final[~is_positive] >= level).mean()) if (~is_positive).any() else 0.0 for level in LEVELS),
    )


def rerank(cross: CrossModel, query_rows: np.ndarray, hits: Hits) -> Hits:
    """The same documents, best first by the cross-encoder; ties by document row. ``query_rows`` int64 (Q,) of the hits' rows."""
    is_real = hits.doc_rows >= 0
    rows = np.broadcast_to(np.asarray(query_rows, np.int64)[:, None], is_real.shape)
    scores = np.full(is_real.shape, -np.inf, np.float32)
    scores[is_real] = cross.probabilities(rows[is_real], hits.doc_rows[is_real])
    order = np.lexsort((hits.doc_rows, -scores, ~is_real), axis=-1)
    return Hits(np.take_along_axis(hits.doc_rows, order, 1), np.take_along_axis(scores, order, 1))
