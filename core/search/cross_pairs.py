"""Values kept by (query, document) pair: in memory, and beside the model where it has a folder."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: Fewer new pairs are not worth a file.
LEAST_WRITTEN = 1000
MOST_KEPT = 20_000_000


class PairStore:
    """float32 values by pair, each computed once; several threads may ask.

    ``folder``: where to keep them for other processes too; each writes files of its own, so nobody waits.
    """

    def __init__(self, n_documents: int, folder: Path | None = None):
        self.n_documents, self.folder = max(n_documents, 1), folder
        self._keys, self._values = np.empty(0, np.int64), np.empty(0, np.float32)
        self._lock = threading.Lock()
        self._unwritten: list[tuple[np.ndarray, np.ndarray]] = []
        self.n_computed = 0

    def __len__(self) -> int:
        return len(self._keys)

    def values(
        self, query_rows: np.ndarray, doc_rows: np.ndarray, compute: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """float32 (N,): the pairs' values; ``compute(query_rows, doc_rows)`` is asked for those not known yet, each once."""
        with self._lock:
            asked, places = np.unique(query_rows * self.n_documents + doc_rows, return_inverse=True)
            missing = asked[~self._find(asked)[1]]
            if len(missing):
                made = np.asarray(compute(*np.divmod(missing, self.n_documents)), np.float32)
                self.n_computed += len(missing)
                self._add(missing, made)
                self._write(missing, made)
            found, _ = self._find(asked)
            return self._values[found][places.reshape(-1)]

    def attach(self, folder: Path) -> None:
        """Keep values in this folder from now on, and read what is there; a file that cannot be read is left out."""
        with self._lock:
            self.folder = folder
            for path in sorted(folder.glob("pairs-*.npz")):
                try:
                    with np.load(path, allow_pickle=False) as stored:
                        self._add(stored["keys"], stored["values"])
                except (OSError, ValueError, KeyError, zipfile.BadZipFile):
                    continue

    def forget(self) -> None:
        """Empty the memory; what is on disk stays."""
        with self._lock:
            self._keys, self._values = self._keys[:0], self._values[:0]

    def _find(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not len(self._keys):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return places, self._keys[places] == keys

    def _add(self, keys: np.ndarray, values: np.ndarray) -> None:
        if len(self._keys) + len(keys) > MOST_KEPT:  # begin anew: memory stays bounded
            self._keys, self._values = self._keys[:0], self._values[:0]
        joined, first = np.unique(np.concatenate([self._keys, keys]), return_index=True)
        self._keys, self._values = joined, np.concatenate([self._values, values])[first]

    def _write(self, keys: np.ndarray, values: np.ndarray) -> None:
        if self.folder is None or not self.folder.is_dir():
            return
        self._unwritten.append((keys, values))
        if sum(len(new) for new, _ in self._unwritten) < LEAST_WRITTEN:
            return
        keys, values = (np.concatenate(parts) for parts in zip(*self._unwritten, strict=True))
        name = hashlib.sha256(keys.tobytes()).hexdigest()[:16]
        part = self.folder / f"part-{name}-{os.getpid()}.npz"
        try:
            np.savez(part, keys=keys, values=values)
            part.replace(self.folder / f"pairs-{name}.npz")
        except OSError:  # a full or read-only disk: the values are computed again another time
            part.unlink(missing_ok=True)
        self._unwritten.clear()
