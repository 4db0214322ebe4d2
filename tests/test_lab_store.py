"""Trials and corpora in the database: states, fairness, two servers at once, and a database that was lost."""

from __future__ import annotations

import json
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import ParameterError, TrialError, UserError
from core.lab.corpora import add_corpus, forget_corpus, list_corpora, spec_of_corpus
from core.lab.executor import this_process
from core.lab.store import Store
from core.lab.workspace import Workspace
from core.train.events import EventWriter

CONFIG = {"corpus": "sample:x", "recipe": {"positives": {}}, "recipe_name": "ANCE", "corpus_fingerprint": "a" * 16}


@pytest.fixture
def store(tmp_path: Path):
    opened = Store(Workspace(tmp_path / "work"))
    yield opened
    opened.close()


def test_submitted_trial_has_folder_and_row(store: Store):
    row = store.submit(CONFIG, "  my\n\0trial ", "ann")
    assert re.fullmatch(r"\d{8}-[0-9a-f]{6}", row.id)
    assert (row.name, row.owner, row.state, row.recipe_title) == ("my trial", "ann", "queued", "ANCE")
    assert (row.corpus, row.corpus_fingerprint, row.recipe) == ("sample:x", "a" * 16, {"positives": {}})
    written = json.loads((row.folder / "trial.json").read_text())
    assert written["name"] == "my trial" and written["config"] == CONFIG and written["libraries"]
    assert store.get(row.id) == row and list(store.list()) == [row]
    with pytest.raises(TrialError, match="20260101-zzzzzz"):
        store.get("20260101-zzzzzz")
    with pytest.raises(ParameterError, match="1 to 120"):
        store.submit(CONFIG, "  ")


def test_submitted_trial_is_what_the_trainer_reads(store: Store):
    from core.train.config import TrialConfig, read_config

    config = TrialConfig(corpus="sample:x", recipe={"a": 1}, epochs=3)
    row = store.submit(config.to_dict(), "named", "ann")
    read = read_config(row.folder)
    assert read == config == TrialConfig.from_dict(row.config)


def test_list_filters(store: Store):
    first = store.submit(CONFIG, "1", "ann")
    second = store.submit({**CONFIG, "corpus_fingerprint": "b" * 16}, "2", "bob")
    store.request_stop(first.id)
    assert [r.id for r in store.list()] == [second.id, first.id]
    assert [r.id for r in store.list(owner="ann")] == [first.id]
    assert [r.id for r in store.list(states=("queued",))] == [second.id]
    assert [r.id for r in store.list(fingerprint="b" * 16)] == [second.id]


def test_queue_is_fair_and_shows_the_order_in_which_it_starts(store: Store):
    names = {store.submit(CONFIG, f"{owner}{i}", owner).id: f"{owner}{i}" for owner in ("ann", "bob") for i in range(3)}
    expected = ["ann0", "bob0", "ann1", "bob1", "ann2", "bob2"]
    assert [names[i] for i in store.queue()] == expected
    assert [store.position(i) for i in store.queue()] == [1, 2, 3, 4, 5, 6]
    taken = []
    while (row := store.take_next(max_running=99)) is not None:
        taken.append(row.name)
        assert store.position(row.id) == 0
        assert [names[i] for i in store.queue()] == expected[len(taken) :]
    assert taken == expected


def test_no_more_run_than_places(store: Store):
    rows = [store.submit(CONFIG, str(i)) for i in range(3)]
    assert store.take_next(2) and store.take_next(2)
    assert store.take_next(2) is None
    assert store.settle(store.get(rows[0].id), "finished")
    assert store.take_next(2).id == rows[2].id


def test_states_follow_requests(store: Store):
    row = store.submit(CONFIG, "1")
    assert store.request_stop(row.id).state == "stopped"
    assert store.resume(row.id).state == "queued"
    store.take_next()
    store.record_worker(row.id, 123, 4.5)
    assert not (row.folder / "stop").exists()
    stopping = store.request_stop(row.id)
    assert (stopping.state, stopping.pid, stopping.pid_started) == ("stopping", 123, 4.5)
    assert (row.folder / "stop").exists()
    with pytest.raises(TrialError, match="stopping"):
        store.resume(row.id)
    with pytest.raises(TrialError, match="Stop it"):
        store.delete(row.id)
    assert store.settle(stopping, "stopped")
    assert not store.settle(stopping, "failed")  # whoever comes second changes nothing
    assert store.get(row.id).state == "stopped"
    (row.folder / "failure.json").write_text("{}")
    assert store.resume(row.id).state == "queued"
    assert not (row.folder / "stop").exists() and not (row.folder / "failure.json").exists()
    assert store.resume(row.id).state == "queued"  # pressed twice


