"""What a judge who knew the truth would say: the best that verdicts can do, for the bench. Audit only."""

from __future__ import annotations

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import TrialError
from core.sampling.decisions import FALSE_NEGATIVE, TRUE_NEGATIVE
from core.train.results import TrialResults


def perfect_verdicts(
    corpus: Corpus, query_rows: np.ndarray, doc_rows: np.ndarray, *, is_complete: bool = False
) -> dict[tuple[str, str], str]:
    """(query_id, doc_id) -> verdict on the pairs, by the corpus's truth; known positives are not judged.

    Only the pairs that the truth calls relevant, "false-negative"; ``is_complete``: all others too, "true-negative" (the
    truth is silent about them, so a judge who knows nothing else would say so). Raises TrialError without truth.
    """
    if corpus.truth is None:
        raise TrialError(f"{corpus.name} has no truth, so nobody knows what a perfect judge would say. Judge by hand instead.")
    stride = max(corpus.n_documents, 1)
    pairs = np.unique(np.asarray(query_rows, np.int64) * stride + np.asarray(doc_rows, np.int64))
    query_rows, doc_rows = pairs // stride, pairs % stride
    is_relevant = corpus.truth.grade_of(query_rows, doc_rows) >= 1
    is_judged = ~corpus.positives.contains(query_rows, doc_rows) & (is_relevant | is_complete)
    query_rows, doc_rows, is_relevant = query_rows[is_judged], doc_rows[is_judged], is_relevant[is_judged]
    ids = zip(corpus.query_ids(query_rows), corpus.doc_ids(doc_rows), strict=True)
    kinds = [FALSE_NEGATIVE if relevant else TRUE_NEGATIVE for relevant in is_relevant]
    return dict(zip(ids, kinds, strict=True))


def perfect_verdicts_of_trial(corpus: Corpus, results: TrialResults) -> dict[tuple[str, str], str]:
    """What a perfect judge would say of the candidates that the trial looked at for its training queries, all refreshes."""
    table = results.candidates(results.tables())
    query_rows, doc_rows = (table[name].to_numpy().astype(np.int64) for name in ("query_row", "doc_row"))
    is_training = np.isin(query_rows, corpus.split_query_rows("train"))
    return perfect_verdicts(corpus, query_rows[is_training], doc_rows[is_training])
