"""A logistic regression over doubts, learned from verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import ParameterError

LEAST_OF_EACH = 5
FOLDS = 5


@dataclass(frozen=True)
class Lessons:
    """Pairs that people judged: their doubts by reason's key, float32 (V,); ``is_false``: bool (V,), the pair is relevant (or
    a near-duplicate), so that no training should push it away; ``query_rows``: int64 (V,)."""

    doubts: Mapping[str, np.ndarray]
    is_false: np.ndarray
    query_rows: np.ndarray

    def __len__(self) -> int:
        return len(self.is_false)


@dataclass(frozen=True)
class Learned:
    """The model and where it comes from. ``weights``: title of a column -> weight per standard deviation; a column is a
    reason's key, or ``KEY unsaid`` for "it could not be said". ``precision``, ``recall``: at the threshold, on verdicts of
    queries that the fold did not learn from; NaN where the verdicts are too few to divide."""

    keys: tuple[str, ...]
    unsaid: tuple[str, ...]
    means: np.ndarray
    scales: np.ndarray
    coefficients: np.ndarray
    intercept: float
    n_verdicts: int
    n_false: int
    n_queries: int
    precision: float
    recall: float

    @property
    def weights(self) -> dict[str, float]:
        names = [*self.keys, *(f"{key} unsaid" for key in self.unsaid)]
        return dict(zip(names, self.coefficients.tolist(), strict=True))

    def probabilities(self, doubts: Mapping[str, np.ndarray]) -> np.ndarray:
        """float32 (N,): the probability that each pair is a false negative."""
        columns, unsaid = _columns(self.keys, doubts)
        values = np.column_stack([_standard(columns, self.means, self.scales), *(unsaid[:, [self.keys.index(k)]] for k in self.unsaid)])
        logits = np.clip(values @ self.coefficients + self.intercept, -50, 50)
        return (1 / (1 + np.exp(-logits))).astype(np.float32)

    @property
    def sentence(self) -> str:
        """What it learned from and how far it can be trusted."""
        base = f"Learned from {self.n_verdicts} verdicts ({self.n_false} false negatives) on {self.n_queries} queries"
        if np.isnan(self.precision):
            return f"{base}; too few to say how often it is right."
        return f"{base}; on queries it did not learn from {self.precision:.0%} of what it suspects is one, and it finds {self.recall:.0%}."


def too_few(lessons: Lessons | None) -> str:
    """"" or the sentence that says which verdicts are missing."""
    n_false = 0 if lessons is None else int(lessons.is_false.sum())
    n_true = 0 if lessons is None else len(lessons) - n_false
    if min(n_false, n_true) >= LEAST_OF_EACH:
        return ""
    return (
        f"Learning needs at least {LEAST_OF_EACH} false and {LEAST_OF_EACH} true negatives among the verdicts; "
        f"there are {n_false} and {n_true}. Judge some more, or choose another rule."
    )


def learn(keys: Sequence[str], lessons: Lessons | None, *, strength: float = 1.0, threshold: float = 0.5) -> Learned:
    """The regression learned from the lessons; the same lessons give the same numbers. Raises ParameterError for too few."""
    if lack := too_few(lessons):
        raise ParameterError(lack)
    assert lessons is not None
    keys = tuple(key for key in keys if key in lessons.doubts)
    fitted = _fit(keys, lessons, np.arange(len(lessons)), strength)
    precision, recall = _held_out(keys, lessons, strength, threshold)
    return Learned(
        *fitted,
        n_verdicts=len(lessons),
        n_false=int(lessons.is_false.sum()),
        n_queries=len(np.unique(lessons.query_rows)),
        precision=precision,
        recall=recall,
    )


def held_out_probabilities(keys: Sequence[str], lessons: Lessons, strength: float = 1.0) -> np.ndarray:
    """float32 (V,): for each lesson the probability by a regression that saw no lesson of its query; NaN where none could be made."""
    queries = np.unique(lessons.query_rows)
    folds = np.random.default_rng(0).permutation(len(queries)) % FOLDS
    fold_of = folds[np.searchsorted(queries, lessons.query_rows)]
    found = np.full(len(lessons), np.nan, np.float32)
    for fold in range(FOLDS):
        rest, own = np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold)
        if len(own) and len(np.unique(lessons.is_false[rest])) == 2:
            model = Learned(*_fit(tuple(keys), lessons, rest, strength), 0, 0, 0, np.nan, np.nan)
            found[own] = model.probabilities({key: lessons.doubts[key][own] for key in keys})
    return found


def _held_out(keys, lessons: Lessons, strength: float, threshold: float) -> tuple[float, float]:
    found = held_out_probabilities(keys, lessons, strength)
    is_told, is_suspect = ~np.isnan(found), found >= np.float32(threshold)
    right = int((is_suspect & lessons.is_false).sum())
    n_suspect, n_false = int(is_suspect.sum()), int((lessons.is_false & is_told).sum())
    return (right / n_suspect if n_suspect else np.nan), (right / n_false if n_false else np.nan)


def _fit(keys: tuple[str, ...], lessons: Lessons, rows: np.ndarray, strength: float) -> tuple:
    from sklearn.linear_model import LogisticRegression

    columns, is_unsaid = _columns(keys, lessons.doubts)
    columns, is_unsaid = columns[rows], is_unsaid[rows]
    with np.errstate(invalid="ignore", divide="ignore"):
        n_said = np.maximum((~is_unsaid).sum(0), 1)
        means = np.where(is_unsaid, 0, columns).sum(0) / n_said
        scales = np.sqrt((np.where(is_unsaid, 0, columns - means) ** 2).sum(0) / n_said)
    scales = np.where(scales > 1e-9, scales, 1.0)
    # Only where it varies: a column that is never or always unsaid tells nothing.
    varies = (is_unsaid.any(0)) & (~is_unsaid).any(0)
    unsaid = tuple(key for key, is_varying in zip(keys, varies, strict=True) if is_varying)
    values = np.column_stack([_standard(columns, means, scales), is_unsaid[:, varies]])
    model = LogisticRegression(C=strength, max_iter=1000).fit(values, lessons.is_false[rows])
    return keys, unsaid, means, scales, model.coef_[0].copy(), float(model.intercept_[0])


def _columns(keys: Sequence[str], doubts: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``(float64 (N, K), bool (N, K))``: the doubts side by side, and where they cannot be said (or are not a number)."""
    table = np.column_stack([doubts[key].astype(np.float64) for key in keys])
    return table, ~np.isfinite(table)


def _standard(columns: np.ndarray, means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    standard = (columns - means) / scales
    # An unsaid doubt is average; a wild one (another corpus' scale) must not decide alone.
    return np.clip(np.where(np.isfinite(standard), standard, 0), -8, 8)
