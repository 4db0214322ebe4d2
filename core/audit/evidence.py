"""What a reason to doubt may ask for: scores, positives, words, neighbours, a guide, other trials - each computed once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from core.audit.evidence_words import Words
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.sampling.context import MiningContext, Vectors

if TYPE_CHECKING:
    from core.audit.trial_table import TrialTable
    from core.search.cross_encoder import CrossModel
    from core.train.results import TrialResults

KEPT_RESULTS = 64  # per-pair arrays that are remembered: those of one table of pairs, and a why-card's beside it
UNTRAINED = "untrained"
_NONE = np.empty(0, np.int64)


class Evidence:
    """Everything known about pairs of one corpus from one model's point of view; lazy, and each part computed once.

    ``vectors``: the main model. ``table``: the candidates of the trial that is doubted, all refreshes. ``guide``: another
    model's vectors; "untrained" = the static encoder before any training, made when first asked for; None = none.
    ``others``: vectors of other trials, best of other seeds. ``cross``: a trained cross-encoder, a function that gives one
    (called when a reason first asks), or None.

    Positives are the known ones of every split, as mining masks them; only the training split's labels are taken as
    evidence about *other* queries, so that no held-out label leaks into a verdict.
    """

    def __init__(
        self,
        corpus: Corpus,
        context: MiningContext,
        vectors: Vectors,
        *,
        table: TrialTable | None = None,
        guide: Vectors | str | None = UNTRAINED,
        others: Sequence[Vectors] = (),
        cross: CrossModel | Callable[[], CrossModel] | None = None,
    ):
        self.corpus, self.context, self.table = corpus, context, table
        self.vectors, self.others = _float32(vectors), [_float32(other) for other in others]
        self._guide, self._cross = guide, cross
        self._kept: OrderedDict[tuple, Any] = OrderedDict()

    @property
    def has_guide(self) -> bool:
        """Whether there is a second model to ask; does not make it."""
        return self._guide is not None

    @property
    def has_cross(self) -> bool:
        """Whether there is a cross-encoder, or a way to get one; does not train it."""
        return self._cross is not None

    @cached_property
    def guide(self) -> Vectors | None:
        """The guide's vectors."""
        if self._guide == UNTRAINED:
            from core.train.vectors import untrained_vectors  # torch

            return untrained_vectors(self.corpus, {"key": "static"})
        return _float32(self._guide) if isinstance(self._guide, Vectors) else None

    @cached_property
    def cross(self) -> CrossModel | None:
        """The cross-encoder; may train it, which takes its time."""
        return self._cross() if callable(self._cross) and not hasattr(self._cross, "probabilities") else self._cross  # type: ignore[return-value]

    @cached_property
    def training_labels(self) -> Judgements:
        """The training split's positives."""
        train = self.corpus.splits.get("train")
        return Judgements.empty(self.corpus.n_queries) if train is None else train.only_positive()

    @cached_property
    def words(self) -> Words:
        """Which words the texts share."""
        return Words(self.corpus, self.context.bm25)

    def once(self, name: str, query_rows: np.ndarray, doc_rows: np.ndarray, compute: Callable[[], Any]) -> Any:
        """``compute()``, remembered under the name and these pairs: reasons of one family share what they need."""
        key = (name, len(query_rows), digest_of(query_rows, doc_rows))
        if key not in self._kept:
            self._kept[key] = compute()
            while len(self._kept) > KEPT_RESULTS:
                self._kept.popitem(last=False)
        return self._kept[key]

    def scores(self, vectors: Vectors, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 (N,): one model's scores of the pairs."""
        return self.once(f"scores {id(vectors)}", query_rows, doc_rows, lambda: vectors.score_pairs(query_rows, doc_rows))

    def lexical_scores(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 (N,): BM25's scores of the pairs."""

        def compute() -> np.ndarray:
            rows, index = np.unique(query_rows, return_inverse=True)
            return self.context.bm25.score_pairs(self.corpus.query_texts(rows), index, doc_rows)

        return self.once("bm25", query_rows, doc_rows, compute)

    def positive_scores(self, vectors: Vectors, query_rows: np.ndarray) -> np.ndarray:
        """float32, shape of ``query_rows``: the score of each query's lowest-scored known positive; NaN where it has none."""
        return self._lowest(f"lowest {id(vectors)}", vectors.score_pairs)[query_rows]

    def lexical_positive_scores(self, query_rows: np.ndarray) -> np.ndarray:
        """The same by BM25."""
        return self._lowest("lowest bm25", self.lexical_scores)[query_rows]

    def _lowest(self, name: str, score: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        queries, docs, _ = self.corpus.positives.pairs()

        def compute() -> np.ndarray:
            lowest = np.full(self.corpus.n_queries, np.inf, np.float32)
            np.minimum.at(lowest, queries, score(queries, docs))
            return np.where(np.isinf(lowest), np.nan, lowest).astype(np.float32)

        return self.once(name, queries, docs, compute)

    def against_positives(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> Against:
        """Each pair's document beside each known positive of its query (itself left out, should it be one)."""

        def compute() -> Against:
            positives = self.corpus.positives
            starts, n_each = positives.indptr[query_rows], np.diff(positives.indptr)[query_rows]
            pair = np.repeat(np.arange(len(query_rows)), n_each)
            place = np.arange(len(pair)) - np.repeat(np.cumsum(n_each) - n_each, n_each) + np.repeat(starts, n_each)
            docs, others = doc_rows[pair], positives.doc_rows[place]
            is_other = docs != others
            return Against(len(query_rows), pair[is_other], docs[is_other], place[is_other], others[is_other])

        return self.once("against positives", query_rows, doc_rows, compute)

    def document_likeness(self, vectors: Vectors, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float32: cosine of documents ``left[i]`` and ``right[i]`` by one model, whatever its own similarity is."""
        from core.search.exact import score_pairs

        return score_pairs(vectors.documents, vectors.documents, left, right, similarity="cosine")

    def query_likeness(self, vectors: Vectors, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """float32: cosine of queries ``left[i]`` and ``right[i]`` by one model."""
        from core.search.exact import score_pairs

        return score_pairs(vectors.queries, vectors.queries, left, right, similarity="cosine")

    def crowd(self, vectors: Vectors, query_rows: np.ndarray, k: int) -> np.ndarray:
        """int64 (len(query_rows), at most k): the documents that one model finds nearest to each query, known positives included."""
        from core.search.exact import top_k

        def compute() -> np.ndarray:
            k_real = min(k, self.corpus.n_documents)
            return top_k(vectors.queries[query_rows], vectors.documents, k_real, similarity=vectors.similarity).doc_rows

        return self.once(f"crowd {k} {id(vectors)}", query_rows, _NONE, compute)

    def labelled_queries(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``(pair, other query row)``: for each pair the *other* training queries that its document is a positive of."""

        def compute() -> tuple[np.ndarray, np.ndarray]:
            queries, docs, _ = self.training_labels.pairs()
            order = np.argsort(docs, kind="stable")
            starts = np.searchsorted(docs[order], doc_rows, "left")
            n_each = np.searchsorted(docs[order], doc_rows, "right") - starts
            pair = np.repeat(np.arange(len(doc_rows)), n_each)
            place = np.arange(len(pair)) - np.repeat(np.cumsum(n_each) - n_each, n_each) + np.repeat(starts, n_each)
            others = queries[order][place]
            is_other = others != query_rows[pair]
            return pair[is_other], others[is_other]

        return self.once("labelled queries", query_rows, doc_rows, compute)

    def key(self, need: str) -> str:
        """16 hex digits of what a need stands for here, for caches: equal keys, equal answers."""
        if need == "model":
            return vectors_key(self.vectors)
        if need == "guide":
            return "static" if self._guide == UNTRAINED else vectors_key(self.guide) if self.guide else ""
        if need == "trials":
            return digest_of(*(np.frombuffer(vectors_key(v).encode(), np.uint8) for v in self.others))
        if need == "cross":
            return self.cross.key if self.cross is not None else ""
        if need == "history" and self.table is not None:
            table = self.table
            return digest_of(table.query_row, table.doc_row, table.score, table.times_used, table.weight, table.place)
        return ""


class Against:
    """``pair``: int64 (M,), ascending: which pair; ``docs``: its document; ``place``: of the positive in the known positives'
    table (one number a query and positive); ``positives``: the positive's document row."""

    def __init__(self, n: int, pair: np.ndarray, docs: np.ndarray, place: np.ndarray, positives: np.ndarray):
        self.n, self.pair, self.docs, self.place, self.positives = n, pair, docs, place, positives

    def mean(self, values: np.ndarray) -> np.ndarray:
        """float32 (n,): the mean of the values over each pair's positives, NaN ones left out; NaN for a pair without one."""
        said = ~np.isnan(values)
        n_each = np.bincount(self.pair[said], minlength=self.n)
        total = np.bincount(self.pair[said], weights=values[said], minlength=self.n)
        return np.divide(total, n_each, out=np.full(self.n, np.nan), where=n_each > 0).astype(np.float32)

    def most(self, values: np.ndarray) -> np.ndarray:
        """float32 (n,): the largest value over each pair's positives; NaN for a pair without one."""
        return largest(self.n, self.pair, values)


def largest(n: int, index: np.ndarray, values: np.ndarray) -> np.ndarray:
    """float32 (n,): the largest of ``values`` at each index, a NaN among them left out; NaN where there is none."""
    found = np.full(n, -np.inf, np.float32)
    np.fmax.at(found, index, values.astype(np.float32))
    return np.where(np.isneginf(found), np.nan, found).astype(np.float32)


def digest_of(*arrays: np.ndarray) -> str:
    """16 hex digits of the arrays' bytes and kinds."""
    content = hashlib.blake2b(digest_size=8)
    for array in arrays:
        content.update(f"{array.dtype.str}{array.shape}".encode())
        content.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return content.hexdigest()


def vectors_key(vectors: Vectors) -> str:
    """16 hex digits of the vectors themselves: a model's name says nothing about its weights."""
    return digest_of(vectors.queries, vectors.documents, np.frombuffer(vectors.similarity.encode(), np.uint8))


def evidence_of_trial(
    corpus: Corpus,
    results: TrialResults,
    context: MiningContext,
    *,
    guide: Vectors | str | None = UNTRAINED,
    others: Sequence[Vectors] = (),
    cross: CrossModel | Callable[[], CrossModel] | None = None,
) -> Evidence:
    """Evidence about a trial's candidates: by its finished model, or its latest snapshot while it still trains.

    Raises TrialError where it has no table of candidates.
    """
    from core.audit.card import TWIN_SHARE
    from core.audit.trial_table import read_trial_table

    table = read_trial_table(results, corpus, context.twins(TWIN_SHARE))
    if (results.folder / "model").is_dir():
        vectors = results.vectors(corpus)
    else:
        vectors = results.snapshot(results.snapshots()[-1] if results.snapshots() else 0)
    return Evidence(corpus, context, vectors, table=table, guide=guide, others=others, cross=cross)


def _float32(vectors: Vectors) -> Vectors:
    """Snapshots are kept in half precision, which the exact search does not take."""
    if vectors.queries.dtype == np.float32 and vectors.documents.dtype == np.float32:
        return vectors
    whole = (np.asarray(a, np.float32) for a in (vectors.queries, vectors.documents))
    return Vectors(*whole, vectors.similarity, vectors.label)
