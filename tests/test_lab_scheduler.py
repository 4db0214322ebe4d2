"""The queue under real processes: killed workers, killed servers, two servers at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import ParameterError
from core.lab import scheduler as scheduler_module
from core.lab.executor import Handle, LocalProcesses, is_alive, this_process
from core.lab.scheduler import Scheduler
from core.lab.store import Store
from core.lab.view import TrialView
from core.lab.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
FAKE = (sys.executable, "-P", str(Path(__file__).with_name("lab_fake_worker.py")))
ENDLESS = {"n_steps": 100_000, "pause": 0.005}
# A server, as far as its trials can tell: a scheduler on a workspace, until it is killed.
SERVER = """
import sys, time
from core.lab.executor import LocalProcesses
from core.lab.scheduler import Scheduler
from core.lab.workspace import Workspace
place = Workspace(sys.argv[1])
executor = LocalProcesses(place.root, command=(sys.executable, "-P", sys.argv[2]))
scheduler = Scheduler(place, executor=executor, max_running=int(sys.argv[3])).start()
print("up", flush=True)
while True:
    time.sleep(0.05)
    scheduler.wake()
"""


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


@pytest.fixture
def make(place: Workspace):
    """Makes schedulers that start counting trials; afterwards ends what still runs."""
    made = []

    def scheduler(**options) -> Scheduler:
        options.setdefault("executor", LocalProcesses(place.root, command=FAKE))
        made.append(Scheduler(place, **options))
        return made[-1]

    yield scheduler
    for one in made:
        one.close()
    store = Store(place)
    for row in store.list(states=("running", "stopping")):
        if row.pid and row.pid != os.getpid():
            LocalProcesses(place.root).end(Handle(row.pid, row.pid_started), grace=0)


@pytest.fixture
def server(place: Workspace):
    """Starts server processes; afterwards kills them."""
    started = []

    def start(max_running: int = 1) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SERVER, str(place.folder), FAKE[-1], str(max_running)]
        paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "up\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def until(condition, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def counted(folder: Path) -> list[int]:
    path = folder / "steps.txt"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def starts(folder: Path) -> int:
    return len((folder / "starts.txt").read_text().splitlines())


def test_trial_runs_to_its_end(make):
    scheduler = make()
    first, second = (scheduler.store.submit({"n_steps": 3}, name) for name in "ab")
    assert scheduler.tick()
    assert [scheduler.store.get(r.id).state for r in (first, second)] == ["running", "queued"]
    assert scheduler.position(second.id) == 1
    rows = scheduler.wait([first.id, second.id], timeout=15)
    assert [(r.state, r.headline, r.corpus_fingerprint, r.pid) for r in rows] == [
        ("finished", {"RR@10": 0.5}, "f" * 16, None)
    ] * 2
    assert rows[0].ended <= rows[1].started  # one place
    assert counted(first.folder) == [1, 2, 3]


def test_faults_reach_the_row(make):
    scheduler = make(max_running=3)
    rows = [scheduler.store.submit({"fault": fault}, fault) for fault in ("user", "bug", "die")]
    user, bug, dead = scheduler.wait([r.id for r in rows], timeout=15)
    assert (user.state, user.message) == ("failed", "docs.jsonl:3: missing 'text'. Each line needs _id and text.")
    assert (bug.state, bug.message) == ("failed", "ZeroDivisionError: division by zero")
    assert dead.state == "interrupted" and "about to die" in dead.message and "Resume" in dead.message


def test_worker_that_cannot_start_fails_its_trial(place: Workspace, make):
    scheduler = make(executor=LocalProcesses(place.root, command=("/nonexistent/python",)))
    row = scheduler.store.submit({}, "a")
    (row,) = scheduler.wait([row.id], timeout=5)
    assert row.state == "failed" and "could not be started" in row.message


def test_stop_saves_and_resume_goes_on(make):
    scheduler = make()
    row = scheduler.store.submit({"n_steps": 60, "pause": 0.02}, "a")
    scheduler.tick()
    until(lambda: len(counted(row.folder)) > 2)
    assert scheduler.store.request_stop(row.id).state == "stopping"
    (row,) = scheduler.wait([row.id], timeout=10)
    assert row.state == "stopped" and len(counted(row.folder)) < 60
    scheduler.store.resume(row.id)
    (row,) = scheduler.wait([row.id], timeout=15)
    assert row.state == "finished"
    assert counted(row.folder) == list(range(1, 61))  # no step twice, none left out


def test_deaf_worker_is_ended_by_force(make):
    scheduler = make(stop_grace=0.3)
    row = scheduler.store.submit({**ENDLESS, "deaf": True}, "a")
    scheduler.tick()
    until(lambda: counted(row.folder))
    scheduler.store.request_stop(row.id)
    (row,) = scheduler.wait([row.id], timeout=10)
    assert row.state == "stopped" and "last checkpoint" in row.message


def test_killed_worker_is_interrupted_then_resumes(make):
    scheduler = make()
    row = scheduler.store.submit({"n_steps": 40, "pause": 0.02}, "a")
    scheduler.tick()
    until(lambda: len(counted(row.folder)) > 2)
    os.kill(scheduler.store.get(row.id).pid, signal.SIGKILL)
    (row,) = scheduler.wait([row.id], timeout=10)
    assert row.state == "interrupted" and "killed" in row.message
    assert TrialView(row.folder).state_from_folder() == "interrupted"
    scheduler.store.resume(row.id)
    (row,) = scheduler.wait([row.id], timeout=15)
    assert row.state == "finished" and starts(row.folder) == 2
    assert sorted(set(counted(row.folder))) == list(range(1, 41))


def test_worker_survives_its_server_and_the_next_one_takes_it_over(make, server):
    store = Store(make().workspace)
    row = store.submit({"n_steps": 100, "pause": 0.02}, "a")
    first = server()
    until(lambda: store.get(row.id).pid and counted(row.folder))
    first.kill()
    first.wait()
    n_before = len(counted(row.folder))
    until(lambda: len(counted(row.folder)) > n_before + 3)
    scheduler = make()
    assert scheduler.tick() and scheduler.store.get(row.id).state == "running"
    (row,) = scheduler.wait([row.id], timeout=15)
    assert row.state == "finished"
    assert starts(row.folder) == 1 and counted(row.folder) == list(range(1, 101))


def test_trial_that_ended_while_no_server_was_up_is_settled(make):
    scheduler = make()
    row = scheduler.store.submit({"n_steps": 3}, "a")
    scheduler.tick()
    scheduler.close()
    until((row.folder / "result.json").exists)
    until(lambda: not is_alive(Handle(*(lambda r: (r.pid, r.pid_started))(scheduler.store.get(row.id)))))
    assert scheduler.store.get(row.id).state == "running"
    next_one = make()
    next_one.tick()
    assert next_one.store.get(row.id).state == "finished"


def test_pid_that_was_used_again_is_not_the_worker(make):
    scheduler = make()
    row = scheduler.store.submit({}, "a")
    scheduler.store.take_next()
    me = this_process()
    scheduler.store.record_worker(row.id, me.pid, me.started - 1000)
    scheduler.tick()
    assert scheduler.store.get(row.id).state == "interrupted"


def test_server_killed_between_taking_and_recording(make, monkeypatch: pytest.MonkeyPatch):
    scheduler = make(max_running=2)
    lost, orphan = (scheduler.store.submit(ENDLESS, name) for name in "ab")
    scheduler.store.take_next(2), scheduler.store.take_next(2)
    handle = scheduler.executor.start(orphan.folder, 1)  # started, but the row does not know
    until((orphan.folder / "worker.json").exists)
    scheduler.tick()
    assert scheduler.store.get(orphan.id).pid == handle.pid
    assert scheduler.store.get(lost.id).state == "running"  # its worker may be on its way
    monkeypatch.setattr(scheduler_module, "START_SECONDS", 0.0)
    scheduler.tick()
    assert scheduler.store.get(lost.id).state == "interrupted"
    assert scheduler.store.get(orphan.id).state == "running"


def test_one_scheduler_decides_the_other_stands_by(make):
    first, second = make(), make()
    assert first.tick() and not second.tick()
    row = first.store.submit({"n_steps": 1}, "a")
    assert not second.tick() and second.store.get(row.id).state == "queued"
    assert first.status().is_active and not second.status().is_active
    first.close()
    (row,) = second.wait([row.id], timeout=10)
    assert row.state == "finished"


@pytest.mark.slow
def test_two_servers_run_each_of_twenty_trials_once(place: Workspace, server):
    store = Store(place)
    rows = [store.submit({"n_steps": 2}, str(i), owner=str(i % 3)) for i in range(20)]
    first, _second = server(2), server(2)

    def n_finished() -> int:
        assert len(store.list(states=("running", "stopping"))) <= 2
        return len(store.list(states=("finished",)))

    until(lambda: n_finished() >= 5, seconds=40)
    # Whichever of the two was deciding, one of them still lives and goes on.
    first.kill()
    until(lambda: n_finished() == 20, seconds=40)
    assert [starts(row.folder) for row in rows] == [1] * 20
    assert [counted(row.folder) for row in rows] == [[1, 2]] * 20


@pytest.mark.slow
def test_real_trial_is_killed_resumed_and_finished(tiny_folder: Path, make):
    from core.sampling.presets import PRESETS
    from core.train.config import TrialConfig

    recipe = PRESETS["random"].recipe.to_dict()
    config = TrialConfig(
        corpus=str(tiny_folder), recipe=recipe, encoder={"key": "char-ngram", "dim": 16}, epochs=40, batch_size=2
    )
    scheduler = make(executor=None, threads=1)
    row = scheduler.store.submit(config.to_dict(), "real")
    view = TrialView(row.folder)
    scheduler.tick()
    until(lambda: len(view.curve()) > 1, seconds=60)
    assert scheduler.store.request_stop(row.id).state == "stopping"
    (row,) = scheduler.wait([row.id], timeout=20)
    assert (row.state, view.state_from_folder()) == ("stopped", "stopped")
    n_before = view.progress()["step"]
    scheduler.store.resume(row.id)
    scheduler.tick()
    until(lambda: view.progress()["step"] > n_before, seconds=60)
    os.kill(scheduler.store.get(row.id).pid, signal.SIGKILL)
    (row,) = scheduler.wait([row.id], timeout=20)
    assert row.state == "interrupted"
    scheduler.store.resume(row.id)
    (row,) = scheduler.wait([row.id], timeout=120)
    assert (row.state, row.message) == ("finished", "")
    assert row.headline == view.result["metrics"] and row.corpus_fingerprint == view.result["corpus_fingerprint"]
    assert len(view.curve()) == 41 and {"untrained", "bm25"} <= set(view.baselines())


def test_thread_ticks_by_itself_and_outlives_an_error(make, monkeypatch: pytest.MonkeyPatch):
    scheduler = make()
    take, fails = scheduler.store.take_next, [True]

    def take_next(max_running: int):
        if fails:
            raise OSError("disk full")
        return take(max_running)

    monkeypatch.setattr(scheduler.store, "take_next", take_next)
    row = scheduler.store.submit({"n_steps": 1}, "a")
    assert scheduler.start() is scheduler.start()
    until(lambda: scheduler.status().error == "disk full")
    fails.clear()
    until(lambda: scheduler.store.get(row.id).state == "finished")
    assert scheduler.status().error == ""


def test_folder_that_appears_is_adopted(make):
    scheduler = make()
    scheduler.tick()
    row = scheduler.store.submit({}, "a")
    scheduler.store.request_stop(row.id)
    copy = scheduler.workspace.trials / "copy"
    copy.mkdir()
    (copy / "trial.json").write_bytes((row.folder / "trial.json").read_bytes())
    scheduler.tick()
    assert scheduler.store.get("copy").state == "stopped"


def test_places_from_the_environment(place: Workspace, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NEGSPACE_MAX_RUNNING", "3")
    assert Scheduler(place).status().max_running == 3
    monkeypatch.setenv("NEGSPACE_MAX_RUNNING", "many")
    with pytest.raises(ParameterError, match="NEGSPACE_MAX_RUNNING"):
        Scheduler(place)
