"""Every pair of nearly equal documents of a corpus: exact, and fast where few shingles are shared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

BLOCK_WORDS = 1 << 21  # words whose shingles are in memory at a time
BUCKETS = 1 << 24
MOST_CANDIDATES = 60_000_000  # pairs that are compared before the search gives up counting
BLOCK_CANDIDATES = 1 << 22


@dataclass(frozen=True, eq=False)
class NearPairs:
    """Which documents of a corpus nearly repeat each other.

    Documents with the same set of shingles are one *group*. ``group_of``: int64 (C,), the group of each document;
    ``pairs``: int64 (P, 2), unordered pairs of groups, smaller first, whose sets overlap by the threshold, ascending;
    ``is_complete``: False where the search was cut short, and the counts are lower bounds.
    """

    group_of: np.ndarray
    pairs: np.ndarray
    threshold: float
    is_complete: bool

    @cached_property
    def sizes(self) -> np.ndarray:
        """Documents of each group, int64."""
        return np.bincount(self.group_of)

    @property
    def n_pairs(self) -> int:
        """Unordered pairs of documents at or above the threshold, those of equal texts included."""
        within = self.sizes * (self.sizes - 1) // 2
        return int(within.sum() + (self.sizes[self.pairs[:, 0]] * self.sizes[self.pairs[:, 1]]).sum())

    @cached_property
    def near(self) -> csr_matrix:
        """int64 (groups, groups): 1 where two groups are near each other, and on the diagonal."""
        from scipy.sparse import csr_matrix

        n = len(self.sizes)
        rows = np.concatenate([np.arange(n), self.pairs[:, 0], self.pairs[:, 1]])
        columns = np.concatenate([np.arange(n), self.pairs[:, 1], self.pairs[:, 0]])
        return csr_matrix((np.ones(len(rows), np.int64), (rows, columns)), shape=(n, n))

    @cached_property
    def _members(self) -> tuple[np.ndarray, np.ndarray]:
        return np.argsort(self.group_of, kind="stable"), np.concatenate([[0], np.cumsum(self.sizes)])

    def members(self, group: int) -> np.ndarray:
        """Document rows of a group, int64, ascending."""
        order, starts = self._members
        return order[starts[group] : starts[group + 1]]

    def twins(self, doc_row: int) -> np.ndarray:
        """The other documents that are near this one, int64, ascending."""
        near = self.near
        group = self.group_of[doc_row]
        groups = near.indices[near.indptr[group] : near.indptr[group + 1]]
        return np.setdiff1d(np.concatenate([self.members(g) for g in groups]), [doc_row])

    def examples(self, most: int) -> list[tuple[int, int]]:
        """Some of the pairs of document rows, near ones before equal ones."""
        found = [(int(self.members(a)[0]), int(self.members(b)[0])) for a, b in self.pairs[:most]]
        for group in np.flatnonzero(self.sizes > 1)[: most - len(found)]:
            found.append(tuple(int(row) for row in self.members(group)[:2]))
        return found

    def n_twins_of(self, query_rows: np.ndarray, doc_rows: np.ndarray, n_queries: int) -> np.ndarray:
        """int64 (n_queries,): documents near one of the query's documents that are none of them; the pairs are distinct."""
        from scipy.sparse import csr_matrix

        shape = (n_queries, len(self.sizes))
        asked = csr_matrix((np.ones(len(query_rows), np.int64), (query_rows, self.group_of[doc_rows])), shape=shape)
        reached = asked @ self.near
        reached.data[:] = 1
        return reached @ self.sizes - np.bincount(query_rows, minlength=n_queries)


