"""Cross-encoders: query and document read together, trained on the corpus's own labels, with calibrated probabilities.

As RocketQA does: a cross-encoder sees what a dual encoder cannot, how each word of the query is answered, and tells unlabelled
positives from near-misses. Every training query is scored by a network that never saw that query (cross-fitting).
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from core.errors import ParameterError
from core.params import Citation, Piece, digest, make_piece, param
from core.search.cross_pairs import PairStore
from core.search.hits import Hits

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.search.bm25 import BM25
    from core.search.cross_task import Task

#: Raise it when results change for equal pieces: what was kept under the old one is then left alone.
VERSION = 1
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


class CrossEncoder(Piece):
    """Base of the cross-encoders."""

    family: ClassVar[str] = "cross-encoder"
    folds: int
    negatives_per_positive: int

    def key_for(self, corpus: Corpus, seed: int) -> str:
        """The key of the model that this piece makes of the corpus with this seed."""
        return digest({"piece": self.to_dict(), "corpus": corpus.fingerprint, "seed": seed, "version": VERSION})

    def train(self, corpus: Corpus, *, bm25: BM25, seed: int = 0) -> CrossModel:
        """The model learned from the training split's labels; equal seeds, equal numbers. Truth is never read."""
        from core.search.cross_features import PairFeatures

        started = time.perf_counter()
        features = PairFeatures(corpus, bm25)
        task = self._task(corpus, features, seed)
        pairs = PairStore(corpus.n_documents)
        key = self.key_for(corpus, seed)
        if not task.is_learnable:
            note = "The corpus has too few labelled training queries or no negatives; every probability is 0."
            return CrossModel(key, None, task.fold_of, (1.0, 0.0), CrossReport(note=note), pairs)
        with one_thread():
            scorer = self._fit(corpus, features, task, seed)
        queries, docs, is_positive = task.held_out(self.negatives_per_positive, seed)
        logits = scorer.logits(queries, docs, task.fold_of[queries])
        calibration, report = _judge(task, queries, logits, is_positive)
        report = dataclasses.replace(report, seconds=time.perf_counter() - started)
        return CrossModel(key, scorer, task.fold_of, calibration, report, pairs)

    def open(self, folder: Path, corpus: Corpus, *, bm25: BM25, seed: int = 0) -> CrossModel:
        """The model that CrossModel.save wrote for this corpus, piece and seed; raises ValueError for another's."""
        from core.search.cross_features import PairFeatures

        about = json.loads((folder / "model.json").read_text())
        if about["key"] != self.key_for(corpus, seed):
            raise ValueError(f"{folder} holds cross-encoder {about['key']}, not {self.key_for(corpus, seed)}")
        features = PairFeatures(corpus, bm25)
        task = self._task(corpus, features, seed)
        report = CrossReport(**{name: tuple(v) if isinstance(v, list) else v for name, v in about["report"].items()})
        scorer = self._open(folder, corpus, features, task) if about["is_trained"] else None
        return CrossModel(about["key"], scorer, task.fold_of, tuple(about["calibration"]), report, PairStore(corpus.n_documents))

    def _task(self, corpus: Corpus, features: Any, seed: int) -> Task:
        from core.search.cross_task import make_task

        return make_task(corpus, features.best, self.folds, seed)

    def _fit(self, corpus: Corpus, features: Any, task: Task, seed: int) -> Scorer:
        raise TypeError(f"{type(self).__name__} cannot be trained")

    def _open(self, folder: Path, corpus: Corpus, features: Any, task: Task) -> Scorer:
        raise TypeError(f"{type(self).__name__} cannot be opened")


def _judge(task: Task, queries: np.ndarray, logits: np.ndarray, is_positive: np.ndarray) -> tuple[tuple[float, float], CrossReport]:
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


