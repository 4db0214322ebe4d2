"""The Train page: what the form queues, every state of a trial, the curves, and undoing a deletion."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from core.lab.store import Store
from core.sampling.presets import PRESETS
from pages.ui.train_charts import _baselines, _inside
from pages.ui.train_seen import seen
from tests.test_page_recipe import _quiet, known  # noqa: F401


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/train.py"), default_timeout=120)
    for key, value in params.items():
        at.query_params[key] = value
    return at.run()


def words(at: AppTest) -> str:
    kinds = (at.markdown, at.caption, at.info, at.error, at.warning)
    return " ".join(str(e.value) for kind in kinds for e in kind)


def submit(fingerprint: str, name: str = "ANCE", owner: str = ""):
    store = Store()
    config = {"corpus": "x", "corpus_fingerprint": fingerprint, "corpus_name": "Tiny", "recipe": {}, "epochs": 3}
    return store, store.submit(config, name, owner=owner)


def write(row, *events) -> None:
    with open(row.folder / "events.jsonl", "a", encoding="utf-8") as stream:
        for t, event in enumerate(events):
            stream.write(json.dumps({"t": 1000.0 + t, **event}) + "\n")


def force(store: Store, row, state: str, message: str = ""):
    """The trial in ``state``, by the store's own steps."""
    taken = store.take_next(9)
    assert taken is not None and taken.id == row.id
    if state == "stopping":
        store.request_stop(row.id)
    elif state != "running":
        assert store.settle(taken, state, message)
    return store.get(row.id)


EVENTS = (
    {"kind": "baseline", "name": "untrained", "metrics": {"RR@10": 0.2}},
    {"kind": "baseline", "name": "bm25", "metrics": {"RR@10": 0.3}},
    {"kind": "evaluation", "step": 0, "epoch": 0, "seconds": 1.0, "metrics": {"RR@10": 0.2}},
    {"kind": "refresh", "step": 0, "seconds": 1.5, "lanes": [
        {"lane": 0, "source": "dense", "funnel": [["looked at", 10], ["known-positive", 4], ["kept", 6]],
         "hard_share": 0.25, "false_negative_rate": 0.5, "n_short": 1}]},
    {"kind": "progress", "step": 5, "n_steps": 20, "epoch": 0.5, "n_epochs": 2, "loss": 1.25, "seconds": 2.0},
    {"kind": "progress", "step": 10, "n_steps": 20, "epoch": 1.0, "n_epochs": 2, "loss": 1.0, "seconds": 3.0},
    {"kind": "evaluation", "step": 10, "epoch": 1, "seconds": 4.0, "metrics": {"RR@10": 0.4}},
    {"kind": "vital", "step": 10, "positive": 0.7, "negative": 0.1, "hard": 0.05},
    {"kind": "log", "text": "one *line*"},
)  # fmt: skip


def test_the_first_visit_offers_three_recipes_and_queues_them(root, known):  # noqa: F811
    at = page(root, corpus=known)
    assert not at.exception and not at.error
    assert at.multiselect[0].value == ["in-batch", "bm25", "ance"] and "No trial of this corpus yet" in words(at)
    at.button(key="train").click().run()
    rows = Store().list()
    assert not at.exception
    assert [row.config["recipe"] for row in reversed(rows)] == [PRESETS[name].recipe.to_dict() for name in ("in-batch", "bm25", "ance")]
    assert {row.state for row in rows} == {"queued"} and rows[0].config["corpus_fingerprint"] == known
    assert "Next to start" in words(at) and "Waits, 2 before it" in words(at)


def test_seeds_and_settings_reach_the_trials(root, known):  # noqa: F811
    at = page(root, corpus=known, recipe="simans", epochs="2", seed="7", seeds="2", learning_rate="0.01")
    assert at.multiselect[0].value == ["simans"]
    at.button(key="train").click().run()
    rows = list(reversed(Store().list()))
    assert [row.config["seed"] for row in rows] == [7, 8] and [row.name for row in rows] == [
        "SimANS, seed 7",
        "SimANS, seed 8",
    ]
    assert {(row.config["epochs"], row.config["learning_rate"]) for row in rows} == {(2, 0.01)}


