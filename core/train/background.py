"""A second process that encodes and searches the corpus while training goes on with the negatives that it has.

``python -m core.train.background FOLDER FD`` is that process; FD is its end of a socket to the training. A worker forks it instead
(:func:`fork`), which spares it seconds of imports: a short training would be over before its first refresh.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil

from core.errors import TrialError, UserError
from core.sampling.candidates import Candidates

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.train.setup import Setup

ROOT = Path(__file__).resolve().parents[2]
CORPUS = "refresh-corpus"
LOOK_SECONDS = 0.05
MOST_DEATHS = 3
Weights = dict[str, np.ndarray]


class Forked:
    """A process that was forked, with what is asked of one that was started."""

    def __init__(self, pid: int):
        self.pid = pid
        self._process = psutil.Process(pid)

    def kill(self) -> None:
        try:
            self._process.kill()
        except psutil.NoSuchProcess:
            pass

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, or minus the signal that ended it; raises subprocess.TimeoutExpired."""
        try:
            return int(self._process.wait(timeout) or 0)
        except psutil.TimeoutExpired as error:
            raise subprocess.TimeoutExpired("forked", timeout or 0.0) from error


@dataclass
class Background:
    """The refreshing process of one trial, as the training sees it.

    ``lag``: steps after which a refresh is taken, waiting for it where needed; 0 = as soon as it is there. ``weights``: gives a copy
    of the model's state. ``tell``: writes a sentence into the trial's log. ``corpus``: one that cannot be loaded by the
    configuration's name; it lies in the trial's folder until :meth:`close`.
    ``spare``: a process that was forked for it and waits, with our end of its socket.
    ``asked``: the step whose weights the refresh under way works with, None = none is; ``sent``: these weights.
    """

    folder: Path
    lag: int
    weights: Callable[[], Weights]
    tell: Callable[[str], None]
    corpus: Corpus | None = None
    spare: tuple[Forked, socket.socket] | None = None
    asked: int | None = None
    sent: Weights | None = None
    n_taken: int = 0
    process: subprocess.Popen | Forked | None = None
    _connection: Connection | None = None
    _request: tuple | None = None
    _arrived: dict[int, Candidates] | None = None
    _is_ready: bool = False
    _n_deaths: int = 0
    _is_passed_on: bool = False

    def exchange(
        self, step: int, is_due: bool, lanes: list[int], earlier: dict[str, tuple[np.ndarray, np.ndarray]]
    ) -> tuple[dict[int, Candidates], int]:
        """(new candidates by lane, the step of their weights) to be taken before this step; mostly none.

        Begins a refresh where one is due, or where a checkpoint brought one back; while one is under way no other begins.
        Raises TrialError for what stopped the refresh and the user can mend.
        """
        if self.process is None and self._n_deaths < MOST_DEATHS and (is_due or not self._n_deaths):
            self._start()
        if self.process is None:
            return {}, step
        if is_due and self.asked is None:
            self.asked, self.sent = step, self.weights()
        if self.asked is not None and not self._is_passed_on:
            self._is_passed_on, self._request = True, ("mine", self.asked, self.sent, lanes, earlier)
        self._listen()
        while self.lag and self._is_time(step) and self._arrived is None:
            assert self._connection is not None
            try:
                self._connection.poll(LOOK_SECONDS)
            except OSError:
                pass  # _listen says what happened
            self._listen()
        if self._arrived is None or (self.lag and not self._is_time(step)):
            return {}, step
        taken, of = self._arrived, self.asked or 0
        self._forget()
        self.n_taken += 1
        return taken, of

    def close(self, *, is_finished: bool = False) -> None:
        """End the process and remove what it left; harmless when there is none. ``is_finished``: no training step will follow."""
        if self.spare is not None:
            self.spare[1].close()  # it sees that and ends
            self.spare = None
        if self.process is not None:
            if is_finished and self.asked is not None and not self.n_taken:
                self.tell(
                    f"Training ended before the refresh begun at step {self.asked} was there, so no negatives were ever refreshed. "
                    "Train longer, or let the schedule wait (every-async.lag)."
                )
            self.process.kill()
            self._reap()
        shutil.rmtree(self.folder / CORPUS, ignore_errors=True)

    def _is_time(self, step: int) -> bool:
        return self.asked is not None and step - self.asked >= self.lag

    def _forget(self) -> None:
        self.asked = self.sent = self._arrived = self._request = None
        self._is_passed_on = False

    def _start(self) -> None:
        if self.corpus is not None:
            self.corpus.save(self.folder / CORPUS)
        self._is_ready = False
        if self.spare is not None:
            (self.process, ours), self.spare = self.spare, None
            self._connection = Connection(ours.detach())
            self._connection.send(("begin",))
            return
        ours, theirs = socket.socketpair()
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "core.train.background", str(self.folder.resolve()), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        self._connection = Connection(ours.detach())

    def _listen(self) -> None:
        """Take what the process says and send it what waits; none of it waits for the process."""
        connection = self._connection
        if connection is None:
            return
        try:
            while connection.poll():
                kind, *rest = connection.recv()
                if kind == "failed":
                    raise TrialError(f"The background refresh stopped: {rest[0]}")
                if kind == "bug":
                    raise RuntimeError(f"The background refresh failed.\n{rest[0]}")
                self._is_ready = True
                if kind == "mined":
                    self._arrived = rest[0]
            if self._is_ready and self._request is not None:
                connection.send(self._request)
                self._request = None
        except (EOFError, OSError):
            self._bury()

    def _bury(self) -> None:
        code, asked = self._reap(), self.asked
        self._forget()
        self._n_deaths += 1
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        lost = f" The refresh begun at step {asked} is lost." if asked is not None else ""
        again = "a new process starts at the next refresh" if self._n_deaths < MOST_DEATHS else "it is not started again"
        self.tell(f"The refreshing process {how}.{lost} Training goes on with the negatives that it has; {again}.")

    def _reap(self) -> int:
        assert self.process is not None
        if self._connection is not None:
            self._connection.close()
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.process = self._connection = None
        return code


