"""The corpus doctor: reads a corpus before anybody blames its negatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from core.audit import doctor_labels as labels
from core.audit import doctor_texts as texts
from core.audit.doctor_finding import SEVERITIES, Example, Finding, Patient
from core.corpus.corpus import Corpus

__all__ = ["CHECKS", "Example", "Finding", "examine", "report"]

#: Every check, in the order in which findings of one severity are told.
CHECKS: tuple[Callable[[Patient], Finding | None], ...] = (
    labels.dangling_qrels,
    labels.train_test_overlap,
    texts.positive_twins,
    labels.suspected_wrong_labels,
    texts.exact_duplicates,
    texts.near_duplicates,
    labels.queries_without_positives,
    texts.empty_documents,
    texts.empty_queries,
    texts.long_texts,
    texts.languages,
    labels.multi_positive_queries,
    labels.label_density,
    labels.unlabelled_positives,
)


def examine(corpus: Corpus, *, tell: Callable[[float, str], None] = lambda share, what: None) -> tuple[Finding, ...]:
    """All findings, the severest first; a check that found nothing is a finding of severity "good".

    ``tell``: called before each check with the share of checks done and what comes next. Nothing is changed.
    """
    patient = Patient(corpus)
    found = []
    for i, check in enumerate(CHECKS):
        tell(i / len(CHECKS), check.__name__.replace("_", " "))
        finding = check(patient)
        if finding is not None:
            found.append(finding)
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def report(corpus: Corpus, findings: tuple[Finding, ...]) -> dict[str, Any]:
    """The counts, JSON-ready: what ``negspace doctor --json`` prints.

    ``documents``, ``queries``; ``positives``: (query, document) pairs of grade >= 1 in any split, after reading;
    ``dangling_qrels``: rows of the qrels files, truth included, whose query or document does not exist;
    ``queries_without_positives``: queries with no positive in any split; ``exact_duplicates``: documents whose joined title and
    text equal an earlier document's; ``near_duplicate_pairs``: unordered pairs of documents whose sets of word 3-shingles have
    a Jaccard overlap of .8 or more, exact copies included (texts of under three words are one shingle);
    ``train_test_query_overlap``: test queries with the words of a training query, or with their id in both splits.
    ``findings``: every finding with kind, severity, count, of, unit, sentence, remedy, figures and example ids.
    """
    counts = {finding.kind: finding.count for finding in findings}
    return {
        "corpus": corpus.name,
        "fingerprint": corpus.fingerprint,
        "documents": corpus.n_documents,
        "queries": corpus.n_queries,
        "positives": corpus.positives.n_pairs,
        **{kind: count for kind, count in counts.items() if kind not in ("languages", "label_density")},
        "findings": [_to_dict(corpus, finding) for finding in findings],
    }


def _to_dict(corpus: Corpus, finding: Finding) -> dict[str, Any]:
    names = ("kind", "title", "severity", "count", "of", "unit", "sentence", "remedy", "figures")
    return {name: getattr(finding, name) for name in names} | {"examples": [_example(corpus, e) for e in finding.examples]}


def _example(corpus: Corpus, example: Example) -> dict[str, str]:
    found = {}
    for name, ids in (("query", corpus.query_ids), ("doc", corpus.doc_ids)):
        for prefix in ("", "other_"):
            row = getattr(example, f"{prefix}{name}_row")
            if row >= 0:
                found[f"{prefix}{name}_id"] = ids([row])[0]
    return found | ({"note": example.note} if example.note else {})
