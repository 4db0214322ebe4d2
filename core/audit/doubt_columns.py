"""The doubts of a list of pairs, a column a reason, kept on disk under everything that they depend on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.audit.evidence import Evidence, digest_of
from core.audit.reason import Reason
from core.params import digest

VERSION = 2  # raise it when a reason's arithmetic changes: columns kept by an older one are then computed again


def doubt_columns(
    reasons: Sequence[Reason], evidence: Evidence, query_rows: np.ndarray, doc_rows: np.ndarray, cache: Path | None = None
) -> dict[str, np.ndarray]:
    """reason's key -> float32 (N,). A threshold does not change a doubt, so it is no part of a kept column's name."""
    needs: dict[str, str] = {}
    found = {}
    for reason in reasons:
        if cache is None:
            found[reason.key] = _column(reason, evidence, query_rows, doc_rows)
            continue
        for need in _needs(reason, evidence):
            needs[need] = needs.get(need) or evidence.key(need)
        said = {**reason.to_dict(), "threshold": None, "version": VERSION, "corpus": evidence.corpus.fingerprint}
        said |= {need: needs[need] for need in _needs(reason, evidence)} | {"pairs": digest_of(query_rows, doc_rows)}
        path = Path(cache) / f"{reason.key}-{digest(said)}.npy"
        kept = _read(path, len(query_rows))
        if kept is None:
            kept = _column(reason, evidence, query_rows, doc_rows)
            _write(path, kept)
        found[reason.key] = kept
    return found


def _needs(reason: Reason, evidence: Evidence) -> list[str]:
    # "sources" asks the guide where there is one, though it can do without.
    return [*reason.needs, *(["guide"] if reason.key == "sources" and evidence.has_guide else [])]


def _column(reason: Reason, evidence: Evidence, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    if not len(query_rows):
        return np.empty(0, np.float32)
    return np.asarray(reason.doubt(query_rows, doc_rows, evidence), np.float32)


def _read(path: Path, n: int) -> np.ndarray | None:
    try:
        column = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or cut short by a full disk: computed again
        return None
    return column if column.shape == (n,) and column.dtype == np.float32 else None


def _write(path: Path, column: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.stem}.{os.getpid()}.part.npy")
    np.save(part, column)
    part.replace(path)
