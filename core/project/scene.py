"""What a map of a trial shows: which queries and documents, where at each snapshot, in which role.

Everything here is arrays of row numbers; who counts as a suspect is decided above (core.audit.pairs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from core.params import digest
from core.project.cache import LayoutCache
from core.project.points import choose_points, joint_space

#: Documents drawn -> queries drawn with them, so that their positives and negatives leave room for background.
QUERIES_PER_1000 = 27
NEGATIVES_PER_QUERY = 12
_BLOCK = 65_536


class Vectors(Protocol):
    """Vectors of all queries (Q, dim) and documents (C, dim) of a corpus: dot | cosine | l2 is ``similarity``."""

    @property
    def queries(self) -> np.ndarray: ...
    @property
    def documents(self) -> np.ndarray: ...
    @property
    def similarity(self) -> str: ...


@dataclass(frozen=True)
class Pairs:
    """Queries and documents that belong together: int64 (P,) each, by query, a query's first document first."""

    query_rows: np.ndarray
    doc_rows: np.ndarray

    @classmethod
    def from_ranked(cls, query_rows: np.ndarray, doc_rows: np.ndarray, ranks: np.ndarray) -> Pairs:
        """Pairs in order of ascending rank within a query; of a repeated pair the best rank counts.

        >>> p = Pairs.from_ranked(np.array([1, 0, 1]), np.array([7, 5, 7]), np.array([2, 1, 1]))
        >>> p.query_rows.tolist(), p.doc_rows.tolist()
        ([0, 1], [5, 7])
        """
        order = np.lexsort((doc_rows, ranks, query_rows))
        pairs = np.column_stack([query_rows[order], doc_rows[order]]).astype(np.int64)
        _, first = np.unique(pairs, axis=0, return_index=True)
        kept = pairs[np.sort(first)]
        return cls(kept[:, 0], kept[:, 1])

    def of(self, query_row: int) -> np.ndarray:
        """One query's documents, int64, in order."""
        return self.doc_rows[self.query_rows == query_row]

    def first(self, n: int) -> Pairs:
        """At most the first n documents of each query."""
        starts = np.searchsorted(self.query_rows, self.query_rows, side="left")
        is_first = np.arange(len(self.query_rows)) - starts < n
        return Pairs(self.query_rows[is_first], self.doc_rows[is_first])


def query_order(query_rows: np.ndarray, seed: int = 0) -> np.ndarray:
    """The queries in a shuffled order that only their number and the seed decide, int64."""
    return np.random.default_rng(seed).permutation(np.asarray(query_rows, np.int64))


