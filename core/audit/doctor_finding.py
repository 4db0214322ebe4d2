"""What the doctor says about a corpus: one finding a check, with its count, its denominator and where to look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from core.audit.doctor_pairs import NearPairs
    from core.corpus.corpus import Corpus

MOST_EXAMPLES = 50
NEAR = 0.8  # Jaccard overlap of word 3-shingles from which two texts are near-duplicates

#: fault: numbers measured on this corpus mislead until it is mended; warning: some samplers suffer; note: worth knowing;
#: good: looked for and not found.
Severity = Literal["fault", "warning", "note", "good"]
SEVERITIES: tuple[Severity, ...] = ("fault", "warning", "note", "good")


@dataclass(frozen=True)
class Example:
    """Where to look: rows of queries and documents, -1 = none, and a few words."""

    query_row: int = -1
    doc_row: int = -1
    other_doc_row: int = -1
    other_query_row: int = -1
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """One check's answer.

    ``count`` of ``of`` ``unit`` are concerned. ``examples``: at most 50. ``remedy``: a key of
    ``core.audit.doctor_remedy.REMEDIES``, or "" where only a person can mend it. ``figures``: further numbers, JSON-ready.
    """

    kind: str
    title: str
    severity: Severity
    count: int
    of: int
    unit: str
    sentence: str
    examples: tuple[Example, ...] = ()
    remedy: str = ""
    figures: dict[str, Any] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """count / of, 0 where there is nothing."""
        return self.count / self.of if self.of else 0.0


class Patient:
    """A corpus with what several checks need, each made once."""

    def __init__(self, corpus: Corpus):
        self.corpus = corpus

    @cached_property
    def texts(self) -> list[str]:
        """What encoders and BM25 read of each document."""
        return self.corpus.document_texts()

    @cached_property
    def words(self) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Documents as numbered words: (terms, starts, vocabulary)."""
        from core.search.words import number_words

        return number_words(self.texts)

    @cached_property
    def query_words(self) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """Queries as numbered words, in a vocabulary of their own."""
        from core.search.words import number_words

        return number_words(self.corpus.query_texts())

    @cached_property
    def near(self) -> NearPairs:
        """The pairs of nearly equal documents."""
        from core.audit.doctor_pairs import near_pairs

        terms, starts, _ = self.words
        return near_pairs(terms, starts, threshold=NEAR)


def answered(
    kind: str, title: str, severity: Severity, count: int, of: int, unit: str, sentence: str, none: str,
    examples: Sequence[Example] = (), remedy: str = "", figures: dict[str, Any] | None = None,
) -> Finding:  # fmt: skip
    """The finding with ``sentence``, or a good one with ``none`` where nothing was found."""
    if not count:
        return Finding(kind, title, "good", 0, of, unit, none, figures=figures or {})
    return Finding(kind, title, severity, count, of, unit, sentence, tuple(examples[:MOST_EXAMPLES]), remedy, figures or {})


def some(count: int, of: int, unit: str) -> str:
    """"12 of 300 documents (4 %)"."""
    share = count / of if of else 0.0
    return f"{count:,} of {of:,} {unit} ({_percent(share)})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 or share == 0 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"
