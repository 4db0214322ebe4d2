"""What an approximate index costs and saves on one corpus, and how it changes the negatives that are mined."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import CorpusError, ParameterError
from core.sampling.context import CorpusIndex, Vectors
from core.sampling.windows import RankWindow
from core.search.hits import Hits
from core.search.index import BuiltIndex, Flat, Index
from core.search.index_kinds import INDEXES

FIRST_K = 10
REPEATS = 3


@dataclass(frozen=True)
class IndexFigures:
    """One index at one effort.

    ``recall_10``, ``recall_k``: share of the exact first 10 and first k documents that it finds, mean over the queries;
    ``jaccard``: of the negatives that a lane without filters would keep, against Flat's, mean over the queries with any.
    ``query_ms``: milliseconds a query, all queries asked at once, the fastest of three rounds; ``n_bytes``: what the structure
    holds; ``n_short``: queries that got fewer documents than asked.
    """

    key: str
    title: str
    effort: str
    value: int | None
    is_default: bool
    recall_10: float
    recall_k: float
    jaccard: float
    build_seconds: float
    query_ms: float
    n_bytes: int
    n_short: int

    @property
    def label(self) -> str:
        """"IVF-Flat, probes 8"."""
        return self.title + (f", {self.effort.replace('_', ' ')} {self.value}" if self.value is not None else "")


@dataclass(frozen=True)
class Yardstick:
    """What every index is measured by: the queries, how deep, the rank window of mining, and what exact search finds.

    ``query_rows`` int64 (Q,), ascending; ``k``: documents asked for; ``window``: raw ranks that a lane would use.
    """

    corpus: Corpus
    vectors: Vectors
    index: CorpusIndex
    query_rows: np.ndarray
    k: int
    window: RankWindow
    threads: int
    exact: Hits
    negatives: np.ndarray
    flat_ms: float

    @property
    def depth(self) -> int:
        """Documents searched for a query."""
        return max(self.k, self.window.last)

    def figures(self, built: BuiltIndex, *, is_default: bool) -> IndexFigures:
        """One index as it is built, searched with its own effort."""
        hits, query_ms = _timed(built, self.vectors.queries[self.query_rows], self.depth, self.threads)
        piece = built.piece
        return IndexFigures(
            key=piece.key,
            title=piece.title,
            effort=piece.effort,
            value=getattr(piece, piece.effort) if piece.effort else None,
            is_default=is_default,
            recall_10=_recall(hits.doc_rows, self.exact.doc_rows[:, :FIRST_K]),
            recall_k=_recall(hits.doc_rows[:, : self.k], self.exact.doc_rows[:, : self.k]),
            jaccard=_jaccard(self._kept(hits), self.negatives),
            build_seconds=built.seconds,
            query_ms=query_ms,
            n_bytes=built.n_bytes,
            n_short=int((hits.n_found < min(self.depth, self.corpus.n_documents)).sum()),
        )

    def _kept(self, hits: Hits) -> np.ndarray:
        return kept_negatives(hits, self.query_rows, self.index, self.window)


def kept_negatives(hits: Hits, query_rows: np.ndarray, index: CorpusIndex, window: RankWindow) -> np.ndarray:
    """The hits inside the window that are no known positive and no copy of one, int64, -1 elsewhere: what a lane keeps."""
    ranks = np.arange(1, hits.k + 1)[None]
    is_kept = window.contains(ranks) & ~index.protected.contains(query_rows[:, None], hits.doc_rows)
    return np.where(is_kept, hits.doc_rows, -1)


def yardstick(
    corpus: Corpus,
    vectors: Vectors,
    *,
    k: int = 100,
    first: int = 1,
    last: int = 50,
    n_queries: int = 1000,
    index: CorpusIndex | None = None,
) -> Yardstick:
    """The exact lists of at most ``n_queries`` training queries, evenly taken (of the held-out ones where none trains).

    Raises ParameterError for numbers out of range, CorpusError for a corpus without labelled queries.
    """
    from core.search.threads import thread_count

    for name, value, most in (("k", k, 10_000), ("queries", n_queries, 1_000_000)):
        if not 1 <= value <= most:
            raise ParameterError(f"Index trade-off: {name} must be an int in [1, {most}]; got {value}.")
    window = RankWindow(first=first, last=last)
    rows = corpus.split_query_rows("train")
    rows = rows if len(rows) else corpus.split_query_rows("test")
    if not len(rows):
        raise CorpusError("The corpus has no query with a positive. Add judged pairs to qrels/train.tsv.")
    if len(rows) > n_queries:
        rows = rows[np.linspace(0, len(rows) - 1, n_queries).astype(np.int64)]
    index = index or CorpusIndex(corpus)
    threads = thread_count(None)
    flat = Flat().build(vectors.documents, vectors.similarity)
    exact, flat_ms = _timed(flat, vectors.queries[rows], max(k, last), threads)
    negatives = kept_negatives(exact, rows, index, window)
    return Yardstick(corpus, vectors, index, rows, k, window, threads, exact, negatives, flat_ms)


def measure_index(stick: Yardstick, piece: Index) -> list[IndexFigures]:
    """The index at each effort worth measuring and at its own, ascending; one structure serves all."""
    built = piece.build(stick.vectors.documents, stick.vectors.similarity)
    if not piece.effort:
        return [dataclasses.replace(stick.figures(built, is_default=True), query_ms=stick.flat_ms)]
    own = getattr(piece, piece.effort)
    tried: dict[int, int] = {}  # values that come to the same are measured once, by the index's own where it is one of them
    for value in sorted({*piece.efforts, own}, key=lambda value: (value != own, value)):
        tried.setdefault(built.at(value).piece.effort_at(stick.depth, stick.corpus.n_documents), value)
    return [stick.figures(built.at(value), is_default=value == own) for value in sorted(tried.values())]


def tradeoff(
    stick: Yardstick, pieces: Sequence[Index] | None = None, tell: Callable[[str], None] = lambda line: None
) -> list[IndexFigures]:
    """Every index that can be built here, Flat first; ``tell`` hears what is done next and what is missing."""
    found: list[IndexFigures] = []
    for piece in pieces or [index() for index in INDEXES]:
        if piece.missing():
            tell(f"{piece.title} is left out: {piece.missing()}")
            continue
        tell(f"{piece.title} ...")
        found += measure_index(stick, piece)
    return found


def as_dict(stick: Yardstick, figures: Sequence[IndexFigures]) -> dict[str, Any]:
    """The whole measurement, JSON-ready; times in seconds and milliseconds, memory in bytes."""
    return {
        "model": stick.vectors.label,
        "similarity": stick.vectors.similarity,
        "documents": stick.corpus.n_documents,
        "queries": len(stick.query_rows),
        "k": stick.k,
        "window": [stick.window.first, stick.window.last],
        "threads": stick.threads,
        "indexes": [dataclasses.asdict(one) for one in figures],
    }


def _timed(built: BuiltIndex, queries: np.ndarray, depth: int, threads: int) -> tuple[Hits, float]:
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        hits = built.search(queries, depth, threads=threads)
        seconds.append(time.perf_counter() - started)
    return hits, 1000 * min(seconds) / len(queries)


def _recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Mean share of each exact row's documents that its found row holds; both padded with -1."""
    is_real = exact >= 0
    return float((_contained(exact, found) & is_real).sum(1).mean() / max(1, is_real.sum(1).max()))