def query_group(order: np.ndarray, query_row: int, n_points: int) -> np.ndarray:
    """The queries drawn together with this one, int64: its block of ``order``.

    Blocks, not the queries around it: going to another query of the block leaves the map as it is.
    Raises ValueError for a query that is not in ``order``.
    """
    size = max(1, n_points * QUERIES_PER_1000 // 1000)
    found = np.flatnonzero(order == query_row)
    if not len(found):
        raise ValueError(f"query row {query_row} is not among the {len(order)} to choose from")
    block = int(found[0]) // size
    return order[block * size : (block + 1) * size]


@dataclass(frozen=True)
class Cast:
    """Who is on the map at every snapshot: int64 ``doc_rows`` (N,) ascending, ``query_rows`` (M,)."""

    doc_rows: np.ndarray
    query_rows: np.ndarray

    @property
    def key(self) -> str:
        """The same for the same rows in the same order."""
        return digest([self.doc_rows.tolist(), self.query_rows.tolist()])

    def places_of(self, doc_rows: np.ndarray) -> np.ndarray:
        """Index of each document among the points, int64, -1 = not drawn."""
        at = np.searchsorted(self.doc_rows, doc_rows)
        at = np.minimum(at, max(0, len(self.doc_rows) - 1))
        if not len(self.doc_rows):
            return np.full(np.shape(doc_rows), -1, np.int64)
        return np.where(self.doc_rows[at] == doc_rows, at, -1)


def cast(
    n_documents: int, query_rows: np.ndarray, positives: Pairs, negatives: Sequence[Pairs], *, n_points: int, seed: int = 0
) -> Cast:
    """The queries with their positives, their negatives at any snapshot, and background up to ``n_points`` documents.

    ``negatives``: one Pairs a snapshot. The same points at all snapshots, so that points move and none appears.
    """
    per_query = []
    for row in query_rows:
        rows = np.concatenate([np.empty(0, np.int64), *(pairs.of(row) for pairs in negatives)])
        _, first = np.unique(rows, return_index=True)
        per_query.append(rows[np.sort(first)])
    doc_rows = choose_points(n_documents, [positives.of(row) for row in query_rows], per_query, cap=n_points, seed=seed)
    return Cast(doc_rows, np.asarray(query_rows, np.int64))


def space_of(vectors: Vectors, cast: Cast) -> tuple[np.ndarray, str]:
    """The vectors of all points, documents then queries, float32 (N + M, dim), and the metric to map them by."""
    documents = np.asarray(vectors.documents[cast.doc_rows], np.float32)
    return joint_space(documents, np.asarray(vectors.queries[cast.query_rows], np.float32), vectors.similarity)


def layouts(
    cache: LayoutCache,
    vectors_of: Callable[[int], Vectors],
    steps: Sequence[int],
    cast: Cast,
    key: str,
    *,
    seed: int = 0,
    report: Callable[[int, int], None] = lambda done, of: None,
) -> list[np.ndarray]:
    """The points' places at every step, float32 (N + M, 2) each, documents then queries; each starts from the one before.

    ``key``: corpus and trial. ``report(done, of)`` is called before each layout that is not in the cache.
    """
    from core.project.umap_map import layout

    places: list[np.ndarray] = []
    for i, step in enumerate(steps):
        name = f"map 1|{key}|{cast.key}|{list(steps[: i + 1])}|{seed}"
        before = places[-1] if places else None

        def make(i: int = i, step: int = step, before: np.ndarray | None = before) -> np.ndarray:
            report(i, len(steps))
            space, metric = space_of(vectors_of(step), cast)
            return layout(space, metric=metric, seed=seed, init=before)

        places.append(cache.get_or_make(name, make))
    return places


def roles(cast: Cast, query_row: int, positives: Pairs, negatives: Pairs, is_suspect: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each document's role (object (N,): positive, negative, suspect or other) and whether it is the query's own (bool (N,)).

    ``is_suspect``: bool, for each pair of ``negatives``. The query's own roles win over those for other queries;
    then positive over suspect over negative.
    """
    role = np.full(len(cast.doc_rows), "other", object)
    is_own = np.zeros(len(cast.doc_rows), bool)

    def give(name: str, doc_rows: np.ndarray, own: bool) -> None:
        at = cast.places_of(doc_rows)
        role[at[at >= 0]] = name
        is_own[at[at >= 0]] |= own

    for own in (False, True):
        is_side = (negatives.query_rows == query_row) == own
        give("negative", negatives.doc_rows[is_side & ~is_suspect], own)
        give("suspect", negatives.doc_rows[is_side & is_suspect], own)
        give("positive", positives.doc_rows[(positives.query_rows == query_row) == own], own)
    return role, is_own


def scores_of(vectors: Vectors, query_row: int) -> np.ndarray:
    """The query's score with every document of the corpus, float32 (C,); larger = closer. Read in blocks from disk."""
    from core.search.exact import score_pairs

    query = np.asarray(vectors.queries[[query_row]], np.float32)
    scores = np.empty(len(vectors.documents), np.float32)
    for start in range(0, len(scores), _BLOCK):
        block = np.asarray(vectors.documents[start : start + _BLOCK], np.float32)
        zeros = np.zeros(len(block), np.int64)
        scores[start : start + len(block)] = score_pairs(
            query, block, zeros, np.arange(len(block)), similarity=vectors.similarity
        )
    return scores


def ranks_of(scores: np.ndarray) -> np.ndarray:
    """1-based rank of each score, int64 (C,); ties by smaller row.

    >>> ranks_of(np.array([.1, .5, .5])).tolist()
    [3, 1, 2]
    """
    order = np.argsort(-scores, kind="stable")
    ranks = np.empty(len(scores), np.int64)
    ranks[order] = np.arange(1, len(scores) + 1)
    return ranks
