"""The process that trains one trial: ``python -m core.lab.worker [FOLDER] [--orders DESCRIPTOR]``.

With a socket's descriptor it splits off a twin once everything is imported, which forks further workers (core.lab.forkserver);
without a folder it is that twin itself.
It writes only its trial's folder. Exit codes: 0 finished, 3 stopped, 2 an error that the user can mend,
1 a bug (both with ``failure.json``), 4 another worker has this folder.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NoReturn

from core.errors import UserError
from core.lab import files
from core.lab.executor import this_process
from core.lab.forkserver import OPTION, split_off, wait_for_orders
from core.lab.view import TrialView
from core.train.events import EventWriter

FINISHED, BUG, USER_ERROR, STOPPED, TAKEN = range(5)
LOOK_SECONDS = 0.05
# The pages share the processors with the training and must stay quick.
NICE = 5
# A killed worker's lock is let go when the last of its threads is gone, a moment after it counts as dead.
TAKE_SECONDS = 1.0
# With what these import in turn, all that a trial with an encoder of token vectors comes to need.
IMPORTED = (
    "core.train.trial",
    "core.encode.char_ngram",
    "core.encode.store",
    "core.encode.subwords",
    "core.encode.tables",
    "core.sampling.presets",
    "core.search.bm25",
    "core.search.bm25_loops",
    "core.search.exact",
    "core.search.exact_loops",
    "core.search.rounded_loops",
    "pandas",  # pyarrow imports it with its first array
    "pyarrow.parquet",
    "safetensors.numpy",
    "scipy.sparse",
    "tokenizers",
)

Run = Callable[..., None]


class StopFlag:
    """Callable that is true once the trial was asked to stop: by its ``stop`` file or by SIGTERM.

    Called each step, so it looks at the file at most every 50 ms.
    """

    def __init__(self, folder: Path):
        self._path = folder / files.STOP
        self._is_set = False
        self._next_look = 0.0

    def set(self, *_: object) -> None:
        self._is_set = True

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._is_set and now >= self._next_look:
            self._next_look = now + LOOK_SECONDS
            self._is_set = os.path.exists(self._path)
        return self._is_set


def main(
    folder: Path | str, run: Run | None = None, stopped: type[Exception] | None = None, on_imported: Callable[[], None] = lambda: None
) -> int:
    """Train the trial in ``folder`` and return the exit code.

    ``run(folder, should_stop=..., threads=...)`` and the exception by which it says that it stopped are
    those of ``core.train.trial`` unless given. ``on_imported`` is called before anything is computed.
    """
    folder = Path(folder).resolve()
    lock = files.FileLock(folder / files.WORKER_LOCK)
    if not _taken_within(lock, TAKE_SECONDS):
        print(f"Another worker trains {folder}; this one leaves.", flush=True)
        return TAKEN
    try:
        me = this_process()
        files.write_json(folder / files.WORKER, {"pid": me.pid, "started": me.started})
        (folder / files.FAILURE).unlink(missing_ok=True)
        events = EventWriter(folder / files.EVENTS)
        events.write("state", state="running")
        should_stop = StopFlag(folder)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, should_stop.set)
        return _train(folder, events, should_stop, run, stopped, on_imported)
    finally:
        # The calling process may live on (a notebook): what it leaves here must not say that it still trains.
        (folder / files.WORKER).unlink(missing_ok=True)
        lock.release()


def _taken_within(lock: files.FileLock, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not lock.acquire():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def _train(
    folder: Path,
    events: EventWriter,
    should_stop: StopFlag,
    run: Run | None,
    stopped: type[Exception] | None,
    on_imported: Callable[[], None],
) -> int:
    stops: tuple[type[Exception], ...] = () if stopped is None else (stopped,)
    try:
        if run is None:
            from core.train.trial import Stopped, run_trial

            run, stops = partial(run_trial, may_fork=sys.platform.startswith("linux")), (Stopped,)
        on_imported()
        run(folder, should_stop=should_stop, threads=_threads())
        if not (folder / files.RESULT).exists():
            raise RuntimeError(f"The trial ended without writing {files.RESULT}.")
    except stops:
        states = TrialView(folder).events("state")
        if states[-1].get("state") != "stopped":  # the trial itself says so after its checkpoint
            events.write("state", state="stopped")
        return STOPPED
    except UserError as error:
        _fail(folder, events, str(error), is_user_error=True)
        return USER_ERROR
    except Exception as error:  # the process ends here: what went wrong must reach the page
        traceback.print_exc()
        _fail(folder, events, f"{type(error).__name__}: {error}", is_user_error=False)
        return BUG
    events.write("state", state="finished")
    return FINISHED


def _fail(folder: Path, events: EventWriter, message: str, *, is_user_error: bool) -> None:
    failure = {"message": message, "is_user_error": is_user_error}
    if not is_user_error:
        failure["traceback"] = traceback.format_exc()
    files.write_json(folder / files.FAILURE, failure)
    events.write("state", state="failed")


def _threads() -> int | None:
    text = os.environ.get("NEGSPACE_THREADS", "")
    return int(text) if text.isdigit() and int(text) > 0 else None


def leave(code: int) -> None:
    """End the process at once: a library's thread that hangs must not keep the place in the queue."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _serve(orders: int) -> None:
    """Split off the twin, and be the worker in every process that it forks."""
    import_all()
    folder = split_off(orders)
    if folder is not None:
        _work(folder)


def _work(folder: Path) -> NoReturn:
    """Be a worker that was forked."""
    code = BUG
    try:
        code = main(folder)
    except BaseException:
        traceback.print_exc()
    leave(code)


def import_all() -> None:
    """Import what a trial with the default encoder imports on its way, compiled loops included, and read what it reads each time."""
    for name in IMPORTED:
        importlib.import_module(name)
    from core.encode.subwords import wordllama_tokenizer, wordllama_vectors

    with suppress(UserError):  # the trial itself says what is missing, if it needs it
        wordllama_tokenizer()
        wordllama_vectors()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m core.lab.worker", description="Train the trial in a folder with trial.json.")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument(OPTION, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder is None and options.orders is None:
        parser.error(f"name a folder with {files.TRIAL}")
    if options.folder is not None and not (options.folder / files.TRIAL).is_file():
        parser.error(f"{options.folder} has no {files.TRIAL}")
    os.nice(NICE)
    if options.folder is None:
        import_all()
        _work(wait_for_orders(options.orders))
    leave(main(options.folder, on_imported=(lambda: None) if options.orders is None else lambda: _serve(options.orders)))
