"""What else is known of a candidate: which other trials took it for the same query, and its near copies in the corpus."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from core.audit.trial_table import KEPT_RULE
from core.corpus.corpus import Corpus
from core.errors import TrialError
from core.sampling.context import MiningContext, Vectors
from core.search.words import tokenize
from core.train.results import TrialResults

# Other trials that a card asks, the newest; tables of each, the latest: a card must open at once in a large workspace.
MOST_TRIALS, MOST_TABLES = 12, 60
# Documents that are compared word by word with the candidate: the closest by words and by the model.
COMPARED, COPY_SHARE, SHINGLE = 50, 0.8, 3


@dataclass(frozen=True)
class Taken:
    """What another trial did with the pair, over all its minings. ``rank``: the best; ``fate``: "used", "kept" or the rule of
    the last mining that saw it; ``pull``: uses x mean weight. A trial that never saw it has rank None and fate ""."""

    trial_id: str
    name: str
    rank: int | None
    fate: str
    times_used: int
    pull: float
    n_minings: int


def who_took(trials: Sequence[tuple[str, str, Path]], query_row: int, doc_row: int) -> list[Taken]:
    """The pair in each of the trials (id, name, folder) that mine, most pull first, those that never saw it last.

    Trials that mine nothing are left out, and all beyond the first MOST_TRIALS that do.
    """
    found: list[Taken] = []
    for trial_id, name, folder in trials:
        if len(found) == MOST_TRIALS:
            break
        try:
            tables = TrialResults(folder).tables()[-MOST_TABLES:]
        except (TrialError, OSError):  # a folder that was removed by hand, or is being written
            continue
        if tables:
            stamp = tuple((str(info.path), info.path.stat().st_mtime_ns) for info in tables)
            found.append(_taken(trial_id, name, _candidates(stamp, int(query_row)), doc_row))
    return sorted(found, key=lambda t: (-t.pull, -t.times_used, t.rank is None, t.rank or 0, t.name))


def _taken(trial_id: str, name: str, columns: dict[str, np.ndarray], doc_row: int) -> Taken:
    at = np.flatnonzero(columns["doc_row"] == doc_row)
    if not len(at):
        return Taken(trial_id, name, None, "", 0, 0.0, 0)
    uses = columns["times_used"][at]
    rule = str(columns["rule"][at[-1]])
    fate = "used" if uses.sum() else "kept" if rule == KEPT_RULE else rule
    pull = float((uses * np.nan_to_num(columns["weight"][at])).sum())
    return Taken(trial_id, name, int(columns["rank"][at].min()), fate, int(uses.sum()), pull, len(at))


@lru_cache(maxsize=256)
def _candidates(stamp: tuple[tuple[str, int], ...], query_row: int) -> dict[str, np.ndarray]:
    """One query's rows of these tables; kept, because a person goes through the candidates of one query."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    names = ["doc_row", "rank", "rule", "times_used", "weight"]
    parts = []
    for path, _ in stamp:
        part = parquet.read_table(path, columns=names, filters=[("query_row", "=", query_row)]).replace_schema_metadata()
        parts.append(part.set_column(names.index("rule"), "rule", part["rule"].cast(pa.string())))
    whole = pa.concat_tables(parts, promote_options="default")
    return {name: whole[name].to_numpy(zero_copy_only=False) for name in names}


def near_copies(corpus: Corpus, context: MiningContext, vectors: Vectors, doc_row: int) -> list[tuple[int, float]]:
    """(document row, share of three-word runs in common) of the documents nearly the same as this one, most alike first.

    Jaccard similarity of at least COPY_SHARE (Broder 1997), as :func:`core.search.twins.twin_matrix` counts it, among the
    documents closest to it by BM25 and by the vectors: near copies share most words, so they stand among these.
    """
    text = corpus.document_texts([doc_row])[0]
    own = _shingles(text)
    rows = _closest(vectors, doc_row)
    if text.strip():
        rows = np.union1d(rows, context.bm25.search([text], min(COMPARED, corpus.n_documents)).doc_rows[0])
    rows = rows[(rows >= 0) & (rows != doc_row)]
    found = []
    for row, other in zip(rows.tolist(), corpus.document_texts(rows), strict=True):
        theirs = _shingles(other)
        share = len(own & theirs) / len(own | theirs)
        if share >= COPY_SHARE - 1e-9:
            found.append((row, share))
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))


def _shingles(text: str) -> set[tuple[str, ...]]:
    """The runs of three words; a shorter text is one run of its own."""
    words = tokenize(text)
    return {tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}


def _closest(vectors: Vectors, doc_row: int) -> np.ndarray:
    from core.search.exact import score_pairs

    documents = vectors.documents
    n = len(documents)
    scores = score_pairs(documents, documents, np.full(n, doc_row), np.arange(n), similarity=vectors.similarity)
    return np.argsort(-scores, kind="stable")[: COMPARED + 1]  # itself among them


def similarity_of(vectors: Vectors, doc_row: int, other_row: int) -> float:
    """How close two documents are by the model, on the scale of its scores; NaN without a second one."""
    from core.search.exact import score_pairs

    if other_row < 0:
        return math.nan
    documents = vectors.documents
    pair = np.array([doc_row]), np.array([other_row])
    return float(score_pairs(documents, documents, *pair, similarity=vectors.similarity)[0])