def test_finished_trial_cannot_be_resumed(store: Store):
    row = store.submit(CONFIG, "1")
    store.settle(store.take_next(), "finished")
    with pytest.raises(TrialError, match="finished"):
        store.resume(row.id)
    assert store.request_stop(row.id).state == "finished"


def test_rename_reaches_the_folder(store: Store):
    row = store.submit(CONFIG, "old")
    assert store.rename(row.id, "new").name == "new"
    assert json.loads((row.folder / "trial.json").read_text())["name"] == "new"


def test_delete_and_undelete(store: Store):
    row = store.submit(CONFIG, "1")
    gone = store.delete(row.id)
    assert not row.folder.exists() and (gone.folder / "trial.json").exists()
    assert list(store.list()) == [] and [r.id for r in store.list(is_deleted=True)] == [row.id]
    assert store.take_next() is None and store.queue() == []
    with pytest.raises(TrialError, match="deleted"):
        store.resume(row.id)
    back = store.undelete(row.id)
    assert back.folder == row.folder and row.folder.is_dir() and back.state == "stopped"
    shutil.rmtree(store.delete(row.id).folder)
    with pytest.raises(TrialError, match="gone"):
        store.undelete(row.id)
    assert store.get(row.id).deleted  # the refused move left the row as it was


def test_lost_database_trials_come_back(tmp_path: Path):
    workspace = Workspace(tmp_path, f"sqlite:///{tmp_path / 'negspace.db'}")
    store = Store(workspace)
    rows = {name: store.submit(CONFIG, name, "ann") for name in ("new", "done", "bad", "halted", "killed", "alive")}
    (rows["done"].folder / "result.json").write_text('{"metrics": {"RR@10": 0.5, "MAP": NaN}}')
    (rows["bad"].folder / "failure.json").write_text('{"message": "docs.jsonl:3", "is_user_error": true}')
    for name, states in {"halted": ("running", "stopped"), "killed": ("running",), "alive": ("running",)}.items():
        for state in states:
            EventWriter(rows[name].folder / "events.jsonl").write("state", state=state)
    me = this_process()
    (rows["alive"].folder / "worker.json").write_text(json.dumps({"pid": me.pid, "started": me.started}))
    (rows["killed"].folder / "worker.json").write_text(json.dumps({"pid": me.pid, "started": me.started - 60}))
    (workspace.trials / "not a trial").mkdir()
    store.close()
    for path in tmp_path.glob("negspace.db*"):
        path.unlink()

    again = Store(workspace)
    found = {row.name: row for row in again.list()}
    assert {name: row.state for name, row in found.items()} == {
        "new": "stopped", "done": "finished", "bad": "failed",
        "halted": "stopped", "killed": "interrupted", "alive": "running",
    }  # fmt: skip
    assert found["done"].headline == {"RR@10": 0.5}
    assert found["bad"].message == "docs.jsonl:3"
    assert (found["alive"].pid, found["alive"].pid_started) == (me.pid, me.started)
    for name, row in found.items():
        before = rows[name]
        assert (row.id, row.owner, row.config, row.recipe_title) == (before.id, "ann", before.config, "ANCE")
        assert row.created == before.created
    assert again.adopt() == []
    again.close()


def test_folder_copied_in_becomes_a_trial(store: Store, tmp_path: Path):
    row = store.submit(CONFIG, "1")
    shutil.copytree(row.folder, row.folder.with_name("from-a-friend"))
    assert [r.id for r in store.adopt()] == ["from-a-friend"]
    (row.folder.with_name("broken")).mkdir()
    (row.folder.with_name("broken") / "trial.json").write_text("{")
    assert store.adopt() == []


