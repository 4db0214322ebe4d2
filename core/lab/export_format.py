"""What a format of an export is: a name, who reads it, and the function that writes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.lab.export import Export

Write = Callable[["Export", Path], dict[str, Any]]
MIMES = {".jsonl": "application/x-ndjson", ".csv": "text/csv", ".zip": "application/zip", ".txt": "text/plain"}


@dataclass(frozen=True)
class Format:
    """One way to write a trial down for somebody else.

    ``reader``: one sentence, who reads it and what it holds. ``suffixes``: of the files that it can write, the usual one first.
    ``write``: makes the file and returns counts for people, JSON-ready, ``notes`` among them. ``check``: raises the user error
    that ``write`` would, at once. ``needs_mined``: nothing to write for a trial that mined nothing; ``needs_result``: or has not
    finished; ``needs_verdicts``: or where nobody judged.
    """

    name: str
    title: str
    reader: str
    suffixes: tuple[str, ...]
    write: Write
    check: Callable[[Export], None] = lambda export: None
    needs_mined: bool = False
    needs_result: bool = False
    needs_verdicts: bool = False

    def mime(self, suffix: str) -> str:
        return MIMES.get(suffix, "application/octet-stream")
