"""What changed between two trials or two runs: queries won and lost, documents that moved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

TIE = 1e-9  # smaller differences of a measure are rounding, not a change of ranks


class Tally(NamedTuple):
    """Queries on which a beats b, loses to b, or ties, by one measure; ``mean`` is that of a - b."""

    measure: str
    n_wins: int
    n_losses: int
    n_ties: int
    mean: float

    @property
    def n_queries(self) -> int:
        return self.n_wins + self.n_losses + self.n_ties


class Move(NamedTuple):
    """One document in two rankings: ranks from 1, None = not listed; ``up`` = places gained from a to b."""

    doc_row: int
    rank_a: int | None
    rank_b: int | None
    status: str  # "up", "down", "same", "new" (only in b), "gone" (only in a)
    up: int | None


@dataclass(frozen=True)
class Overlap:
    """How alike two runs are, query by query: float64 (Q,); NaN where both lists are empty."""

    overlap_10: np.ndarray
    rbo: np.ndarray


def compare_runs(per_query_a: dict[str, np.ndarray], per_query_b: dict[str, np.ndarray]) -> list[Tally]:
    """Wins, losses and ties of a against b, one :class:`Tally` per measure that both have, in a's order.

    Values float64 (Q,), position i = one query in both; a query that is NaN in either is left out.
    Raises ValueError when the lengths differ.
    """
    tallies = []
    for measure in (name for name in per_query_a if name in per_query_b):
        difference = query_differences(per_query_a[measure], per_query_b[measure])
        known = difference[~np.isnan(difference)]
        n_wins, n_losses = int((known > 0).sum()), int((known < 0).sum())
        mean = float(known.mean()) if len(known) else float("nan")
        tallies.append(Tally(measure, n_wins, n_losses, len(known) - n_wins - n_losses, mean))
    return tallies


def query_differences(values_a: np.ndarray, values_b: np.ndarray) -> np.ndarray:
    """``a - b`` per query, float64 (Q,), rounding set to 0; NaN where either is NaN."""
    values_a, values_b = np.asarray(values_a, dtype=np.float64), np.asarray(values_b, dtype=np.float64)
    if values_a.shape != values_b.shape:
        raise ValueError(f"paired values need one shape; got {values_a.shape} and {values_b.shape}")
    difference = values_a - values_b
    difference[np.abs(difference) < TIE] = 0.0
    return difference


def most_changed(values_a: np.ndarray, values_b: np.ndarray, k: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """The positions of a's k largest wins and k largest losses against b, largest first; ties left out.

    int64 arrays, shorter than k when fewer queries won or lost; equal differences: smaller position first.
    """
    difference = query_differences(values_a, values_b)
    wins, losses = np.flatnonzero(difference > 0), np.flatnonzero(difference < 0)
    wins = wins[np.argsort(-difference[wins], kind="stable")][:k]
    losses = losses[np.argsort(difference[losses], kind="stable")][:k]
    return wins, losses


def rank_changes(doc_rows_a: np.ndarray, doc_rows_b: np.ndarray, depth: int = 20) -> list[Move]:
    """Every document in the first ``depth`` of one query's two rankings, and where it stands in the other.

    ``doc_rows_a``, ``doc_rows_b``: int (K,), best first, -1 = none. Ranks are looked up in the whole lists,
    so "new" means absent from a altogether, not merely below ``depth``. Order: b's ranks, then the
    documents that b does not list, by a's ranks.
    """
    rank_a, rank_b = _ranks(doc_rows_a), _ranks(doc_rows_b)
    shown = {row for ranks in (rank_a, rank_b) for row, rank in ranks.items() if rank <= depth}
    last = len(rank_a) + len(rank_b) + 1
    ordered = sorted(shown, key=lambda row: (rank_b.get(row, last), rank_a.get(row, last)))
    return [_move(row, rank_a.get(row), rank_b.get(row)) for row in ordered]


def overlap(doc_rows_a: np.ndarray, doc_rows_b: np.ndarray, *, k: int = 10) -> np.ndarray:
    """Share of the first k documents that two runs have in common, per query, float64 (Q,).

    The denominator is the longer list's length, k at most; NaN when both rows are empty.
    """
    a, b = np.asarray(doc_rows_a)[:, :k], np.asarray(doc_rows_b)[:, :k]
    n_listed = np.maximum((a >= 0).sum(axis=1), (b >= 0).sum(axis=1)).astype(np.float64)
    n_listed[n_listed == 0] = np.nan
    n_common = ((a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]).sum(axis=(1, 2))
    return n_common / n_listed


def rbo(doc_rows_a: np.ndarray, doc_rows_b: np.ndarray, *, p: float = 0.9, depth: int = 100) -> np.ndarray:
    """Rank-biased overlap of two runs per query, float64 (Q,) in [0, 1]: 1 = same order; the top counts most.

    The extrapolated form RBO_ext for lists of unequal length: Webber, Moffat & Zobel 2010, A similarity
    measure for indefinite rankings, equation 32 (https://doi.org/10.1145/1852102.1852106). ``p`` in (0, 1)
    is the reader's patience: at 0.9 the first 10 ranks carry 86 % of the weight. Rows hold no repeats, -1
    only at the end. One list empty: 0; both: NaN.
    """
    a, b = np.asarray(doc_rows_a)[:, :depth], np.asarray(doc_rows_b)[:, :depth]
    length_a, length_b = (a >= 0).sum(axis=1), (b >= 0).sum(axis=1)
    short, long = np.minimum(length_a, length_b), np.maximum(length_a, length_b)
    widest = int(long.max(initial=0))
    out = np.where(long == 0, np.nan, 0.0)
    weight = p ** np.arange(1, widest + 1)
    ranks = np.arange(1, widest + 1)
    for i in np.flatnonzero(short > 0):
        s, l_ = int(short[i]), int(long[i])
        _, in_a, in_b = np.intersect1d(a[i, : length_a[i]], b[i, : length_b[i]], return_indices=True)
        # A shared document counts from the depth at which both lists have shown it.
        shared = np.cumsum(np.bincount(np.maximum(in_a, in_b), minlength=l_))[:l_].astype(np.float64)
        x_s, x_l = shared[s - 1], shared[l_ - 1]
        total = np.sum(shared / ranks[:l_] * weight[:l_])
        beyond = ranks[s:l_]
        total += np.sum(x_s * (beyond - s) / (s * beyond) * weight[s:l_])
        out[i] = (1 - p) / p * total + ((x_l - x_s) / l_ + x_s / s) * weight[l_ - 1]
    return out


def compare_rankings(doc_rows_a: np.ndarray, doc_rows_b: np.ndarray) -> Overlap:
    """Overlap@10 and rank-biased overlap (p = 0.9) of two runs over the same queries, (Q, K) each."""
    return Overlap(overlap(doc_rows_a, doc_rows_b), rbo(doc_rows_a, doc_rows_b))


def _ranks(doc_rows: np.ndarray) -> dict[int, int]:
    listed = [int(row) for row in np.asarray(doc_rows) if row >= 0]
    return {row: rank for rank, row in reversed(list(enumerate(listed, start=1)))}


def _move(row: int, rank_a: int | None, rank_b: int | None) -> Move:
    if rank_a is None:
        return Move(row, None, rank_b, "new", None)
    if rank_b is None:
        return Move(row, rank_a, None, "gone", None)
    up = rank_a - rank_b
    return Move(row, rank_a, rank_b, "up" if up > 0 else "down" if up < 0 else "same", up)