@dataclass(frozen=True, kw_only=True)
class EmbeddedCrossEncoder(CrossEncoder):
    """Small networks over how a query's words meet a document's; nothing is downloaded.

    How: for each pair some sixty numbers are computed without any label: how much of the query's idf is found, exactly, by stem
    or by the nearest static word vector, in both directions and in the title; the weakest telling word (another thing is meant);
    kernel pooling over all word similarities; names, numbers and negations; BM25 and cosine beside the query's own best; and how
    well the document agrees with what a first search finds. Three more compare it with the labelled answers of other queries that
    ask in the same words. An ensemble of small networks learns from them which labelled pairs belong together.

    Fails where the answer shares neither words nor near words with the query, where order decides the meaning, and with few
    labels: from fewer than eight training queries it learns nothing and says so.
    """

    key: ClassVar[str] = "embedded"
    title: ClassVar[str] = "Embedded: interactions of static vectors"
    source: ClassVar[Citation] = Citation(
        "Xiong et al.", 2017, "End-to-End Neural Ad-hoc Ranking with Kernel Pooling", "https://arxiv.org/abs/1706.06613"
    )
    cost: ClassVar = "low"
    difficulty: ClassVar = "medium"

    hidden: int = param(64, "units in each of the two hidden layers", ge=4, le=512)
    members: int = param(3, "networks of each fold, averaged", ge=1, le=16)
    epochs: int = param(40, "passes over the positives; negatives are drawn anew in each", ge=1, le=500)
    negatives_per_positive: int = param(4, "negatives for each positive, three of four from the top ranks", ge=1, le=64)
    folds: int = param(4, "groups of queries; each is scored by networks trained on the others", ge=2, le=20)

    def _fit(self, corpus, features, task, seed):
        from core.search.cross_network import Networks

        return Networks.train(self, features, task, seed)

    def _open(self, folder, corpus, features, task):
        from core.search.cross_network import Networks

        return Networks.open(folder, features, task)


@dataclass(frozen=True, kw_only=True)
class TransformerCrossEncoder(CrossEncoder):
    """A transformer that reads query and document as one text, from a folder or a model hub.

    How: sentence-transformers' CrossEncoder with one output is fine-tuned on the labelled pairs, once a fold. It knows language
    beyond the corpus, order and negation included, so it goes furthest where labels are few.

    Fails without the patience for it: minutes on a processor for a small model, and a score for every pair costs a pass through
    the whole network. A model of another language or of another kind of text may be worse than the embedded one.
    """

    key: ClassVar[str] = "transformer"
    title: ClassVar[str] = "Transformer cross-encoder"
    source: ClassVar[Citation] = Citation(
        "Nogueira and Cho", 2019, "Passage Re-ranking with BERT", "https://arxiv.org/abs/1901.04085"
    )
    cost: ClassVar = "high"
    difficulty: ClassVar = "hard"
    needs: ClassVar[tuple[str, ...]] = ("model",)

    model: str = param("cross-encoder/ms-marco-MiniLM-L6-v2", "folder, or name on the model hub, of a model for sentence-transformers")
    epochs: int = param(1, "passes over the positives; negatives are drawn anew in each; 0 = as it comes", ge=0, le=20)
    batch_size: int = param(32, "pairs in one step", unit="pairs", ge=1, le=1024)
    learning_rate: float = param(3e-5, "step size of Adam", ge=1e-7, le=1e-2)
    longest: int = param(128, "tokens of query and document together; the rest is cut off", unit="tokens", ge=8, le=8192)
    negatives_per_positive: int = param(4, "negatives for each positive, three of four from the top ranks", ge=1, le=64)
    folds: int = param(2, "groups of queries; each is scored by a model trained on the others", ge=2, le=20)

    def check(self) -> None:
        if not self.model:
            raise ParameterError("TransformerCrossEncoder.model must name a folder or a model of the hub.")

    def _fit(self, corpus, features, task, seed):
        from core.search.cross_transformer import Transformers

        return Transformers.train(self, corpus, task, seed)

    def _open(self, folder, corpus, features, task):
        from core.search.cross_transformer import Transformers

        return Transformers.open(self, folder, corpus, task)


CROSS_ENCODERS: tuple[type[CrossEncoder], ...] = (EmbeddedCrossEncoder, TransformerCrossEncoder)


def make_cross_encoder(data: dict[str, Any] | str) -> CrossEncoder:
    """The cross-encoder of that key, or that ``to_dict()`` described; raises ParameterError."""
    piece = make_piece(CROSS_ENCODERS, {"key": data} if isinstance(data, str) else data, "cross-encoder")
    assert isinstance(piece, CrossEncoder)
    return piece


def rerank(cross: CrossModel, query_rows: np.ndarray, hits: Hits) -> Hits:
    """The same documents, best first by the cross-encoder; ties by document row. ``query_rows`` int64 (Q,) of the hits' rows."""
    is_real = hits.doc_rows >= 0
    rows = np.broadcast_to(np.asarray(query_rows, np.int64)[:, None], is_real.shape)
    scores = np.full(is_real.shape, -np.inf, np.float32)
    scores[is_real] = cross.probabilities(rows[is_real], hits.doc_rows[is_real])
    order = np.lexsort((hits.doc_rows, -scores, ~is_real), axis=-1)
    return Hits(np.take_along_axis(hits.doc_rows, order, 1), np.take_along_axis(scores, order, 1))


@contextmanager
def one_thread() -> Iterator[None]:
    """torch on one thread inside the block: sums come in one order, so equal seeds give equal weights."""
    import torch

    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)
