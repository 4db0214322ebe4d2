"""Starts queued trials, notices how they end, and takes over what another server left running."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ParameterError
from core.lab import files
from core.lab.adoption import finished_values
from core.lab.executor import Executor, Handle, LocalProcesses, live_worker
from core.lab.store import Store
from core.lab.tables import ACTIVE, TrialRow
from core.lab.view import TrialView
from core.lab.workspace import Workspace

MAX_RUNNING_VARIABLE = "NEGSPACE_MAX_RUNNING"
TICK_SECONDS = 0.5
PREPARE_SECONDS = 4.0
CORRECT_SECONDS = 5.0
# A worker says in its folder who it is as soon as Python is up; without a word it never came.
START_SECONDS = 30.0
# Between SIGTERM and SIGKILL, for a worker that has already had ``stop_grace`` seconds.
END_SECONDS = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SchedulerStatus:
    """``is_active``: this scheduler decides, not another one; ``error``: why its last tick failed, or ""."""

    is_active: bool
    max_running: int
    threads: int
    error: str


class Scheduler:
    """Runs a workspace's queue, one scheduler at a time: others stand by and take over when it dies.

    ``max_running``: trials at once, else ``$NEGSPACE_MAX_RUNNING``, else 1. ``threads``: of each worker,
    else the processors shared among them. ``stop_grace``: seconds that a worker has from the request to
    stop until it is ended by force. Workers do not need the scheduler: they go on when it dies.
    """

    def __init__(
        self,
        workspace: Workspace | None = None,
        *,
        store: Store | None = None,
        executor: Executor | None = None,
        max_running: int | None = None,
        threads: int | None = None,
        stop_grace: float = 60.0,
    ):
        self.store = store or Store(workspace)
        self.workspace = self.store.workspace
        self.executor = executor or LocalProcesses(self.workspace.root)
        self.max_running = _max_running() if max_running is None else max_running
        self.threads = threads or max(1, _n_processors() // self.max_running)
        self.stop_grace = stop_grace
        self.error = ""
        self._lease = files.FileLock(self.workspace.root / "scheduler.lock")
        self._views: dict[str, TrialView] = {}
        self._seen_folders = -1
        self._next_correction = 0.0
        self._ticking = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> Scheduler:
        """This scheduler, ticking in a daemon thread; a second call changes nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="negspace-scheduler", daemon=True)
            self._thread.start()
        return self

    def wake(self) -> None:
        """Tick now: something was submitted or is to stop."""
        self._wake.set()

    def close(self) -> None:
        """End the thread and let another scheduler decide; workers go on."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        self.executor.close()
        self._lease.release()

    def status(self) -> SchedulerStatus:
        return SchedulerStatus(self._lease.is_held, self.max_running, self.threads, self.error)

    def position(self, trial_id: str) -> int:
        """Place in the queue, 1 = next; 0 when the trial does not wait."""
        return self.store.position(trial_id)

    def tick(self) -> bool:
        """Look at every running trial and fill the free places; False while another scheduler decides."""
        with self._ticking:
            if not self._lease.acquire():
                return False
            self._adopt()
            for row in self.store.list(states=ACTIVE):
                self._watch(row)
            while (row := self.store.take_next(self.max_running)) is not None:
                self._launch(row)
            return True

    def wait(
        self, trial_ids: Sequence[str], timeout: float | None = None, on_tick: Callable[[], None] = lambda: None
    ) -> list[TrialRow]:
        """The trials, once none of them waits or runs any more; ticks meanwhile, for use without a server.

        ``on_tick`` is called after each tick. Raises TimeoutError after ``timeout`` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.tick()
            on_tick()
            rows = [self.store.get(trial_id) for trial_id in trial_ids]
            if not any(row.state in ("queued", *ACTIVE) for row in rows):
                return rows
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"Still unfinished after {timeout:g} seconds: {', '.join(trial_ids)}.")
            time.sleep(TICK_SECONDS / 5)

    def _loop(self) -> None:
        begun = time.monotonic()
        while not self._closed.is_set():
            try:
                # The first trial then starts at once, too. Not sooner: the first page comes first.
                if self.tick() and time.monotonic() - begun > PREPARE_SECONDS:
                    self.executor.prepare(self.threads)
                self.error = ""
            except Exception as error:  # the queue must outlive a full disk or a database that restarts
                if str(error) != self.error:
                    logger.exception("The scheduler's tick failed; it tries again.")
                self.error = str(error)
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _adopt(self) -> None:
        """Bring in what happened without the queue: folders that appeared, trials that were trained by hand."""
        changed = self.workspace.trials.stat().st_mtime_ns
        if changed != self._seen_folders:
            self.store.adopt()
            self._seen_folders = changed
        if time.monotonic() >= self._next_correction:
            self.store.correct()
            self._next_correction = time.monotonic() + CORRECT_SECONDS

    def _launch(self, row: TrialRow) -> None:
        try:
            handle = self.executor.start(row.folder, self.threads)
        except OSError as error:
            self.store.settle(row, "failed", f"The worker could not be started: {error}.")
            return
        self.store.record_worker(row.id, handle.pid, handle.started)

    def _watch(self, row: TrialRow) -> None:
        handle = None if row.pid is None else Handle(row.pid, row.pid_started or 0.0)
        if handle is None or not self.executor.is_alive(handle):
            other = live_worker(row.folder)
            if other is not None:  # its starter died before it could write down whom it had started
                self.store.record_worker(row.id, other.pid, other.started)
            elif handle is not None or time.time() - (row.started or 0.0) > START_SECONDS or self._has_ended(row):
                self._settle(row)
            return
        if row.state == "stopping" and time.time() - (row.stop_asked or 0.0) > self.stop_grace:
            self.executor.end(handle, END_SECONDS)

    def _has_ended(self, row: TrialRow) -> bool:
        view = self._view(row.folder)
        return view.result is not None or view.failure is not None or view.stopped_since(row.started or 0.0)

    def _settle(self, row: TrialRow) -> None:
        """Write down how the worker ended, by what it left in the folder."""
        view = self._view(row.folder)
        if view.result is not None:
            self.store.settle(row, "finished", **finished_values(view))
        elif view.failure is not None:
            self.store.settle(row, "failed", str(view.failure.get("message", "")))
        elif view.stopped_since(row.started or 0.0):
            self.store.settle(row, "stopped", "Stopped; resume goes on from the checkpoint.")
        elif row.state == "stopping":
            self.store.settle(row, "stopped", "Ended before it could save; resume goes on from its last checkpoint.")
        else:
            self.store.settle(row, "interrupted", _vanished(row, view))
        self._views.pop(str(row.folder), None)

    def _view(self, folder: Path) -> TrialView:
        return self._views.setdefault(str(folder), TrialView(folder))


def _vanished(row: TrialRow, view: TrialView) -> str:
    who = "The worker" if row.pid is None else f"The worker (process {row.pid})"
    last = next((line.strip() for line in reversed(view.output()) if line.strip()), "")
    said = f" The last line that it printed: {last[:300]}" if last else ""
    return (
        f"{who} vanished without a word: it was killed, ran out of memory, or the machine went down. "
        f"Resume goes on from its last checkpoint.{said}"
    )


def _n_processors() -> int:
    """Processors that this process may use; fewer than the machine has inside a container."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _max_running() -> int:
    text = os.environ.get(MAX_RUNNING_VARIABLE, "1")
    if not text.isdigit() or int(text) < 1:
        raise ParameterError(f"${MAX_RUNNING_VARIABLE} must be an int of at least 1; got {text!r}.")
    return int(text)