def near_pairs(
    terms: np.ndarray, starts: np.ndarray, *, threshold: float = 0.8, shingle: int = 3, most: int = MOST_CANDIDATES
) -> NearPairs:
    """All pairs whose sets of ``shingle`` successive words have a Jaccard overlap of ``threshold`` or more.

    ``terms``, ``starts``: texts as numbers (:func:`core.search.words.number_words`). The pairs are those of
    :func:`core.search.twins.twin_matrix`: short texts are one shingle of their own, empty ones are alike, nothing is hashed
    in the comparison. Two sets that overlap by t share one of their |A| - ceil(t |A|) + 1 rarest shingles (in any one order
    of all shingles), so only those are looked up: most documents have rare shingles that nobody else has, and meet no other.
    Every pair that meets is then compared in full. More than ``most`` meetings end the search: ``is_complete`` is False.

    Source: Bayardo, Ma, Srikant 2007, Scaling up all pairs similarity search (prefix filter); Broder 1997.
    """
    sets = _Sets(terms, starts, shingle)
    blocks = sets.blocks()
    counts = np.zeros(BUCKETS, np.int32)
    for _, _, keys in (sets.read(*block) for block in blocks):
        counts += np.bincount(_bucket(keys), minlength=BUCKETS).astype(np.int32)

    digests, prefix_docs, prefix_keys, sizes = [], [], [], []
    for first, last in blocks:
        docs, lengths, keys = sets.read(first, last)
        rarity = counts[_bucket(keys)]
        order = np.lexsort((keys, rarity, docs))
        place = np.arange(len(keys)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        most_missed = lengths - np.ceil(threshold * lengths - 1e-9).astype(np.int64)
        # A bucket with one entry holds a shingle that no other document has.
        is_prefix = (place <= np.repeat(most_missed, lengths)) & (rarity[order] > 1)
        prefix_docs.append((docs + first)[is_prefix])  # docs ascend in either order
        prefix_keys.append(keys[order][is_prefix])
        digests.append(_digests(keys, lengths))
        sizes.append(lengths)
    set_sizes = np.concatenate(sizes) if sizes else np.empty(0, np.int64)
    group_of, representative = _group(np.concatenate(digests) if digests else np.empty((0, 2), np.uint64), set_sizes, sets)

    docs = np.concatenate(prefix_docs) if prefix_docs else np.empty(0, np.int64)
    keys = np.concatenate(prefix_keys) if prefix_keys else np.empty(0, np.int64)
    is_first = representative[group_of[docs]] == docs
    groups, keys = group_of[docs[is_first]], keys[is_first]
    pairs, is_complete = _verify(groups, keys, set_sizes[representative], representative, sets, threshold, most)
    return NearPairs(group_of, pairs, threshold, is_complete)


class _Sets:
    """The shingle sets of documents, made again for those that are asked for: all at once would be large."""

    def __init__(self, terms: np.ndarray, starts: np.ndarray, shingle: int):
        self.terms, self.starts, self.shingle = terms, starts, shingle
        self.lengths = np.diff(starts)
        self.base = int(terms.max(initial=0)) + 2  # one number above all words pads short texts
        # Three words of a vocabulary of two million fit one int64; longer shingles of larger ones do not.
        if self.base**shingle >= 2**63:
            raise ValueError(f"a vocabulary of {self.base:,} words is too large for shingles of {shingle} words")

    def blocks(self) -> list[tuple[int, int]]:
        """Ranges of documents with about as many words each."""
        n = len(self.lengths)
        cuts = np.searchsorted(self.starts, np.arange(BLOCK_WORDS, self.starts[-1], BLOCK_WORDS))
        edges = np.unique(np.concatenate([[0], cuts, np.arange(0, n, BLOCK_WORDS), [n]]))
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def read(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """:meth:`take` of a range; documents are counted from ``first``."""
        return self.take(np.arange(first, last))

    def take(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``(places, sizes, keys)``: the distinct shingles of each document, ascending; ``places[i]`` is the place in rows."""
        lengths = self.lengths[rows]
        padded = np.maximum(lengths, self.shingle)
        padded_ends = np.cumsum(padded)
        words = np.full(padded_ends[-1] if len(rows) else 0, self.base - 1, np.int64)
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        words[offsets + np.repeat(padded_ends - padded, lengths)] = self.terms[offsets + np.repeat(self.starts[rows], lengths)]
        n_shingles = padded - self.shingle + 1
        inside = np.arange(n_shingles.sum()) - np.repeat(np.cumsum(n_shingles) - n_shingles, n_shingles)
        at = inside + np.repeat(padded_ends - padded, n_shingles)
        keys = np.zeros(len(at), np.int64)
        for step in range(self.shingle):
            keys = keys * self.base + words[at + step]
        places = np.repeat(np.arange(len(rows)), n_shingles)
        order = np.lexsort((keys, places))
        keys, places = keys[order], places[order]
        is_new = np.ones(len(keys), bool)
        is_new[1:] = (keys[1:] != keys[:-1]) | (places[1:] != places[:-1])
        places = places[is_new]
        return places, np.bincount(places, minlength=len(rows)), keys[is_new]


def _bucket(keys: np.ndarray) -> np.ndarray:
    return (_mix(keys, 0) >> np.uint64(40)).astype(np.int64)


def _mix(keys: np.ndarray, salt: int) -> np.ndarray:
    """uint64: well-spread bits of each key (the finaliser of SplitMix64, Steele et al. 2014)."""
    x = keys.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15 * (salt + 1) & (2**64 - 1))
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _digests(keys: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """uint64 (documents, 2): equal sets have equal digests, unequal ones differ but for a chance of 2**-128."""
    starts = np.cumsum(lengths) - lengths
    return np.stack([np.add.reduceat(_mix(keys, salt), starts) for salt in (1, 2)], axis=1)


def _group(digests: np.ndarray, sizes: np.ndarray, sets: _Sets) -> tuple[np.ndarray, np.ndarray]:
    """``(group_of, representative)``: documents with one digest and size, and the first document of each group."""
    columns = (sizes, digests[:, 1], digests[:, 0])
    order = np.lexsort(columns)
    is_new = np.zeros(len(order), bool)
    is_new[:1] = True
    for column in columns:
        is_new[1:] |= column[order][1:] != column[order][:-1]
    by_digest = np.empty(len(order), np.int64)
    by_digest[order] = np.cumsum(is_new) - 1
    representative, group_of = np.unique(by_digest, return_index=True)[1], by_digest
    # Groups in the order of their first documents.
    rank = np.argsort(np.argsort(representative))
    return rank[group_of] if len(group_of) else group_of, np.sort(representative)


def _verify(
    groups: np.ndarray, keys: np.ndarray, sizes: np.ndarray, representative: np.ndarray, sets: _Sets, threshold: float, most: int
) -> tuple[np.ndarray, bool]:
    """The pairs of groups that share a prefix shingle and overlap enough, and whether all were looked at."""
    order = np.lexsort((groups, keys))
    groups, keys = groups[order], keys[order]
    ends = np.searchsorted(keys, keys, "right")
    n_after = ends - np.arange(len(keys)) - 1  # later documents with the same shingle
    is_complete = True
    if n_after.sum() > most:
        is_complete = False
        n_after = np.where(np.cumsum(n_after) <= most, n_after, 0)
    found = [np.empty((0, 2), np.int64)]
    cuts = np.searchsorted(np.cumsum(n_after), np.arange(BLOCK_CANDIDATES, n_after.sum(), BLOCK_CANDIDATES))
    for block in np.split(np.arange(len(keys)), np.unique(cuts)):
        times = n_after[block]
        left = np.repeat(block, times)
        right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(times) - times, times)
        a, b = groups[left], groups[right]
        small, large = np.minimum(sizes[a], sizes[b]), np.maximum(sizes[a], sizes[b])
        is_possible = small >= threshold * large - 1e-9
        if is_possible.any():
            pairs = np.unique(np.sort(np.stack([a, b], 1)[is_possible], axis=1), axis=0)
            found.append(_near_enough(pairs, sizes, representative, sets, threshold))
    pairs = np.concatenate(found)
    return (np.unique(pairs, axis=0) if len(pairs) else pairs), is_complete


def _near_enough(pairs: np.ndarray, sizes: np.ndarray, representative: np.ndarray, sets: _Sets, threshold: float) -> np.ndarray:
    kept = [np.empty((0, 2), np.int64)]
    n_blocks = math.ceil(sizes[pairs].sum() / BLOCK_WORDS)
    for part in np.array_split(pairs, max(1, n_blocks)):
        wanted, places = np.unique(part, return_inverse=True)
        places = places.reshape(part.shape)
        _, lengths, keys = sets.take(representative[wanted])
        numbers = np.unique(keys, return_inverse=True)[1]
        starts = np.cumsum(lengths) - lengths
        first, second = (
            _spread(places[:, side], starts, lengths, numbers, int(numbers.max(initial=0)) + 1) for side in (0, 1)
        )
        common_pairs = np.intersect1d(first, second, assume_unique=True) // (int(numbers.max(initial=0)) + 1)
        common = np.bincount(common_pairs, minlength=len(part))
        union = sizes[part].sum(axis=1) - common
        kept.append(part[common >= threshold * union - 1e-9])
    return np.concatenate(kept)


def _spread(which: np.ndarray, starts: np.ndarray, lengths: np.ndarray, numbers: np.ndarray, base: int) -> np.ndarray:
    """One number for each shingle of the set ``which[i]``, for all i: i * base + shingle."""
    times = lengths[which]
    offsets = np.arange(times.sum()) - np.repeat(np.cumsum(times) - times, times)
    return np.repeat(np.arange(len(which)), times) * base + numbers[offsets + np.repeat(starts[which], times)]