def test_trial_that_is_trained_by_hand_is_seen(store: Store):
    row = store.submit(CONFIG, "1")
    store.request_stop(row.id)
    assert store.correct() == []
    me = this_process()
    (row.folder / "worker.json").write_text(json.dumps({"pid": me.pid, "started": me.started}))
    assert store.correct() == [row.id]
    running = store.get(row.id)
    assert (running.state, running.pid) == ("running", me.pid)
    store.settle(running, "interrupted")
    (row.folder / "worker.json").unlink()
    (row.folder / "result.json").write_text('{"metrics": {"MAP": 0.25}}')
    store.correct()
    assert (store.get(row.id).state, store.get(row.id).headline) == ("finished", {"MAP": 0.25})


def test_eight_submitters_and_four_takers_at_once(tmp_path: Path):
    workspace = Workspace(tmp_path)
    start = threading.Barrier(12)

    def submit(owner: int) -> list[str]:
        start.wait()
        mine = Store(workspace)  # opened at once, too: the tables are made only once
        ids = [mine.submit(CONFIG, str(i), str(owner)).id for i in range(10)]
        mine.close()
        return ids

    def take(_: int) -> list[str]:
        start.wait()
        mine = Store(workspace)
        taken, n_idle = [], 0
        while n_idle < 60:
            row = mine.take_next(max_running=1000)
            n_idle = n_idle + 1 if row is None else 0
            if row is None:
                threading.Event().wait(0.02)
            else:
                taken.append(row.id)
        mine.close()
        return taken

    with ThreadPoolExecutor(12) as pool:
        submitted = [pool.submit(submit, i) for i in range(8)]
        taken = [pool.submit(take, i) for i in range(4)]
        ids = [i for future in submitted for i in future.result()]
        started = [i for future in taken for i in future.result()]
    assert len(set(ids)) == 80
    assert sorted(started) == sorted(ids)  # each once
    store = Store(workspace)
    assert {row.state for row in store.list()} == {"running"} and len(store.list()) == 80


def test_workspaces_do_not_mix_even_in_one_database(tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    one, two = Store(Workspace(tmp_path / "1", url)), Store(Workspace(tmp_path / "2", url))
    row = one.submit(CONFIG, "1")
    assert list(two.list()) == [] and two.take_next() is None
    with pytest.raises(TrialError):
        two.get(row.id)
    shutil.copytree(row.folder, two.workspace.trials / row.id)
    assert [r.id for r in two.adopt()] == [row.id]  # the same id in both


def test_workspace_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NEGSPACE_WORKSPACE", str(tmp_path / "a" / "b"))
    monkeypatch.delenv("NEGSPACE_DATABASE", raising=False)
    workspace = Workspace()
    assert not (tmp_path / "a").exists()  # made only when something is written
    assert workspace.trials == tmp_path / "a" / "b" / "trials" and workspace.trials.is_dir()
    assert workspace.database_url == f"sqlite:///{tmp_path / 'a' / 'b' / 'negspace.db'}"
    monkeypatch.setenv("NEGSPACE_DATABASE", "postgresql://host/db")
    assert Workspace().database_url == "postgresql://host/db"


def test_unusable_places_are_user_errors(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="NEGSPACE_WORKSPACE"):
        Store(Workspace(tmp_path / "file" / "below"))
    for url in ("nonsense", "mysterysql://ann:secret@host/db", f"sqlite:///{tmp_path / 'none' / 'x.db'}"):
        with pytest.raises(UserError, match="NEGSPACE_DATABASE") as caught:
            Store(Workspace(tmp_path / "w", url))
        assert "secret" not in str(caught.value)


def test_the_corpus_of_a_trial_is_found_where_nobody_loaded_it(store: Store):
    config = {"corpus": "/trained", "corpus_fingerprint": "f" * 16, "recipe": {}}
    store.submit(config, "by the command line")
    assert spec_of_corpus(store, "f" * 16) == "/trained" and spec_of_corpus(store, "e" * 16) is None
    add_corpus(store, spec="/loaded", name="c", fingerprint="f" * 16, n_documents=1, n_queries=1)
    assert spec_of_corpus(store, "f" * 16) == "/loaded"


def test_corpora_are_listed_once_each(store: Store):
    about = {"name": "news", "fingerprint": "a" * 16, "n_documents": 10, "n_queries": 2}
    add_corpus(store, spec="/old", **about)
    row = add_corpus(store, spec="/new", **about)
    assert row.spec == "/new" and list(list_corpora(store)) == [row]
    forget_corpus(store, "a" * 16)
    assert list(list_corpora(store)) == []
