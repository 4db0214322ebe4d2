"""The event log and the view of a folder: whole lines only, whatever the writer was doing when it was read."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np

from core.lab.view import TrialView
from core.train.events import EventReader, EventWriter, read_events


def test_events_come_back_in_json_types(tmp_path: Path):
    writer = EventWriter(tmp_path / "new" / "events.jsonl")
    writer.write(
        "evaluation", metrics={"RR@10": np.float32(0.5), "MAP": float("nan")}, rows=np.arange(2), path=tmp_path
    )
    (event,), _ = read_events(tmp_path / "new" / "events.jsonl")
    assert event.pop("t") > 1e9
    assert event == {
        "kind": "evaluation",
        "metrics": {"RR@10": 0.5, "MAP": None},
        "rows": [0, 1],
        "path": str(tmp_path),
    }


def test_text_with_line_ends_and_lone_surrogates_is_one_line(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    text = "two\nlines \u2028 caf\u00e9 \ud800"
    EventWriter(path).write("log", text=text)
    assert path.read_bytes().count(b"\n") == 1
    assert read_events(path)[0][0]["text"] == text


def test_half_written_last_line_waits_for_its_rest(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    reader = EventReader(path)
    assert reader.read() == []
    line = json.dumps({"kind": "log", "text": "caf\u00e9"}, ensure_ascii=False).encode()
    cut = line.index(b"\xc3") + 1  # inside a character
    path.write_bytes(b'{"kind": "a"}\n' + line[:cut])
    assert [e["kind"] for e in reader.read()] == ["a"]
    assert reader.read() == []
    with open(path, "ab") as stream:
        stream.write(line[cut:] + b"\n")
    assert [e["text"] for e in reader.read()] == ["caf\u00e9"]


def test_line_cut_off_by_a_kill_costs_only_itself(tmp_path: Path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"kind": "a"}\n{"kind": "lo')
    EventWriter(path).write("b")
    EventWriter(path).write("c")
    assert [e["kind"] for e in read_events(path)[0]] == ["a", "b", "c"]


def test_concurrent_writers_do_not_mix_lines(tmp_path: Path):
    path = tmp_path / "events.jsonl"

    def write(name: int) -> None:
        for i in range(100):
            EventWriter(path).write("log", name=name, i=i, text="x" * 500)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    events, _ = read_events(path)
    assert sorted((e["name"], e["i"]) for e in events) == [(n, i) for n in range(4) for i in range(100)]


def test_view_reads_on_from_where_it_was(tmp_path: Path):
    events = EventWriter(tmp_path / "events.jsonl")
    view = TrialView(tmp_path)
    assert view.events() == [] and view.progress() == {} and view.result is None and view.failure is None
    events.write("baseline", name="bm25", metrics={"RR@10": 0.6})
    events.write("evaluation", step=0, epoch=0, seconds=0.1, metrics={"RR@10": 0.5})
    assert view.baselines() == {"bm25": {"RR@10": 0.6}}
    assert len(view.curve()) == 1
    # A resumed trial evaluates step 10 twice; step 0 has been read and must not be read again.
    for step, value in ((10, 0.7), (20, 0.8), (10, 0.71)):
        events.write("evaluation", step=step, epoch=step / 10, seconds=1.0, metrics={"RR@10": value})
    assert [(p["step"], p["metrics"]["RR@10"]) for p in view.curve()] == [(0, 0.5), (10, 0.71), (20, 0.8)]
    events.write("log", text="one")
    events.write("log", text="two")
    assert view.log(1) == ["two"]


def test_view_forgets_a_file_that_was_replaced(tmp_path: Path):
    view = TrialView(tmp_path)
    for _ in range(5):
        EventWriter(tmp_path / "events.jsonl").write("log", text="old")
    assert len(view.events("log")) == 5
    (tmp_path / "events.jsonl").write_text('{"kind": "log", "text": "new"}\n')
    assert view.log() == ["new"]


def test_progress_estimates_from_the_pace_since_the_last_start(tmp_path: Path):
    lines = [
        {"t": 100.0, "kind": "state", "state": "running"},
        {"t": 101.0, "kind": "progress", "step": 0, "n_steps": 100},
        {"t": 500.0, "kind": "state", "state": "running"},
        {"t": 501.0, "kind": "progress", "step": 50, "n_steps": 100, "loss": 2.0},
        {"t": 503.0, "kind": "progress", "step": 60, "n_steps": 100, "epoch": 1, "n_epochs": 2, "loss": 1.5},
    ]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    progress = TrialView(tmp_path).progress()
    assert progress["share"] == 0.6
    assert progress["seconds_left"] == 8.0  # 0.2 s a step, 40 to go
    assert (progress["loss"], progress["epoch"]) == (1.5, 1)


def test_view_sees_a_changed_json_file(tmp_path: Path):
    view = TrialView(tmp_path)
    assert view.name == tmp_path.name
    (tmp_path / "trial.json").write_text('{"name": "a", "config": {"corpus": "x"}}')
    assert (view.name, view.config) == ("a", {"corpus": "x"})
    (tmp_path / "trial.json").write_text('{"name": "longer"}')
    assert view.name == "longer"
