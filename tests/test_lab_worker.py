"""The worker process and the processes that hold it: exit codes, stop, and who is who."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import CorpusError
from core.lab import worker
from core.lab.executor import Handle, LocalProcesses, is_alive, live_worker, this_process
from core.lab.files import FileLock
from core.lab.view import TrialView

FAKE = (sys.executable, "-P", str(Path(__file__).with_name("lab_fake_worker.py")))


class Halted(Exception):
    pass


def make_trial(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trial.json").write_text(json.dumps({"name": "t", "config": config}))
    return folder


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def states(folder: Path) -> list[str]:
    return [event["state"] for event in TrialView(folder).events("state")]


def finish(folder: Path, **_: object) -> None:
    assert live_worker(folder) == this_process()
    (folder / "result.json").write_text("{}")


def test_exit_codes_and_what_is_left_in_the_folder(tmp_path: Path):
    folder = make_trial(tmp_path / "ok")
    assert worker.main(folder, run=finish, stopped=Halted) == 0
    assert states(folder) == ["running", "finished"]
    assert live_worker(folder) is None  # although this process lives

    def user_error(folder: Path, **_: object) -> None:
        raise CorpusError("a.jsonl:1: no text.")

    folder = make_trial(tmp_path / "user")
    assert worker.main(folder, run=user_error, stopped=Halted) == 2
    assert TrialView(folder).failure == {"message": "a.jsonl:1: no text.", "is_user_error": True}

    def bug(folder: Path, **_: object) -> None:
        raise KeyError("x")

    folder = make_trial(tmp_path / "bug")
    assert worker.main(folder, run=bug, stopped=Halted) == 1
    failure = TrialView(folder).failure
    assert failure["message"] == "KeyError: 'x'" and "def bug" not in failure["message"]
    assert not failure["is_user_error"] and "raise KeyError" in failure["traceback"]
    assert states(folder) == ["running", "failed"]
    assert worker.main(folder, run=finish, stopped=Halted) == 0
    assert TrialView(folder).failure is None  # the failure was of the run before


def test_run_without_result_is_a_bug(tmp_path: Path):
    folder = make_trial(tmp_path)
    assert worker.main(folder, run=lambda folder, **_: None, stopped=Halted) == 1
    assert "result.json" in TrialView(folder).failure["message"]


def test_stopped_is_said_once(tmp_path: Path):
    from core.train.events import EventWriter

    def silent(folder: Path, **_: object) -> None:
        raise Halted

    def saying(folder: Path, **_: object) -> None:
        EventWriter(folder / "events.jsonl").write("state", state="stopped")
        raise Halted

    for name, run in (("silent", silent), ("saying", saying)):
        folder = make_trial(tmp_path / name)
        assert worker.main(folder, run=run, stopped=Halted) == 3
        assert states(folder) == ["running", "stopped"]


def test_stop_file_is_seen_within_its_interval(tmp_path: Path):
    flag = worker.StopFlag(tmp_path)
    assert not flag()
    (tmp_path / "stop").touch()
    assert not flag()  # it looked a moment ago
    time.sleep(worker.LOOK_SECONDS * 1.5)
    assert flag()
    (tmp_path / "stop").unlink()
    assert flag()  # once asked, always


def test_second_worker_leaves_a_taken_folder(tmp_path: Path):
    folder = make_trial(tmp_path)
    with FileLock(folder / "worker.lock"):
        assert worker.main(folder, run=finish, stopped=Halted) == 4
    assert not (folder / "events.jsonl").exists() and not (folder / "worker.json").exists()


def test_real_worker_reports_a_trial_that_cannot_be_read(tmp_path: Path):
    folder = make_trial(tmp_path)  # no corpus: the real trainer refuses it
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    command = [sys.executable, "-P", "-m", "core.lab.worker"]
    done = subprocess.run([*command, str(folder)], cwd=tmp_path, env=environment, timeout=60, check=False)
    assert done.returncode == 2
    assert TrialView(folder).failure["is_user_error"]
    assert subprocess.run([*command, str(tmp_path / "no")], env=environment, timeout=60, check=False).returncode == 2


def test_process_is_known_by_id_and_start_time():
    me = this_process()
    assert is_alive(me)
    assert not is_alive(Handle(me.pid, me.started - 60))  # the id was used again


def test_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    import psutil

    handle = Handle(child.pid, psutil.Process(child.pid).create_time())
    assert is_alive(handle)
    child.stdin.close()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not is_alive(handle)
    child.wait()


def test_local_process_gets_its_threads_its_folder_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NEGSPACE_DATABASE", "postgresql://ann:secret@host/db")
    program = "import json, os, sys; open(sys.argv[1] + '/env.json', 'w').write(json.dumps(dict(os.environ)))"
    executor = LocalProcesses(tmp_path, command=(sys.executable, "-c", program))
    handle = executor.start(make_trial(tmp_path / "t"), threads=3)
    until(lambda: not executor.is_alive(handle))
    environment = json.loads((tmp_path / "t" / "env.json").read_text())
    assert environment["OMP_NUM_THREADS"] == environment["NUMBA_NUM_THREADS"] == "3"
    assert "NEGSPACE_DATABASE" not in environment

    handle = LocalProcesses(tmp_path, command=FAKE).start(make_trial(tmp_path / "t", n_steps=2), threads=3)
    until(lambda: not is_alive(handle))
    assert (tmp_path / "t" / "starts.txt").read_text().split() == [str(handle.pid), "3", str(tmp_path)]


def test_sigterm_stops_with_a_checkpoint(tmp_path: Path):
    executor = LocalProcesses(tmp_path, command=FAKE)
    folder = make_trial(tmp_path / "t", n_steps=10_000)
    handle = executor.start(folder, threads=1)
    until((folder / "checkpoint").exists)
    os.kill(handle.pid, signal.SIGTERM)
    until(lambda: not executor.is_alive(handle))
    assert states(folder) == ["running", "stopped"]


def test_end_is_by_force_after_the_grace_and_takes_the_children_along(tmp_path: Path):
    program = (
        "import os, pathlib, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "code = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);'\n"
        "code += 'print(1, flush=True); time.sleep(60)'\n"
        "child = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "pathlib.Path(sys.argv[1], 'child').write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    executor = LocalProcesses(tmp_path, command=(sys.executable, "-c", program))
    handle = executor.start(make_trial(tmp_path / "t"), threads=1)
    child = tmp_path / "t" / "child"
    until(lambda: child.exists() and child.read_text())
    import psutil

    below = Handle(int(child.read_text()), psutil.Process(int(child.read_text())).create_time())
    started = time.monotonic()
    executor.end(handle, grace=0.2)
    assert 0.2 <= time.monotonic() - started < 3
    assert not executor.is_alive(handle)
    until(lambda: not is_alive(below))
    executor.end(handle, grace=0.2)  # nothing left to end
