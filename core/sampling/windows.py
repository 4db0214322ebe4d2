"""Which raw ranks of a source may be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.errors import ParameterError
from core.params import Citation, Piece, param


@dataclass(frozen=True, kw_only=True)
class RankWindow(Piece):
    """Only candidates between two ranks of the source are used.

    Leaving out the first ranks avoids most unlabelled positives, leaving out the last keeps the negatives hard. Ranks are
    raw: counted in the source's own list before any filter, the known positives included. Facebook's search found
    ranks 101-500 best on its collection of billions; on a small corpus such a window is mostly random.
    """

    key = "ranks"
    title = "Rank window"
    family = "window"
    source = Citation(
        "Huang et al.", 2020, "Embedding-based Retrieval in Facebook Search", "https://arxiv.org/abs/2006.11632"
    )
    first: int = param(1, "first rank that may be used", unit="rank", ge=1, le=10_000)
    last: int = param(50, "last rank that may be used; also the depth that is searched", unit="rank", ge=1, le=10_000)

    def check(self) -> None:
        if self.last < self.first:
            raise ParameterError(f"RankWindow.last must be >= RankWindow.first ({self.first}); got {self.last}.")

    @property
    def depth(self) -> int:
        return self.last

    def contains(self, ranks: np.ndarray) -> np.ndarray:
        """bool mask of the ranks (1-based) inside the window, both ends included."""
        return (ranks >= self.first) & (ranks <= self.last)


WINDOWS: tuple[type[RankWindow], ...] = (RankWindow,)
