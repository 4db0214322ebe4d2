"""Workers that are forked: as those started as programs in every respect, and the ways back when there is no twin."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

from core.lab.executor import LocalProcesses
from core.lab.files import FileLock
from core.lab.view import TrialView
from core.sampling.presets import PRESETS
from core.sampling.recipe import Recipe
from core.sampling.schedule import AsyncEverySteps
from core.train.config import TrialConfig, write_config
from core.train.trial import run_trial

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers are forked on Linux only")
LONG = 1000


def until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "trials").mkdir()
    return folder


@pytest.fixture(scope="module")
def trial(place: Path, tiny_folder: Path):
    """Makes a trial's folder ready to be trained."""

    def make(name: str, epochs: int = 2, recipe: Recipe = PRESETS["bm25"].recipe) -> Path:
        encoder = {"key": "char-ngram", "dim": 16}
        folder = place / "trials" / name
        write_config(folder, TrialConfig(corpus=str(tiny_folder), recipe=recipe.to_dict(), encoder=encoder, epochs=epochs, batch_size=8))
        return folder

    return make


@pytest.fixture(scope="module")
def executor(place: Path, trial):
    """Has trained the trial ``first`` by a program, which left a twin."""
    made = LocalProcesses(place)
    ended(made, made.start(trial("first"), threads=1))
    yield made
    made.close()


def ended(executor: LocalProcesses, handle) -> None:
    until(lambda: not executor.is_alive(handle))


def twin_of(executor: LocalProcesses) -> psutil.Process:
    """The twin, as soon as it is there."""
    until(executor._forks._has_come)
    return psutil.Process(executor._forks.pid)


def test_a_forked_worker_trains_the_same_bytes(executor, trial, place):
    twin = twin_of(executor)
    started = time.monotonic()
    second = executor.start(trial("second"), threads=1)
    assert time.monotonic() - started < 2, "a fork, not a start"
    process = psutil.Process(second.pid)
    assert process.ppid() == twin.pid and os.getpgid(second.pid) == second.pid
    assert process.nice() == twin.nice() == psutil.Process().nice() + 5
    ended(executor, second)
    results = [json.loads((place / "trials" / name / "result.json").read_text()) for name in ("first", "second")]
    assert results[0]["metrics"] == results[1]["metrics"] and results[0]["weights"] == results[1]["weights"]


def test_an_asynchronous_trial_forks_its_refreshing_process(executor, trial, place):
    recipe = dataclasses.replace(PRESETS["ance-async"].recipe, schedule=AsyncEverySteps(lag=2))
    twin_of(executor)
    ended(executor, executor.start(trial("async", epochs=4, recipe=recipe), threads=1))
    alone = trial("async-alone", epochs=4, recipe=recipe)
    run_trial(alone, threads=1)  # here the process is started
    results = [json.loads((place / "trials" / name / "result.json").read_text()) for name in ("async", "async-alone")]
    assert results[0]["weights"] == results[1]["weights"] and results[0]["metrics"] == results[1]["metrics"]
    refreshes = [event["lanes"][0].get("staleness") for event in TrialView(place / "trials" / "async").events("refresh")]
    assert refreshes == [None, 2, 2, 2]

    folder = trial("async-long", epochs=LONG, recipe=recipe)
    handle = executor.start(folder, threads=1)
    until(lambda: len(TrialView(folder).curve()) > 3)
    (refreshing,) = psutil.Process(handle.pid).children()
    os.kill(refreshing.pid, signal.SIGKILL)
    until(lambda: any("was ended by signal 9" in event["text"] for event in TrialView(folder).events("log")))
    until(lambda: psutil.Process(handle.pid).children())
    (refreshing,) = psutil.Process(handle.pid).children()
    assert "core.train.background" in " ".join(refreshing.cmdline()), "the second one is a program: much was computed by now"
    os.kill(handle.pid, signal.SIGKILL)
    until(lambda: not refreshing.is_running() or refreshing.status() == psutil.STATUS_ZOMBIE)


def test_what_a_forked_worker_prints_goes_to_its_own_log(executor, trial):
    folder = trial("broken")
    (folder / "trial.json").write_text("[]")
    ended(executor, executor.start(folder, threads=1))
    assert TrialView(folder).failure is not None
    assert "Traceback" in (folder / "worker.log").read_text()


def test_a_forked_worker_outlives_its_twin_and_the_next_one_is_a_program(executor, trial):
    folder, twin = trial("long", epochs=LONG), twin_of(executor)
    handle = executor.start(folder, threads=1)
    until(lambda: len(TrialView(folder).curve()) > 1)
    assert [file.path for file in twin.open_files()] == [], "least of all the lock of a trial"
    twin.kill()
    time.sleep(0.1)
    assert executor.is_alive(handle)
    os.kill(handle.pid, signal.SIGTERM)
    ended(executor, handle)
    assert TrialView(folder).state_from_folder() == "stopped"

    again_folder = trial("again", epochs=LONG)
    again = executor.start(again_folder, threads=1)
    assert psutil.Process(again.pid).ppid() == os.getpid()
    twin = twin_of(executor)  # it brought one
    executor.end(again, grace=0)
    lock = FileLock(again_folder / "worker.lock")
    until(lock.acquire)  # the twin has no copy of it
    lock.release()
    executor.close()
    until(lambda: not twin.is_running() or twin.status() == psutil.STATUS_ZOMBIE)


def test_a_twin_can_be_there_before_the_first_trial(place, trial):
    executor = LocalProcesses(place)
    executor.prepare(threads=1)
    one = executor._forks._socket
    executor.prepare(threads=1)
    assert executor._forks._socket is one, "one is enough"
    twin = twin_of(executor)
    assert twin.ppid() == os.getpid()
    handle = executor.start(trial("prepared"), threads=1)
    assert psutil.Process(handle.pid).ppid() == twin.pid
    ended(executor, handle)
    assert TrialView(place / "trials" / "prepared").result is not None
    executor.close()
    until(lambda: not twin.is_running() or twin.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("why", ["it does not answer", "it has another number of threads"])
def test_without_a_twin_for_it_a_worker_is_a_program(place, trial, monkeypatch, why):
    """Here the twin is a socket that nobody reads."""
    executor = LocalProcesses(place)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    executor._forks._socket, executor._forks._threads, executor._forks.pid = ours, 1, os.getpid()
    monkeypatch.setattr("core.lab.forkserver.ANSWER_SECONDS", 0.1)
    with theirs:
        handle = executor.start(trial("alone"), threads=1 if why == "it does not answer" else 2)
    assert psutil.Process(handle.pid).ppid() == os.getpid()
    executor.end(handle, grace=0)
    executor.close()


def test_other_commands_are_never_forked(place, trial):
    folder = trial("own")
    program = "import sys; print(len(sys.argv))"
    executor = LocalProcesses(place, command=(sys.executable, "-c", program))
    ended(executor, executor.start(folder, threads=1))
    assert (folder / "worker.log").read_text() == "2\n" and executor._forks._socket is None
