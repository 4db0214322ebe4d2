"""Cross-batch: A workers equal one batch of A * B, played by one process and by two real ones."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.errors import ParameterError
from core.lab.together import shared
from core.sampling.passes import CrossBatch, OnePass
from core.sampling.presets import preset
from core.sampling.settings import apply_settings
from core.train.results import TrialResults
from core.train.trial import run_trial
from tests.batch_rank import CASES, SHARED, SIZES, run_case
from tests.test_train_trial import bytes_of, events_of, make_trial


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(arguments: list[str], root: Path, n: int = 2, **more: str) -> list[subprocess.CompletedProcess]:
    """``python -m ARGUMENTS`` in ``n`` processes with the environment that torchrun gives them."""
    port = str(free_port())
    processes = []
    for rank in range(n):
        told = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**os.environ, **told, **more, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", *arguments]
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, cwd=root, env=environment, stdout=pipe, stderr=pipe, text=True))
    done = []
    try:
        for process in processes:
            out, errors = process.communicate(timeout=300)
            done.append(subprocess.CompletedProcess(process.args, process.returncode, out, errors))
    finally:
        for process in processes:
            process.kill()
    return done


def compare(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        if ".weights" in name:  # Adam's first step is the gradient's sign: where that is rounding, so is the step
            continue
        np.testing.assert_allclose(found[name], values, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_workers_played_in_turn_equal_one_batch(case):
    expected = run_case(case, OnePass())
    assert max(np.abs(v).max() for k, v in expected.items() if ".13.grad" in k) > 1e-3
    compare(run_case(case, CrossBatch(workers=3)), expected)


@pytest.fixture(scope="module")
def together(root, tmp_path_factory, tiny_folder):
    """(folder, what the leader and the follower left) of two processes that ran tests.batch_rank."""
    folder = tmp_path_factory.mktemp("together")
    recipe = apply_settings(preset("moco").recipe, ["passes=cross-batch", "passes.workers=2", "batch.size=12"])
    for name in ("whole", "broken"):
        make_trial(folder / name, None, recipe, batch_size=4)
    command = ["train", str(tiny_folder), "--recipe", "bm25", "--epochs", "1", "--batch-size", "4", "--json"]
    arguments = ["tests.batch_rank", str(folder), str(tiny_folder), str(free_port()), *command]
    return folder, start(arguments, root, NEGSPACE_WORKSPACE=str(folder / "w"))


def test_two_processes_equal_one_batch(together):
    """Loss, gradients and each mined negative's pull of 2 x B pairs, in both processes; both end with the same weights.

    A trial that two processes stop and take up again writes the same bytes as one that they train in one go.
    """
    folder, done = together
    assert [p.returncode for p in done] == [0, 0], "".join(p.stderr for p in done)
    ranks = [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(2)]
    expected = {name: values for case in SHARED for name, values in run_case(case, OnePass()).items()}
    for rank in ranks:
        compare(rank, expected)
    assert len(expected) > 2 * len(SHARED) * len(SIZES)
    for name, values in ranks[0].items():
        assert values.tobytes() == ranks[1][name].tobytes(), name
    assert bytes_of(folder / "whole") == bytes_of(folder / "broken") != {}
    assert [e["step"] for e in events_of(folder / "broken", "resume")] == [3]


def test_a_training_by_two_processes(together, tmp_path, tiny_corpus):
    """The command under torchrun's environment: the trial of one process with twice the batch, written by the first process alone."""
    folder, (leader, follower) = together
    assert (leader.returncode, follower.returncode) == (0, 0), leader.stderr + follower.stderr
    assert follower.stdout == "" and "2 processes" in leader.stdout
    answer = json.loads(leader.stdout.splitlines()[-1])
    assert [path.name for path in (folder / "w" / "trials").iterdir()] == [Path(answer["trial"]).name]
    results = TrialResults(answer["trial"])
    assert results.config.recipe_value.passes == CrossBatch(workers=2) and results.result["steps"] == 4
    alone = make_trial(tmp_path / "alone", tiny_corpus, "bm25", epochs=1, batch_size=8)
    expected = run_trial(alone, threads=1, corpus=tiny_corpus)
    assert expected["steps"] == 4
    assert results.result["metrics"] == pytest.approx(expected["metrics"], abs=0.02)
    mined, mined_alone = (r.candidates(r.tables()) for r in (results, TrialResults(alone)))
    assert mined["doc_row"].to_pylist() == mined_alone["doc_row"].to_pylist()
    np.testing.assert_allclose(mined["times_used"], mined_alone["times_used"])
    weights, weights_alone = (table["weight"].fill_null(0).to_numpy() for table in (mined, mined_alone))
    np.testing.assert_allclose(weights, weights_alone, atol=0.05)
    assert weights.max() > 0.1


def test_what_processes_cannot_share_is_refused_in_a_sentence(root, tiny_folder):
    recipe, told = shared(preset("bm25").recipe, 3)
    assert recipe.passes == CrossBatch(workers=3) and "3 processes" in told
    assert shared(preset("cross-batch").recipe, 2)[0] == preset("cross-batch").recipe
    with pytest.raises(ParameterError, match="4 workers cannot be shared by 3 processes. Set passes.workers to a multiple of 3"):
        shared(preset("cross-batch").recipe, 3)
    with pytest.raises(ParameterError, match="Gradient caching works in one process"):
        shared(preset("large-batch").recipe, 2)


def test_a_trial_of_workers_equals_one_of_their_batch(tmp_path, tiny_corpus):
    recipe = apply_settings(preset("cross-batch").recipe, ["passes.workers=3"])
    workers = run_trial(make_trial(tmp_path / "w", tiny_corpus, recipe, epochs=1, batch_size=4), threads=1, corpus=tiny_corpus)
    one = run_trial(make_trial(tmp_path / "o", tiny_corpus, "in-batch", epochs=1, batch_size=12), threads=1, corpus=tiny_corpus)
    assert workers["steps"] == one["steps"] and workers["metrics"] == pytest.approx(one["metrics"], abs=0.02)
