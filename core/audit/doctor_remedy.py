"""What the doctor can do itself: a cleaned copy of a corpus, or a recipe that protects what is there."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from core.audit.doctor_finding import NEAR, Patient, some
from core.audit.doctor_labels import seen_test_queries
from core.corpus.corpus import Corpus
from core.corpus.imported import ImportedNegatives
from core.corpus.judgements import Judgements
from core.errors import CorpusError, ParameterError
from core.sampling.filters import NearDuplicates
from core.sampling.recipe import Recipe

#: Key -> (label of its button, what it does).
REMEDIES = {
    "merge_duplicates": (
        "Merge duplicates",
        "A cleaned copy in which the first of each set of equal documents stays and takes over all their labels.",
    ),
    "drop_seen_queries": (
        "Drop seen test queries",
        "A cleaned copy whose test split leaves out the queries with the words of a training query.",
    ),
    "drop_empty": ("Drop empty texts", "A cleaned copy without the empty documents that are nobody's positive."),
    "protect_twins": (
        "Protect twins",
        "Opens the recipe with the near-duplicates filter in every lane: no copy of a positive is mined.",
    ),
}
CLEANING = ("merge_duplicates", "drop_seen_queries", "drop_empty")


def cleaned(corpus: Corpus, *remedies: str) -> Corpus:
    """A copy with these remedies applied, a name that ends in "cleaned", and a note for each change.

    Remaining documents and all queries keep their order and ids; labels of a merged document go to the one that stays, the
    higher grade winning; truth and imported negatives go along. The fingerprint is another, so no trial mixes the two. Raises
    ParameterError for a remedy that cleans nothing, CorpusError where there is nothing to clean or no test query would be left.
    """
    wrong = [key for key in remedies if key not in CLEANING]
    if wrong or not remedies:
        raise ParameterError(f"A remedy that cleans must be one of {', '.join(CLEANING)}; got {', '.join(wrong) or 'none'}.")
    notes, splits = [], dict(corpus.splits)
    patient = Patient(corpus)
    if "drop_seen_queries" in remedies and (seen := sorted(seen_test_queries(patient))):
        n_test = len(corpus.split_query_rows("test"))
        if len(seen) == n_test:
            raise CorpusError("Every test query stands in train, so no test query would be left. Judge other queries for the test split.")
        splits["test"] = splits["test"].without_queries(seen)
        notes.append(f"Cleaned: {some(len(seen), n_test, 'test queries')} left the test split: train has queries of the same words.")
    target = np.arange(corpus.n_documents)  # the old row that each document's labels go to, -1 = dropped
    if "merge_duplicates" in remedies:
        codes = pa.array(patient.texts, pa.large_string()).dictionary_encode().indices.to_numpy()
        target = np.unique(codes, return_index=True)[1][codes]
        if n_merged := int((target != np.arange(len(target))).sum()):
            merged = some(n_merged, corpus.n_documents, "documents")
            notes.append(f"Cleaned: {merged} repeated an earlier one and were merged into it.")
    if "drop_empty" in remedies:
        is_judged = np.zeros(len(target), bool)
        for table in (corpus.positives, *([corpus.truth.only_positive()] if corpus.truth is not None else [])):
            is_judged[target[table.doc_rows]] = True
        is_empty = (np.diff(patient.words[1]) == 0) & ~is_judged[target]
        target = np.where(is_empty, -1, target)
        if is_empty.any():
            empty = some(int(is_empty.sum()), corpus.n_documents, "documents")
            notes.append(f"Cleaned: {empty} were empty, nobody's positive, and left out.")
    if not notes:
        raise CorpusError(f"{corpus.name}: there is nothing of that kind to clean.")
    return _copy(corpus, splits, target, tuple(notes))


def _copy(corpus: Corpus, splits: dict[str, Judgements], target: np.ndarray, notes: tuple[str, ...]) -> Corpus:
    kept = np.flatnonzero(target == np.arange(len(target)))
    new_row = np.full(len(target) + 1, -1, np.int64)  # the last place answers for -1
    new_row[kept] = np.arange(len(kept))
    moved = new_row[target]

    def move(table: Judgements) -> Judgements:
        query_rows, doc_rows, grades = table.pairs()
        is_kept = moved[doc_rows] >= 0
        return Judgements.from_pairs(query_rows[is_kept], moved[doc_rows][is_kept], grades[is_kept], corpus.n_queries)

    imported = corpus.imported
    if imported is not None:
        is_kept = moved[imported.doc_rows] >= 0
        imported = ImportedNegatives.from_mentions(
            imported.query_rows[is_kept], moved[imported.doc_rows][is_kept], imported.scores[is_kept], imported.positive_scores,
            imported.source,
        )  # fmt: skip
    return Corpus(
        corpus.name if corpus.name.endswith(" cleaned") else f"{corpus.name} cleaned",
        corpus.documents.take(pa.array(kept)),
        corpus.queries,
        {name: move(table) for name, table in splits.items()},
        None if corpus.truth is None else move(corpus.truth),
        (*corpus.notes, *notes),
        imported=imported,
        impressions=None if corpus.impressions is None else corpus.impressions.moved(moved),
    )


def protect_twins(recipe: Recipe, threshold: float = NEAR) -> Recipe:
    """The recipe with the near-duplicates filter first in every mined lane that lacks it."""
    guard = NearDuplicates(threshold=threshold)
    lanes = tuple(
        lane if any(rule.key == guard.key for rule in lane.filters) else dataclasses.replace(lane, filters=(guard, *lane.filters))
        for lane in recipe.mined
    )
    return dataclasses.replace(recipe, mined=lanes)