def _jaccard(one: np.ndarray, other: np.ndarray) -> float:
    """Mean of shared / all documents of each pair of rows, over the pairs with any; 1 where there is none."""
    shared = (_contained(one, other) & (one >= 0)).sum(1)
    union = (one >= 0).sum(1) + (other >= 0).sum(1) - shared
    counts = union > 0
    return float((shared[counts] / union[counts]).mean()) if counts.any() else 1.0


def _contained(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """bool, shape of ``rows``: the entry is also in the same row of ``others``."""
    keys = np.arange(len(rows))[:, None] << 32
    return np.isin(rows + keys, others + keys)


def advice(stick: Yardstick, figures: Sequence[IndexFigures], enough: float = 0.95) -> str:
    """One sentence: the fastest index that still mines (nearly) Flat's negatives, or that exact search is as fast here."""
    good = [one for one in figures if one.key != Flat.key and one.jaccard >= enough]
    faster = [one for one in good if one.query_ms < stick.flat_ms]
    if not good:
        return f"No setting measured here keeps {enough:.0%} of the negatives that exact search mines."
    best = min(good, key=lambda one: (one.query_ms, one.label))
    if not faster:
        return (
            f"Exact search is the fastest way to these negatives here: the best of the others that keep {enough:.0%} of them, "
            f"{best.label}, needs {best.query_ms:.2f} ms a query against {stick.flat_ms:.2f}, after {best.build_seconds:.1f} s of building."
        )
    saved = (stick.flat_ms - best.query_ms) / 1000
    return (
        f"{best.label} keeps {best.jaccard:.0%} of the negatives and answers {stick.flat_ms / best.query_ms:.1f} times as fast as exact "
        f"search; its {best.build_seconds:.1f} s of building are repaid after {best.build_seconds / saved:,.0f} queries, anew at each "
        "refresh."
    )
