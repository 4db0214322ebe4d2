"""Files that take a while: written in a thread of the server, asked for by every page that wants the same one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import UserError

if TYPE_CHECKING:
    from core.lab.workspace import Workspace

_LOG = logging.getLogger(__name__)
KEPT_SECONDS = 6 * 3600.0
MAX_JOBS = 64
AT_ONCE = threading.Semaphore(1)


@dataclass
class Job:
    """One file in the making: new, running, done or failed. ``share``: of the work, in [0, 1]; ``notes``: sentences about it;
    ``is_told``: a page has shown its error."""

    key: str
    path: Path
    write: Callable[[Job], list[str]]
    state: str = "new"
    share: float = 0.0
    error: Exception | None = None
    is_told: bool = False
    notes: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin, unless somebody else has; one file is written at a time, the pages need the other core."""
        with self.lock:
            if self.state != "new":
                return
            self.state = "running"
        threading.Thread(target=self._run, name=f"export-{self.key}", daemon=True).start()

    def tell(self, share: float) -> None:
        self.share = min(1.0, max(0.0, share))

    def _run(self) -> None:
        try:
            with AT_ONCE:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                _sweep(self.path.parent.parent)
                self.notes = self.write(self)
            self.state = "done"
        except Exception as error:  # shown on the page by whoever waits for it; a thread has nobody else to tell
            if not isinstance(error, UserError):
                _LOG.exception("export failed")
            self.error, self.state = error, "failed"


def job_of(workspace: Workspace, key: str, name: str, write: Callable[[Job], list[str]]) -> Job:
    """The job of this key, the same for all visitors; one whose file was swept away, or whose error was shown, begins anew."""
    jobs = _jobs(str(workspace.folder))
    found = jobs.get(key)
    is_void = found is not None and (found.is_told or (found.state == "done" and not found.path.exists()))
    if found is None or is_void:
        suffix = "." + name.rsplit(".", 1)[-1]
        found = Job(key, workspace.cache / "exports" / key / f"export{suffix}", write)
        while len(jobs) >= MAX_JOBS:
            jobs.pop(next(iter(jobs)))
        jobs[key] = found
    return found


@st.cache_resource(show_spinner=False)
def _jobs(folder: str) -> dict[str, Job]:
    return {}


def _sweep(folder: Path) -> None:
    """Remove files of earlier exports; every one of them can be written again."""
    for path in folder.glob("*/export.*"):
        try:
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink()
                path.parent.rmdir()
        except OSError:  # another server was quicker
            continue
