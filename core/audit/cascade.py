"""Retriever and reranker, alone and together: what each finds, how precise its first places are, and what a query costs.

The retriever must not lose the answers (recall among its candidates), the reranker must put them first (precision at the top);
the cascade is as good as the first lets it be and nearly as cheap. The reranker alone scores every document: the bound that
the cascade is compared with, on a sample of queries, for it is slow.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.encode.model import EncoderModel
from core.errors import CorpusError, ParameterError
from core.evaluate.metrics import evaluate_run, means, positive_pairs, ranks_in_run
from core.search.cross_encoder import CrossModel

RETRIEVER, RERANKER, BOTH = "retriever", "reranker", "both"
TITLES = {RETRIEVER: "Retriever alone", RERANKER: "Reranker alone, every document", BOTH: "Both: the cascade"}
DEPTHS = (10, 20, 50, 100, 200, 500)
BLOCK_PAIRS = 1 << 18


@dataclass(frozen=True)
class Stage:
    """One way to answer, on ``n_queries`` held-out queries.

    ``depth``: documents that the retriever hands on (for the reranker alone: all of the corpus). ``recall_depth``: share of the
    positives within the first ``depth`` of its list, ``recall_k`` within the first k; ``precision_k``: share of the first k that
    is relevant. ``query_ms``: milliseconds a query, encoding the query included, vectors of documents made beforehand.
    """

    name: str
    depth: int
    n_queries: int
    recall_depth: float
    recall_k: float
    precision_k: float
    rr_10: float
    ndcg_10: float
    query_ms: float

    @property
    def title(self) -> str:
        return TITLES[self.name]


@dataclass(frozen=True)
class Cascade:
    """``stages``: retriever, both, and the reranker alone on its sample; ``sampled``: the first two on the same sample.
    ``by_depth``: the cascade at other depths, all queries; ``against``: "labels" or "truth"."""

    k: int
    depth: int
    against: str
    stages: tuple[Stage, ...]
    sampled: tuple[Stage, ...]
    by_depth: tuple[Stage, ...]
    cross: str

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dataclasses.asdict(self)

    @property
    def sentence(self) -> str:
        """What the second stage adds and costs."""
        first, both = self.stage(RETRIEVER), self.stage(BOTH)
        gain = both.ndcg_10 - first.ndcg_10
        verb = "raises" if gain > 0 else "lowers" if gain < 0 else "leaves"
        moved = f"from {first.ndcg_10:.3f} to {both.ndcg_10:.3f}" if gain else f"at {first.ndcg_10:.3f}"
        return (
            f"Re-ranking {self.depth} candidates {verb} nDCG@10 {moved} and takes {both.query_ms:.1f} ms a query instead of "
            f"{first.query_ms:.1f}; {1 - first.recall_depth:.1%} of the positives are not among the candidates and cannot be won back."
        )


def measure_cascade(
    corpus: Corpus,
    model: EncoderModel,
    similarity: str,
    cross: CrossModel,
    *,
    k: int = 10,
    depth: int = 100,
    alone_queries: int = 20,
    against_truth: bool = False,
    tell: Callable[[str], None] = lambda line: None,
) -> Cascade:
    """Every stage on the held-out queries, which the cross-encoder never saw.

    ``alone_queries``: how many the reranker alone is asked; 0 leaves it out. Raises ParameterError for numbers out of range,
    CorpusError without held-out queries, or without truth where it is asked for.
    """
    from core.search.exact import top_k

    for name, value, least, most in (("k", k, 1, 1000), ("depth", depth, 1, 10_000), ("alone", alone_queries, 0, 1_000_000)):
        if not least <= value <= most:
            raise ParameterError(f"Cascade: {name} must be an int in [{least}, {most}]; got {value}.")
    if against_truth and corpus.truth is None:
        raise CorpusError("The corpus has no truth. Measure against the labels, or add qrels/truth.tsv.")
    rows = corpus.split_query_rows("test")
    if not len(rows):
        raise CorpusError("The corpus has no held-out query with a positive. Add judged pairs to qrels/test.tsv.")
    judgements = corpus.truth if against_truth else corpus.splits["test"]
    assert judgements is not None
    k = min(k, depth)
    tell("Encoding the documents ...")
    documents = model.encode_texts(model.encoder.document_texts(corpus), "document")
    tell(f"Retrieving {depth} documents for {len(rows):,} queries ...")
    started = time.perf_counter()
    queries = model.encode_texts(model.encoder.query_texts(corpus, rows), "query")
    deepest = max([depth, *(d for d in DEPTHS if d <= min(5 * depth, corpus.n_documents))])
    hits = top_k(queries, documents, depth, similarity=similarity)
    retrieve_ms = 1000 * (time.perf_counter() - started) / len(rows)
    deep = hits if deepest == depth else top_k(queries, documents, deepest, similarity=similarity)
    tell("Re-ranking them ...")
    scores, pair_ms = _cross_scores(cross, rows, deep.doc_rows)
    asked = (judgements, rows, k, depth)

    def both_at(n: int, places: np.ndarray | slice = slice(None)) -> np.ndarray:
        return reranked(deep.doc_rows[places, :n], scores[places, :n])

    both_ms = retrieve_ms + pair_ms * min(depth, corpus.n_documents)
    stages = [_stage(RETRIEVER, hits.doc_rows, *asked, retrieve_ms), _stage(BOTH, both_at(depth), *asked, both_ms)]
    sampled: list[Stage] = []
    if alone_queries:
        places = np.unique(np.linspace(0, len(rows) - 1, min(alone_queries, len(rows))).astype(np.int64))
        tell(f"Scoring all {corpus.n_documents:,} documents for {len(places)} queries by the reranker alone ...")
        everything = np.broadcast_to(np.arange(corpus.n_documents), (len(places), corpus.n_documents))
        every_score, every_ms = _cross_scores(cross, rows[places], everything)
        alone = reranked(everything, every_score)[:, :depth]
        some = (judgements, rows[places], k, depth)
        stages.append(dataclasses.replace(_stage(RERANKER, alone, *some, every_ms * corpus.n_documents), depth=corpus.n_documents))
        sampled = [
            _stage(RETRIEVER, hits.doc_rows[places], *some, retrieve_ms), _stage(BOTH, both_at(depth, places), *some, both_ms), stages[-1],
        ]  # fmt: skip
    by_depth = [
        _stage(BOTH, both_at(n), judgements, rows, min(k, n), n, retrieve_ms + pair_ms * n)
        for n in sorted({*(d for d in DEPTHS if d <= deep.k), depth})
    ]
    return Cascade(k, depth, "truth" if against_truth else "labels", tuple(stages), tuple(sampled), tuple(by_depth), cross.report.sentence)


def reranked(doc_rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The documents of each row, best score first; ties by document row, -1 last."""
    order = np.lexsort((doc_rows, -scores, doc_rows < 0), axis=-1)
    return np.take_along_axis(doc_rows, order, 1)


