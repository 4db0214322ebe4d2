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
from typing import TYPE_CHECKING, Any, ClassVar

from core.errors import ParameterError
from core.params import Citation, Piece, digest, make_piece, param
from core.search.cross_model import CrossModel, CrossReport, Scorer, judge, rerank
from core.search.cross_pairs import PairStore

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.search.bm25 import BM25
    from core.search.cross_task import Task

__all__ = [
    "CROSS_ENCODERS", "CrossEncoder", "CrossModel", "CrossReport", "EmbeddedCrossEncoder", "TransformerCrossEncoder",
    "make_cross_encoder", "rerank",
]  # fmt: skip

#: Raise it when results change for equal pieces: what was kept under the old one is then left alone.
VERSION = 4
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
        calibration, report = judge(task, queries, logits, is_positive)
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


@dataclass(frozen=True, kw_only=True)
class EmbeddedCrossEncoder(CrossEncoder):
    """Small networks over how a query's words meet a document's; nothing is downloaded.

    How: for each pair some sixty numbers are computed without any label: how much of the query's idf is found, exactly, by stem
    or by the nearest static word vector, in both directions and in the title; the weakest telling word (another thing is meant);
    kernel pooling over all word similarities; names, numbers and negations; BM25 and cosine beside the query's own best; and how
    well the document agrees with what a first search finds. Six more compare it with the labelled answers of other queries that
    ask alike. An ensemble of small networks learns from them which labelled pairs belong together.

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
    epochs: int = param(30, "passes over the positives; negatives are drawn anew in each", ge=1, le=500)
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
