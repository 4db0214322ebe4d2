"""Faults found while a corpus is read: those that end the reading, and those that were mended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from core.errors import SHOWN_FAULTS, CorpusError

KEPT_FAULTS = 1000  # sentences kept of one kind in one file; the rest is only counted


class Faults:
    """Collects sentences of the form ``file:line: rule. remedy.`` while the files of a corpus are read."""

    def __init__(self) -> None:
        self._fatal: list[str] = []
        self._mended: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._remarks: list[str] = []
        #: Judgements that were dropped because they point nowhere, by file.
        self.dangling: dict[str, int] = {}
        #: Ids of queries that stood in the test split and in another one.
        self.in_two_splits: set[str] = set()

    @property
    def is_fatal(self) -> bool:
        return bool(self._fatal)

    def fatal(self, sentence: str) -> None:
        """A fault without whose repair there is no corpus."""
        self._fatal.append(sentence)

    def mend(self, file: str, kind: str, sentence: str) -> None:
        """One fault that was skipped or mended; ``kind`` names many of them ('broken lines')."""
        self.mend_many(file, kind, [sentence], 1)

    def mend_many(self, file: str, kind: str, sentences: Iterable[str], count: int) -> None:
        """``count`` faults of one kind, of which ``sentences`` spells out the first few."""
        kept = self._mended.setdefault((file, kind), [])
        kept.extend(list(sentences)[: KEPT_FAULTS - len(kept)])
        self._counts[file, kind] = self._counts.get((file, kind), 0) + count

    def count(self, file: str, kind: str) -> int:
        return self._counts.get((file, kind), 0)

    def remark(self, sentence: str) -> None:
        """Something that the reader decided and the user should know; no fault."""
        self._remarks.append(sentence)

    def facts(self) -> dict[str, Any]:
        """What reading threw away and a corpus no longer shows: ``Corpus.facts``, JSON-ready."""
        return {"dangling": dict(self.dangling), "in_two_splits": sorted(self.in_two_splits)}

    def _sentences(self, shown: int) -> list[str]:
        lines = []
        for (file, kind), kept in self._mended.items():
            lines += kept[:shown]
            more = self._counts[file, kind] - len(kept[:shown])
            if more:
                lines.append(f"{file}: ... and {more:,} more {kind}.")
        return lines

    def notes(self) -> tuple[str, ...]:
        """What was mended (the first 20 of each kind and file, then a count), then the remarks."""
        return (*self._sentences(SHOWN_FAULTS), *self._remarks)

    def check(self) -> None:
        """Raise CorpusError with every fault, the fatal ones first, if there is a fatal one."""
        if self._fatal:
            raise CorpusError(self._fatal + self._sentences(KEPT_FAULTS))
