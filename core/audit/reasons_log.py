"""Reasons read off what searchers did: the impression log."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.audit.reason import Reason
from core.params import Citation, param


@dataclass(frozen=True, kw_only=True)
class ClickedInLog(Reason):
    """Searchers who were shown the candidate for this very query clicked it.

    Doubt = the share of its impressions that were clicked; unsaid where the log never showed it. The only reason that asks neither a model
    nor the labels, so its errors are its own. What stands first is clicked for standing first (position bias), a title can promise
    what the text does not hold, and a document that was shown once is judged by one person's mood.
    """

    key = "clicked"
    title = "Clicked in the log"
    short = "clicked"
    spread = 0.15
    needs = ("log",)
    source = Citation(
        "Joachims et al.", 2005, "Accurately interpreting clickthrough data as implicit feedback", "https://doi.org/10.1145/1076034.1076063"
    )
    threshold: float = param(0.25, "share of its impressions that were clicked from which the candidate is doubted", ge=0.0, le=1.0)

    def doubt(self, query_rows, doc_rows, evidence):
        log = evidence.corpus.impressions
        stride = evidence.corpus.n_documents
        pairs, place = np.unique(log.query_rows * stride + log.doc_rows, return_inverse=True)
        rate = np.bincount(place, log.is_clicked) / np.bincount(place)
        wanted = np.asarray(query_rows, np.int64) * stride + doc_rows
        at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
        return np.where(pairs[at] == wanted, rate[at], np.nan).astype(np.float32)
