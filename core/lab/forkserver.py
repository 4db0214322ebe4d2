"""Workers forked from a process that has imported everything: after the first, a trial starts at once, without seconds of imports.

The first worker of a command is a program of its own. When its imports are done, and before it has computed anything (a fork keeps
one thread only), it splits off a twin that waits for orders. A server starts a twin beforehand. The twin ends with its server, or with
the scheduler that holds the other end of its socket; the workers that it forked live on, as those that were started as programs do.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from core.lab import files

# A fork takes milliseconds; a twin that does not answer is left alone and the worker starts as a program.
ANSWER_SECONDS = 5.0
LARGEST_ORDER = 1 << 17
OPTION = "--orders"


class ForkServer:
    """The server's end: asks the twin for workers, as soon as there is one that has its number of threads."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._threads = 0
        self.pid: int | None = None  # the twin's, once it has said that it is there

    def fork(self, folder: Path, cwd: Path, environment: Mapping[str, str], threads: int) -> int | None:
        """The process id of a worker for the trial in ``folder``; None when no twin is there or it does not answer."""
        if self._socket is None or threads != self._threads or not self._has_come():
            return None
        order = json.dumps({"folder": str(folder), "cwd": str(cwd), "environment": dict(environment)}).encode()
        try:
            self._socket.send(order)
            answer = self._answer(ANSWER_SECONDS)
        except OSError:  # it is gone, or the order is too large
            answer = b""
        if not answer:
            self.close()
            return None
        return int(answer)

    def is_awaited(self, threads: int) -> bool:
        """Whether a twin for so many threads is there or on its way, or can never be."""
        return not sys.platform.startswith("linux") or (self._socket is not None and threads == self._threads)

    @contextmanager
    def invitation(self, threads: int) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
        """``(arguments, file descriptors)`` with which the next worker is to split off a twin; empty when one is there or awaited."""
        if self.is_awaited(threads):
            yield (), ()
            return
        self.close()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setblocking(False)
        self._threads = threads
        with theirs:
            yield (OPTION, str(theirs.fileno())), (theirs.fileno(),)

    def close(self) -> None:
        """Let the twin end."""
        if self._socket is not None:
            self._socket.close()
        self._socket, self.pid = None, None

    def _has_come(self) -> bool:
        if self.pid is None:
            answer = self._answer(0)
            if answer == b"":  # the worker ended before it had imported everything
                self.close()
            elif answer:
                self.pid = int(answer)
        return self.pid is not None

    def _answer(self, seconds: float) -> bytes | None:
        """What the twin says; b"" when it is gone, None when it says nothing in time."""
        assert self._socket is not None
        if not select.select([self._socket], [], [], seconds)[0]:
            return None
        try:
            return self._socket.recv(64)
        except OSError:
            return b""


def split_off(orders: int) -> Path | None:
    """Fork the twin, which waits for orders on the file descriptor ``orders``.

    Returns None in the calling process and, in each worker that the twin forks, the folder of the trial to train. What cannot become
    a worker ends without an answer.
    """
    if os.fork():
        os.close(orders)
        return None
    os.setsid()
    return wait_for_orders(orders)


def wait_for_orders(orders: int) -> Path:
    """Be the twin; returns only in the workers that it forks, with the folder of the trial to train."""
    # Above all the lock of the trial that the calling process trains: a copy of it would hold it.
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(0, 1), os.dup2(0, 2)
    os.closerange(3, orders), os.closerange(orders + 1, os.sysconf("SC_OPEN_MAX"))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries dead workers
    gc.freeze()  # a collection in a worker would copy every page that it looks at
    with socket.socket(fileno=orders) as connection:
        try:
            connection.send(str(os.getpid()).encode())
            while order := connection.recv(LARGEST_ORDER):
                if not os.fork():
                    return _become_worker(json.loads(order), connection)
        except OSError:
            pass
    os._exit(0)


def _become_worker(order: dict, connection: socket.socket) -> Path:
    """Leave the twin's session and folder, and say so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environment"])
    folder = Path(order["folder"])
    log = os.open(folder / files.WORKER_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1), os.dup2(log, 2)
    os.close(log)
    connection.send(str(os.getpid()).encode())
    return folder
