"""Where workers run: the seam, and its implementation as local child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import psutil

import core
from core.lab import files
from core.lab.forkserver import ForkServer
from core.lab.workspace import DATABASE_VARIABLE

# A process id is used again within hours; together with the start time it is not. Start times are
# derived from the machine's boot time, which clock corrections move a little.
SAME_START_SECONDS = 2.0
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NEGSPACE_THREADS",
)
# -P: the current folder must not shadow modules; the project itself comes by PYTHONPATH.
WORKER_COMMAND = (sys.executable, "-P", "-m", "core.lab.worker")


@dataclass(frozen=True)
class Handle:
    """A worker: process id and the second since the epoch at which that process started."""

    pid: int
    started: float


class Executor(Protocol):
    """What the scheduler asks of the place where workers run."""

    def start(self, folder: Path, threads: int) -> Handle:
        """Start the trial in ``folder`` with so many threads; raises OSError when that is impossible."""

    def is_alive(self, handle: Handle) -> bool:
        """True while exactly this worker runs; a zombie is dead."""

    def end(self, handle: Handle, grace: float) -> None:
        """End the worker and its children: politely, then after ``grace`` seconds by force."""

    def prepare(self, threads: int) -> None:
        """Make starting quick, where that is possible; returns at once."""

    def close(self) -> None:
        """Let go of what makes starting quick; workers go on."""


class LocalProcesses:
    """Workers as child processes in sessions of their own: they survive the server that started them.

    ``cwd``: the folder in which they run; ``command``: the program, to which the trial's folder is added. The product's own
    program is run once; the workers after it are forked from its twin where there is one (core.lab.forkserver).
    """

    def __init__(
        self, cwd: Path, command: Sequence[str] = WORKER_COMMAND, environment: Mapping[str, str] | None = None
    ):
        self.cwd = cwd
        self.command = tuple(command)
        self.environment = dict(environment or {})
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._forks = ForkServer()

    def start(self, folder: Path, threads: int) -> Handle:
        env = self._environment(threads)
        pid = self._forks.fork(folder, self.cwd, env, threads) if self.command == WORKER_COMMAND else None
        if pid is None:
            with open(folder / files.WORKER_LOG, "ab") as log:
                child = self._run((str(folder),), env, threads, log)
            pid = child.pid
            self._children[pid] = child
        return Handle(pid, _start_time(pid) or time.time())

    def prepare(self, threads: int) -> None:
        if self.command == WORKER_COMMAND and not self._forks.is_awaited(threads):
            self._run((), self._environment(threads), threads, subprocess.DEVNULL)

    def _environment(self, threads: int) -> dict[str, str]:
        root = str(Path(core.__file__).resolve().parent.parent)
        paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        env = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        env |= {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
        env.pop(DATABASE_VARIABLE, None)  # a worker writes only its folder: it needs no password
        return env | self.environment

    def _run(self, arguments: tuple[str, ...], env: Mapping[str, str], threads: int, log: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start the command; where it is the product's own, it is to be or to leave a twin that forks the workers after it."""
        with self._forks.invitation(threads) if self.command == WORKER_COMMAND else nullcontext(((), ())) as (more, descriptors):
            return subprocess.Popen(
                [*self.command, *arguments, *more],
                cwd=self.cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=descriptors,
            )

    def is_alive(self, handle: Handle) -> bool:
        child = self._children.get(handle.pid)
        if child is not None and child.poll() is not None:  # poll also buries our own dead child
            del self._children[handle.pid]
        return is_alive(handle)

    def end(self, handle: Handle, grace: float) -> None:
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self.is_alive(handle):
                return
            try:
                # Our workers lead a group of that number; one that was started by hand may share a shell's.
                (os.killpg if os.getpgid(handle.pid) == handle.pid else os.kill)(handle.pid, sign)
            except (ProcessLookupError, PermissionError):
                return
            deadline = time.monotonic() + (grace if sign == signal.SIGTERM else 5.0)
            while self.is_alive(handle) and time.monotonic() < deadline:
                time.sleep(0.02)

    def close(self) -> None:
        self._forks.close()


def is_alive(handle: Handle) -> bool:
    """True while a process with this id *and* this start time runs and is no zombie."""
    started = _start_time(handle.pid)
    return started is not None and abs(started - handle.started) < SAME_START_SECONDS


def this_process() -> Handle:
    """The handle under which others know the calling process."""
    return Handle(os.getpid(), psutil.Process().create_time())


def live_worker(folder: Path) -> Handle | None:
    """The process that says in the folder that it works there, if it lives."""
    said = files.read_json(folder / files.WORKER)
    if not said or not isinstance(said.get("pid"), int) or not isinstance(said.get("started"), (int, float)):
        return None
    handle = Handle(said["pid"], float(said["started"]))
    return handle if is_alive(handle) else None


def _start_time(pid: int) -> float | None:
    """Seconds since the epoch at which the process started; None when it is gone or a zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None
