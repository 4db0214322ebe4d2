"""What a whole trial's negatives look like: counts, shares and rankings over a :class:`TrialTable`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from core.audit.trial_table import HARDNESS, KEPT_RULE, TrialTable

RANK_BANDS = ((1, 10), (11, 50), (51, 100), (101, None))


@dataclass(frozen=True)
class Pairs:
    """Pairs of query and document, each once, whatever the number of refreshes; ascending by query, then document.

    ``last``: int64, the pair's row of the latest table in the TrialTable; ``times_used``: over all tables; ``pull``: sum of
    weight x uses; ``n_refreshes``: tables that looked at it; ``n_kept``: tables that kept it.
    """

    last: np.ndarray
    query_row: np.ndarray
    doc_row: np.ndarray
    times_used: np.ndarray
    pull: np.ndarray
    n_refreshes: np.ndarray
    n_kept: np.ndarray

    def __len__(self) -> int:
        return len(self.last)

    @property
    def weight(self) -> np.ndarray:
        """float64: mean d loss / d score over all uses; NaN = never used."""
        return np.divide(self.pull, self.times_used, out=np.full(len(self), np.nan), where=self.times_used > 0)

    def take(self, rows: np.ndarray) -> Pairs:
        return Pairs(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


def pairs_of(table: TrialTable) -> Pairs:
    """Every pair of the table once, its figures added up over the refreshes."""
    stride = int(table.doc_row.max(initial=0)) + 1
    keys = table.query_row.astype(np.int64) * stride + table.doc_row
    unique, inverse = np.unique(keys, return_inverse=True)
    n = len(unique)
    last = np.zeros(n, np.int64)
    np.maximum.at(last, inverse, np.arange(len(keys)))  # rows stand in the order of the tables

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(inverse, weights=values, minlength=n)

    return Pairs(
        last=last,
        query_row=unique // stride,
        doc_row=unique % stride,
        times_used=total(table.times_used).astype(np.int64),
        pull=total(table.pull),
        n_refreshes=np.bincount(inverse, minlength=n),
        n_kept=total(table.is_kept).astype(np.int64),
    )


def matching_pairs(
    table: TrialTable,
    pairs: Pairs,
    *,
    hardness: str | None = None,
    rule: str | None = None,
    only_suspects: bool = False,
    only_used: bool = False,
) -> np.ndarray:
    """bool (len(pairs),): pairs whose latest row has this hardness and rule, is in doubt, and that were ever used."""
    mask = np.ones(len(pairs), bool)
    if hardness is not None:
        mask &= table.hardness[pairs.last] == HARDNESS.index(hardness)
    if rule is not None:
        known = table.rules.index(rule) if rule in table.rules else -1
        mask &= table.rule[pairs.last] == known
    if only_suspects:
        mask &= table.is_suspect[pairs.last]
    if only_used:
        mask &= pairs.times_used > 0
    return mask


def funnels(table: TrialTable, rules_of_lanes: Sequence[Sequence[str]]) -> list[tuple[int, list[tuple[str, int]]]]:
    """For each lane (lane, [("looked at", n), (rule, n refused) ..., ("kept", n), ("trained against", n)]), tables added up."""
    lanes = np.array([info.lane for info in table.tables])[table.place]
    found = []
    for lane in sorted({info.lane for info in table.tables}):
        own = lanes == lane
        counts = dict(zip(table.rules, np.bincount(table.rule[own], minlength=len(table.rules)).tolist(), strict=True))
        steps = [("looked at", int(own.sum()))]
        steps += [(rule, counts.get(rule, 0)) for rule in rules_of_lanes[lane]]
        steps += [(KEPT_RULE, counts.get(KEPT_RULE, 0)), ("trained against", int((own & table.is_used).sum()))]
        found.append((lane, steps))
    return found


def shares_by_step(table: TrialTable) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """``(steps, name -> share, n)``: of the rows of each refresh, the share of each hardness, of suspects and, with truth, of
    confirmed false negatives. Refreshes without a row are left out; lanes of one step are counted together."""
    steps = np.array([info.step for info in table.tables], np.int64)[table.place]
    unique, inverse = np.unique(steps, return_inverse=True)
    n = np.bincount(inverse, minlength=len(unique))

    def share(mask: np.ndarray) -> np.ndarray:
        return np.bincount(inverse, weights=mask, minlength=len(unique)) / n

    shares = {name: share(table.hardness == i) for i, name in enumerate(HARDNESS)}
    shares["suspect"] = share(table.is_suspect)
    shares |= {title: share(mask) for title, mask in table.reasons.items()}
    if table.grade is not None:
        shares["relevant by truth"] = share(table.grade >= 1)
    return unique, shares, n


@dataclass(frozen=True)
class Grouped:
    """Figures of each document or query, most first. ``rows``: the corpus's rows; ``n_others``: distinct queries (or
    documents) that it was a negative of; ``times_used``, ``pull``: totals; ``n_suspects``: pairs in doubt at their latest
    refresh; ``n_relevant``: pairs that truth calls relevant, None without truth."""

    rows: np.ndarray
    n_others: np.ndarray
    times_used: np.ndarray
    pull: np.ndarray
    n_suspects: np.ndarray
    n_relevant: np.ndarray | None


def popular_documents(table: TrialTable, pairs: Pairs) -> Grouped:
    """Documents that were ever trained against, by uses; ties: smaller row first."""
    used = pairs.take(pairs.times_used > 0)
    return _grouped(table, used, used.doc_row, order="times_used")


def doubtful_queries(table: TrialTable, pairs: Pairs) -> Grouped:
    """Queries by the number of suspects among the pairs; ties: more pull, then smaller row. Pass used pairs or all."""
    return _grouped(table, pairs, pairs.query_row, order="n_suspects")


def pulled_queries(table: TrialTable, pairs: Pairs) -> Grouped:
    """Queries by total pull."""
    return _grouped(table, pairs, pairs.query_row, order="pull")


def _grouped(table: TrialTable, pairs: Pairs, by: np.ndarray, *, order: str) -> Grouped:
    rows, inverse = np.unique(by, return_inverse=True)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(inverse, weights=values, minlength=len(rows))

    figures = {
        "times_used": total(pairs.times_used).astype(np.int64),
        "pull": total(pairs.pull),
        "n_suspects": total(table.is_suspect[pairs.last]).astype(np.int64),
    }
    n_relevant = None if table.grade is None else total(table.grade[pairs.last] >= 1).astype(np.int64)
    sort = np.lexsort((rows, -figures["pull"], -figures[order]))
    return Grouped(
        rows=rows[sort],
        n_others=np.bincount(inverse, minlength=len(rows))[sort],
        **{name: values[sort] for name, values in figures.items()},
        n_relevant=None if n_relevant is None else n_relevant[sort],
    )


@dataclass(frozen=True)
class RateOfBand:
    """One band of ranks: pairs in it, how many truth calls relevant, and a 95 % Wilson interval of the share."""

    label: str
    n: int
    n_false: int
    rate: float
    low: float
    high: float


def false_negatives_by_rank(table: TrialTable, pairs: Pairs) -> list[RateOfBand]:
    """Share of false negatives (truth grade >= 1) among the pairs, by the rank at the pair's latest refresh.

    Empty without truth. A band without a pair has rate NaN. Interval: Wilson 1927.
    """
    if table.grade is None:
        return []
    ranks, is_false = table.rank[pairs.last], table.grade[pairs.last] >= 1
    found = []
    for first, last in RANK_BANDS:
        inside = (ranks >= first) & (ranks <= last if last else True)
        n, n_false = int(inside.sum()), int((inside & is_false).sum())
        rate, low, high = wilson(n_false, n)
        found.append(RateOfBand(f"{first}-{last}" if last else f"{first} and below", n, n_false, rate, low, high))
    return found


def wilson(n_hits: int, n: int, z: float = 1.96) -> tuple[float, float, float]:
    """(share, low, high): a share and its 95 % Wilson interval; NaN without a trial.

    >>> [round(v, 3) for v in wilson(1, 10)]
    [0.1, 0.018, 0.404]
    """
    if n == 0:
        return float("nan"), float("nan"), float("nan")
    p = n_hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # Rounding must not put the share itself outside, at 0 and at 1.
    return p, max(0.0, min(p, float(centre - half))), min(1.0, max(p, float(centre + half)))
