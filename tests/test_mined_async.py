"""Refreshing in a second process: staleness, equal bytes with a lag, a killed process, no orphan."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from core.sampling.context import MiningContext, Vectors
from core.sampling.mine import mine_lane
from core.sampling.presets import preset
from core.sampling.schedule import AsyncEverySteps
from core.train.background import ROOT, Background
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from tests.test_train_trial import bytes_of, events_of, make_trial

PYTHON_DEAD = "/proc/{}/stat"


def recipe(**schedule):
    return dataclasses.replace(preset("ance-async").recipe, schedule=AsyncEverySteps(**schedule))


def refreshes(folder: Path) -> list[tuple[int, int | None, int | None]]:
    return [(e["step"], e["lanes"][0].get("weights_step"), e["lanes"][0].get("staleness")) for e in events_of(folder, "refresh")]


def is_alive(pid: int) -> bool:
    try:
        return Path(PYTHON_DEAD.format(pid)).read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_with_a_lag_seeds_repeat_and_the_negatives_are_those_of_the_older_weights(tmp_path, tiny_corpus):
    settings = {"epochs": 4, "batch_size": 8, "snapshots": 5}
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe(lag=2), **settings)
    run_trial(whole, threads=1, corpus=tiny_corpus)
    assert refreshes(whole) == [(0, None, None), (6, 4, 2), (10, 8, 2), (14, 12, 2)]
    assert not (whole / "refresh-corpus").exists()
    results = TrialResults(whole)
    vectors = results.snapshot(8)
    late = results.candidates([results.tables()[2]])
    context = MiningContext(tiny_corpus, lambda which: Vectors(vectors.queries, vectors.documents, "cosine", "8"))
    rows = tiny_corpus.split_query_rows("train")
    table = mine_lane(recipe().mined[0], context, rows, np.random.default_rng(0), with_model_scores=False)
    found = {q: set(late.filter(np.asarray(late["query_row"]) == q)["doc_row"].to_pylist()) for q in rows.tolist()}
    share = np.mean([found[q] == set(own.tolist()) for q, own in zip(rows.tolist(), table.doc_rows, strict=True)])
    assert share > 0.9, "snapshots are float16, so a near tie may fall the other way"

    stopped = make_trial(tmp_path / "stopped", tiny_corpus, recipe(lag=2), **settings)
    calls = iter(range(5))  # at step 5: the refresh of step 4 is under way
    with pytest.raises(Stopped):
        run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(stopped)


def test_a_killed_process_is_told_of_and_replaced(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, recipe(steps=2))
    told: list[str] = []
    background = Background(folder, 0, dict, told.append, tiny_corpus)
    assert background.exchange(0, False, [0], {}) == ({}, 0)
    first = background.process.pid
    os.kill(first, signal.SIGKILL)
    background.process.wait()
    assert background.exchange(2, True, [0], {}) == ({}, 2)
    assert "was ended by signal 9. The refresh begun at step 2 is lost. Training goes on" in told[0] and background.asked is None
    background.exchange(4, True, [0], {})
    second = background.process.pid
    assert second != first and is_alive(second)
    background.close(is_finished=True)
    assert not is_alive(second) and "Training ended before the refresh begun at step 4" in told[1]
    assert not (folder / "refresh-corpus").exists()


def test_no_process_outlives_the_training(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, recipe(steps=2))
    tiny_corpus.save(folder / "refresh-corpus")
    code = (
        "import sys, time; from pathlib import Path; from core.train.background import Background\n"
        "b = Background(Path(sys.argv[1]), 0, dict, print); b.exchange(0, False, [0], {}); print(b.process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    child = int(parent.stdout.readline())
    time.sleep(1)
    parent.kill()
    parent.wait()
    ends = time.monotonic() + 20
    while is_alive(child) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not is_alive(child)


def test_without_a_lag_training_goes_on_until_the_negatives_are_there(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, recipe(steps=2), epochs=1000)
    ends = time.monotonic() + 120

    def should_stop() -> bool:
        time.sleep(0.03)
        return len(events_of(folder, "refresh")) > 1 or time.monotonic() > ends

    with pytest.raises(Stopped):
        run_trial(folder, threads=1, corpus=tiny_corpus, should_stop=should_stop)
    step, of, staleness = refreshes(folder)[1]
    assert of == 2 and staleness == step - of > 0, "steps went by while the process was at work"
    assert not (folder / "refresh-corpus").exists()


def test_what_goes_wrong_in_the_process_is_raised_in_the_training(tmp_path, tiny_corpus):
    folder = make_trial(tmp_path / "t", tiny_corpus, recipe(steps=2, lag=1))
    background = Background(folder, 1, dict, print, tiny_corpus)  # no weights at all
    try:
        background.exchange(2, True, [0], {})
        with pytest.raises(RuntimeError, match="(?s)The background refresh failed.*this model needs"):
            background.exchange(3, False, [0], {})
    finally:
        background.close()
