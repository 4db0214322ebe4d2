"""Layouts kept on disk, so that no page computes the same map twice."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from core.errors import ParameterError
from core.params import digest


class LayoutCache:
    """Layouts by key in a folder: one ``.npy`` file each, written whole or not at all.

    The key is any text that names everything the layout depends on (fingerprint, weights' hash, rows,
    settings): the same key must mean the same layout. The folder is made on the first write.
    """

    def __init__(self, folder: Path, *, keep: int = 500):
        """``keep``: files kept; beyond, those read or written longest ago are removed."""
        if keep < 1:
            raise ParameterError(f"LayoutCache.keep must be an int in [1, inf); got {keep!r}.")
        self.folder = Path(folder)
        self.keep = keep
        self._locks_guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def path(self, key: str) -> Path:
        """The file that holds this key's layout."""
        return self.folder / f"{digest(key)}.npy"

    def get(self, key: str) -> np.ndarray | None:
        """The layout, float32 (N, 2), or None when there is none or the file cannot be read as one."""
        path = self.path(key)
        try:
            found = np.load(path, allow_pickle=False)
            os.utime(path)
        except (OSError, ValueError, EOFError):
            return None
        return found if found.ndim == 2 and found.shape[1] == 2 and found.dtype == np.float32 else None

    def put(self, key: str, layout: np.ndarray) -> None:
        """Keep a layout, (N, 2); a reader in any process sees the old file or the whole new one."""
        layout = np.ascontiguousarray(layout, dtype=np.float32)
        if layout.ndim != 2 or layout.shape[1] != 2:
            raise ValueError(f"a layout has shape (N, 2); got {layout.shape}")
        self.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, layout, allow_pickle=False)
            os.replace(name, self.path(key))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        self._prune()

    def get_or_make(self, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The kept layout, or what ``make`` returns, kept; two threads that ask at once make it once."""
        with self._lock(key):
            found = self.get(key)
            if found is None:
                found = np.ascontiguousarray(make(), dtype=np.float32)
                self.put(key, found)
            return found

    def _lock(self, key: str) -> threading.Lock:
        with self._locks_guard:
            return self._locks.setdefault(digest(key), threading.Lock())

    def _prune(self) -> None:
        files = []
        for path in self.folder.glob("*.npy"):
            try:
                files.append((path.stat().st_mtime_ns, path))
            except FileNotFoundError:  # another process pruned it first
                continue
        for _, path in sorted(files)[: -self.keep]:
            path.unlink(missing_ok=True)