def fork(folder: Path) -> tuple[Forked, socket.socket]:
    """Fork the process, which waits to be begun with, and return it with our end of its socket.

    Only for a process that has computed nothing yet: a fork has one thread, whatever the others held. Linux only.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return Forked(pid), ours
    alone = theirs.detach()
    os.closerange(3, alone), os.closerange(alone + 1, os.sysconf("SC_OPEN_MAX"))  # the trial's lock among them
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        _leave_with_the_training()
        connection = Connection(alone)
        connection.recv()  # what the training makes first, such as pairs, is read and not made again
        serve(folder, connection)
    except (EOFError, OSError):
        pass
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def serve(folder: Path, connection: Connection) -> None:
    """Answer requests until the training closes its end; what goes wrong is sent as its last answer."""
    try:
        setup = _setup(folder)
        connection.send(("ready",))
        while True:
            _, step, weights, lanes, earlier = connection.recv()
            connection.send(("mined", _mined(setup, step, weights, lanes, earlier)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except UserError as error:
        connection.send(("failed", str(error)))
    except Exception:  # a bug must show itself in the training, which raises it with this text
        connection.send(("bug", traceback.format_exc()))


def _setup(folder: Path) -> Setup:
    import torch

    from core.corpus.corpus import Corpus
    from core.corpus.load import load_corpus
    from core.train.config import read_config
    from core.train.events import EventWriter
    from core.train.setup import prepare

    torch.set_num_threads(1)
    config = read_config(folder)
    if (folder / CORPUS).is_dir():
        corpus = Corpus.open(folder / CORPUS)
    else:
        corpus = load_corpus(config.corpus, cache=folder.parent.parent / "corpora" if folder.parent.name == "trials" else None)
    return prepare(config, corpus, folder, EventWriter(os.devnull))


def _mined(setup: Setup, step: int, weights: Weights, lanes: list[int], earlier) -> dict[int, Candidates]:
    from core.sampling.mine import mine_lane
    from core.train.negatives import MINE

    setup.stepper.model.load_state(weights)
    setup.stepper.n_done = step
    setup.context.earlier = earlier
    negatives = setup.negatives
    return {
        index: mine_lane(
            setup.recipe.mined[index],
            setup.context,
            negatives.query_rows,
            np.random.default_rng([negatives.seed, MINE, step, index]),
            index=index,
        )
        for index in lanes
    }


def _leave_with_the_training() -> None:
    """End at once when the process that started this one is gone: a closed socket is only seen between two refreshes."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    _leave_with_the_training()
    serve(Path(sys.argv[1]), Connection(int(sys.argv[2])))
