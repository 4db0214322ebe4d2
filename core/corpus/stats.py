"""What a corpus is made of, in numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.corpus.corpus import Corpus
from core.corpus.judgements import POSITIVE, Judgements

QUANTILES = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95, "max": 1.0}
BLOCK_ROWS = 20_000


def statistics(corpus: Corpus) -> dict:
    """The numbers of the Corpus page, JSON-ready.

    ``n_documents``, ``n_queries``; ``splits``: by name ``n_queries`` (with a positive), ``n_positives``,
    ``positives_per_query`` (mean, max), ``n_judged_non_relevant``; ``document_words`` and ``query_words``:
    mean and quantiles of the text lengths in words (white space between; a document's title counts);
    ``n_empty_documents``, ``n_empty_queries``; ``n_duplicate_documents``: documents whose title and text
    an earlier document has, character by character; ``share_positive_documents``: documents that are a
    positive of any query, 0 to 1; ``truth``: as a split plus ``n_hidden_positives`` (positives of truth
    that are no known positive), or None.
    """
    texts = pc.binary_join_element_wise(corpus.documents["title"], corpus.documents["text"], " ")
    document_words, query_words = word_counts(texts), word_counts(corpus.queries["text"])
    n_distinct = pc.count_distinct(texts).as_py() if corpus.n_documents else 0
    return {
        "n_documents": corpus.n_documents,
        "n_queries": corpus.n_queries,
        "fields": [n for n in corpus.documents.column_names if n not in ("doc_id", "title", "text")],
        "splits": {name: _of_table(table) for name, table in corpus.splits.items()},
        "document_words": _of_lengths(document_words),
        "query_words": _of_lengths(query_words),
        "n_empty_documents": int((document_words == 0).sum()),
        "n_empty_queries": int((query_words == 0).sum()),
        "n_duplicate_documents": corpus.n_documents - n_distinct,
        "share_positive_documents": len(np.unique(corpus.positives.doc_rows)) / max(corpus.n_documents, 1),
        "truth": None if corpus.truth is None else _of_truth(corpus.truth, corpus.positives),
    }


def word_counts(texts: pa.ChunkedArray) -> np.ndarray:
    """The number of words, split at white space, of each text: int64."""
    counts = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(texts), BLOCK_ROWS):  # in blocks: the words of all texts at once would be large
        trimmed = pc.utf8_trim_whitespace(texts.slice(start, BLOCK_ROWS))
        lengths = pc.list_value_length(pc.utf8_split_whitespace(trimmed)).to_numpy().astype(np.int64)
        is_empty = pc.equal(pc.binary_length(trimmed), 0).to_numpy()
        counts.append(np.where(is_empty, 0, lengths))
    return np.concatenate(counts)


def _of_table(table: Judgements) -> dict:
    n_positives = table.only_positive().n_per_query()
    n_positives = n_positives[n_positives > 0]
    return {
        "n_queries": len(n_positives),
        "n_positives": int(n_positives.sum()),
        "positives_per_query": {
            "mean": float(n_positives.mean()) if len(n_positives) else 0.0,
            "max": int(n_positives.max(initial=0)),
        },
        "n_judged_non_relevant": int((table.grades < POSITIVE).sum()),
    }


def _of_truth(truth: Judgements, known: Judgements) -> dict:
    query_rows, doc_rows, _ = truth.only_positive().pairs()
    return _of_table(truth) | {"n_hidden_positives": int((~known.contains(query_rows, doc_rows)).sum())}


def _of_lengths(counts: np.ndarray) -> dict[str, float]:
    if not len(counts):
        return {"mean": 0.0, **dict.fromkeys(QUANTILES, 0.0)}
    values = np.quantile(counts, list(QUANTILES.values()))
    return {"mean": float(counts.mean()), **dict(zip(QUANTILES, values.tolist(), strict=True))}