def _cross_scores(cross: CrossModel, query_rows: np.ndarray, doc_rows: np.ndarray) -> tuple[np.ndarray, float]:
    """(float32 probabilities of the pairs, -inf where none; milliseconds a pair). Computed anew, so that the time is true."""
    from core.search.cross_task import sigmoid

    is_real = doc_rows >= 0
    scores = np.full(doc_rows.shape, -np.inf, np.float32)
    if not cross.is_trained:
        scores[is_real] = 0
        return scores, 0.0
    queries = np.broadcast_to(query_rows[:, None], doc_rows.shape)[is_real]
    docs = doc_rows[is_real]
    slope, shift = cross.calibration
    started = time.perf_counter()
    parts = [
        sigmoid(slope * cross.logits(queries[i : i + BLOCK_PAIRS], docs[i : i + BLOCK_PAIRS]) + shift).astype(np.float32)
        for i in range(0, len(docs), BLOCK_PAIRS)
    ]
    scores[is_real] = np.concatenate(parts)
    return scores, 1000 * (time.perf_counter() - started) / max(1, len(docs))


def _stage(name: str, doc_rows: np.ndarray, judgements: Judgements, rows: np.ndarray, k: int, depth: int, query_ms: float) -> Stage:
    measures = means(evaluate_run(doc_rows, judgements, rows))
    query_index, positive_rows, _ = positive_pairs(judgements, rows)
    ranks = ranks_in_run(doc_rows, query_index, positive_rows)
    n_positives = np.bincount(query_index, minlength=len(rows))
    has_any = n_positives > 0

    def found(n: int) -> np.ndarray:
        return np.bincount(query_index, weights=(ranks > 0) & (ranks <= n), minlength=len(rows))[has_any]

    return Stage(
        name=name,
        depth=depth,
        n_queries=int(has_any.sum()),
        recall_depth=float((found(depth) / n_positives[has_any]).mean()),
        recall_k=float((found(k) / n_positives[has_any]).mean()),
        precision_k=float((found(k) / k).mean()),
        rr_10=measures["RR@10"],
        ndcg_10=measures["nDCG@10"],
        query_ms=query_ms,
    )


def stage_rows(stages: Sequence[Stage], k: int) -> tuple[list[str], list[list[Any]]]:
    """(head, rows) of a table of stages."""
    head = ["", "queries", "looks at", "R@depth", f"R@{k}", f"P@{k}", "RR@10", "nDCG@10", "ms/query"]
    rows = [
        [s.title, s.n_queries, s.depth, s.recall_depth, s.recall_k, s.precision_k, s.rr_10, s.ndcg_10, f"{s.query_ms:.2f}"] for s in stages
    ]
    return head, rows
