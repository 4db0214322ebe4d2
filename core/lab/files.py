"""The small files of a trial folder: written whole or not at all, locked where two could meet."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

TRIAL = "trial.json"
EVENTS = "events.jsonl"
RESULT = "result.json"
FAILURE = "failure.json"
WORKER = "worker.json"
WORKER_LOCK = "worker.lock"
WORKER_LOG = "worker.log"
STOP = "stop"


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` so that a reader sees the old file or the new one, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(data, indent=1, ensure_ascii=False), encoding="utf-8")
    os.replace(part, path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file; None where there is no file or no whole JSON object in it."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


class FileLock:
    """A lock that its process holds until it lets go or dies, also by ``kill -9``.

    The operating system keeps it (``flock``), so there is no lease to renew and none to expire. Two
    locks on one file exclude each other inside one process too.
    """

    def __init__(self, path: Path):
        self.path = path
        self._handle: int | None = None

    @property
    def is_held(self) -> bool:
        return self._handle is not None

    def acquire(self, *, wait: bool = False) -> bool:
        """True when the lock is now held by this object."""
        if self._handle is not None:
            return True
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> FileLock:
        self.acquire(wait=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
