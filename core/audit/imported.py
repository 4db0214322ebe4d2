"""The negatives that came with a corpus as a why-card table, to be looked at without training anything."""

from __future__ import annotations

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import CorpusError
from core.sampling.candidates import KEPT, Candidates

RULES = ("known-positive", "identical-to-positive")


def imported_candidates(corpus: Corpus, query_rows: np.ndarray | None = None) -> Candidates:
    """The imported negatives of these queries (default: all that have some) in the order and with the scores of their file.

    ``scores`` and ``positive_scores`` are the file's, NaN where it gives none; ``positive_rows``: the query's first positive, -1
    where it has none. Refused here are labelled positives and copies of one (same title and text), which a trainer would have
    trained against. Other scores, such as BM25's or an encoder's, are the caller's to add (``model_scores``). Raises CorpusError
    when the corpus came without negatives.
    """
    imported = corpus.imported
    if imported is None:
        raise CorpusError(f"{corpus.name}: came without negatives. Import a file of triplets or a mined set.")
    n_each = imported.n_per_query()
    rows = np.flatnonzero(n_each) if query_rows is None else np.asarray(query_rows, np.int64)
    starts = np.searchsorted(imported.query_rows, rows)
    n_columns = int(n_each[rows].max(initial=0))
    columns = np.arange(n_columns)
    is_there = columns < n_each[rows][:, None]
    places = np.where(is_there, starts[:, None] + columns, 0)

    def spread(values: np.ndarray, fill) -> np.ndarray:
        if not len(values):
            return np.full(is_there.shape, fill, values.dtype)
        return np.where(is_there, values[places], fill).astype(values.dtype)

    doc_rows = spread(imported.doc_rows, -1)
    positives = corpus.positives
    is_known = positives.contains(rows[:, None], doc_rows) & is_there
    is_copy = _copies(corpus, rows, doc_rows) & is_there & ~is_known
    verdicts = is_known.astype(np.uint32) | (is_copy.astype(np.uint32) << 1)
    decided_by = np.where(is_known, 0, np.where(is_copy, 1, KEPT)).astype(np.int8)
    first_positive = positives.padded(rows)[:, :1] if positives.n_pairs else np.empty((len(rows), 0), np.int64)
    return Candidates(
        lane=0,
        source=imported.source,
        query_rows=rows,
        doc_rows=doc_rows,
        ranks=spread(imported.ranks, 0),
        scores=spread(imported.scores, np.nan),
        positive_rows=first_positive[:, 0] if first_positive.shape[1] else np.full(len(rows), -1, np.int64),
        positive_scores=imported.positive_scores[rows],
        decided_by=decided_by,
        verdicts=verdicts,
        rules=RULES,
    )


def _copies(corpus: Corpus, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    """Whether a candidate's title and text are those of a positive of its query: bool, the shape of ``doc_rows``."""
    codes = _text_codes(corpus)
    table = corpus.positives.padded(query_rows)
    is_copy = np.zeros(doc_rows.shape, bool)
    for column in range(table.shape[1]):  # few: the most positives that a query has
        positive = table[:, column, None]
        is_copy |= (positive >= 0) & (doc_rows >= 0) & (codes[positive] == codes[doc_rows])
    return is_copy


def _text_codes(corpus: Corpus) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    large = pa.large_string()
    texts = pc.binary_join_element_wise(*(corpus.documents[name].cast(large) for name in ("title", "text")), pa.scalar("\0", large))
    return texts.combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)


def imported_columns(corpus: Corpus, query_row: int) -> dict[str, list]:
    """The imported negatives of one query as columns: rank, doc_id, text, score (None = none), verdict ('kept' or the rule)."""
    found = imported_candidates(corpus, np.array([query_row]))
    is_real = found.doc_rows[0] >= 0
    rows = found.doc_rows[0][is_real]
    names = [*found.rules, "kept"]  # KEPT is -1, the last one
    return {
        "rank": found.ranks[0][is_real].tolist(),
        "doc_id": corpus.doc_ids(rows),
        "text": corpus.document_texts(rows),
        "score": [None if np.isnan(score) else float(score) for score in found.scores[0][is_real]],
        "verdict": [names[rule] for rule in found.decided_by[0][is_real]],
    }


def first_query_row(corpus: Corpus) -> int:
    """The first query with an imported negative that is a labelled positive or a copy of one, else with any; -1 = none has."""
    found = imported_candidates(corpus)
    doubtful = np.flatnonzero((found.decided_by >= 0).any(1))
    rows = found.query_rows[doubtful] if len(doubtful) else found.query_rows
    return int(rows[0]) if len(rows) else -1