def test_what_cannot_work_cannot_be_queued(root, known):  # noqa: F811
    at = page(root, corpus=known, recipe="moco", encoder="static;towers=separate")
    assert at.button(key="train").disabled and "needs shared towers" in at.error[0].value


@pytest.mark.parametrize(
    ("state", "button", "sentence"),
    [
        ("running", "Stop", "step 10 of 20"),
        ("stopping", None, "saving a checkpoint"),
        ("stopped", "Go on", "step 10 of 20"),
        ("interrupted", "Go on", "The worker vanished"),
        ("failed", "Go on", "The disk is full"),
        ("finished", None, "0.400"),
    ],
)
def test_every_state_says_what_is_and_what_can_be_done(root, known, state, button, sentence):  # noqa: F811
    store, row = submit(known)
    write(row, *EVENTS)
    message = {"interrupted": "The worker vanished.", "failed": "The disk is full."}.get(state, "")
    row = force(store, row, state, message)
    if state == "finished":
        with store.database.write() as connection:
            store._set(connection, row.id, headline={"RR@10": 0.4})
    at = page(root, corpus=known)
    texts = words(at) + " ".join(str(getattr(e, "text", "")) for e in at.get("progress")) + str(at.get("progress"))
    assert not at.exception
    assert sentence in texts
    labels = {b.label for b in at.button}
    assert ("Stop" in labels, "Go on" in labels) == (button == "Stop", button == "Go on")


def test_stop_and_go_on(root, known):  # noqa: F811
    store, row = submit(known)
    at = page(root, corpus=known)
    at.button(key=f"stop.{row.id}").click().run()
    assert store.get(row.id).state == "stopped"
    at.button(key=f"resume.{row.id}").click().run()
    assert store.get(row.id).state == "queued" and not at.exception


def test_a_deleted_trial_comes_back(root, known):  # noqa: F811
    store, row = submit(known, "One")
    _, other = submit(known, "Two")
    at = page(root, corpus=known)
    at.button(key=f"delete.{row.id}").click().run()
    assert store.get(row.id).deleted is not None and "Deleted **One**" in words(at)
    at.button(key="undo").click().run()
    assert store.get(row.id).deleted is None and not at.exception
    assert {f"stop.{other.id}", f"resume.{row.id}"} <= {b.key for b in at.button}


def test_trials_of_another_corpus_leave_the_link(root, known):  # noqa: F811
    _, mine = submit(known, "Mine")
    _, strange = submit("f" * 16, "Strange")
    at = page(root, corpus=known, trials=f"{mine.id},{strange.id},gone")
    assert not at.exception and "**Mine**" in words(at) and "**Strange**" not in words(at)


def test_series_are_what_the_events_say(known):  # noqa: F811
    _, row = submit(known)
    write(row, *EVENTS)
    trial = seen(row)
    assert _inside(trial, "loss", "steps") == [(5, 1.25), (10, 1.0)]
    assert _inside(trial, "loss", "seconds") == [(2.0, 1.25), (3.0, 1.0)]
    assert _inside(trial, "hard", "steps") == [(0, 0.25)] and _inside(trial, "false", "seconds") == [(1.5, 0.5)]
    assert _inside(trial, "in loss", "seconds") == [(4.0, 0.05)] and _inside(trial, "positive", "steps") == [(10, 0.7)]
    assert _baselines([trial, trial], "RR@10") == {"untrained": 0.2, "BM25": 0.3}
    write(row, {"kind": "baseline", "name": "bm25", "metrics": {"RR@10": 0.35}})
    assert seen(row).baselines["bm25"]["RR@10"] == 0.35
    assert trial.baselines["bm25"]["RR@10"] == 0.3


def test_names_are_shown_as_they_are(root, known):  # noqa: F811
    submit(known, "Cost $5 *now*")
    at = page(root, corpus=known)
    assert not at.exception and r"Cost \$5 \*now\*" in words(at)
