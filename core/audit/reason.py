"""What a reason to doubt is: one small rule, one column, one threshold - never an opaque score."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from core.audit.evidence import Evidence
from core.params import Piece

#: Why a need is not met, by the word that a reason's ``needs`` uses.
LACKS = {
    "cross": "no cross-encoder has been trained for this corpus; train one to see this column",
    "guide": "there is no second model to ask",
    "trials": "it needs another finished trial of this corpus, best one that differs only in its seed",
    "history": "it needs a trial's own mined candidates that were trained against; these come from elsewhere",
    "log": "the corpus has no impression log (impressions.tsv)",
}


class Reason(Piece):
    """Base of the reasons. ``short``: a column's title of at most 12 characters; ``spread``: how far from the threshold a doubt
    must lie to be called clear, for :meth:`degree`; ``needs``: any of model, cross, guide, trials, history, log."""

    family = "reason"
    short: ClassVar[str]
    spread: ClassVar[float] = 0.1
    needs: ClassVar[tuple[str, ...]] = ("model",)
    threshold: float

    def doubt(self, query_rows: np.ndarray, doc_rows: np.ndarray, evidence: Evidence) -> np.ndarray:
        """float32 (N,): larger = more doubt that the document is a negative of the query; NaN = cannot be said."""
        raise TypeError(f"{type(self).__name__} doubts nothing")

    def missing(self, evidence: Evidence) -> str:
        """"" or why the reason cannot be said with this evidence: one clause, to stand after its title."""
        has = {
            "cross": evidence.has_cross,
            "guide": evidence.has_guide,
            "trials": bool(evidence.others),
            "log": evidence.corpus.has_impressions,
            "history": evidence.table is not None and bool((evidence.table.times_used > 0).any()),
        }
        return next((LACKS[need] for need in self.needs if not has.get(need, True)), "")

    def flag(self, doubts: np.ndarray) -> np.ndarray:
        """bool: the doubt reaches the threshold; False where it cannot be said."""
        return doubts >= np.float32(self.threshold)

    def degree(self, doubts: np.ndarray) -> np.ndarray:
        """float32 in [0, 1]: the doubt on a scale that reasons share; .5 exactly where it is at the threshold, 0 for NaN."""
        distance = (doubts.astype(np.float64) - np.float32(self.threshold)) / self.spread
        degree = 1 / (1 + np.exp(-np.clip(np.nan_to_num(distance, nan=-50), -50, 50)))
        return np.where(np.isnan(doubts), 0, degree).astype(np.float32)
