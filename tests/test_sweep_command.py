"""``negspace sweep``: trials are made, reused, resumed and tabulated; its figures against loops over the trials' own files."""

from __future__ import annotations

import csv
import json
import threading
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from core.audit.expectations import APPEARS, EXPECTATIONS, FALSE, OPPOSITE, QUALITY, UNCLEAR, Expectation, findings
from core.cli import main
from core.errors import ParameterError, UserError
from core.evaluate.significance import seed_band
from core.lab import files, worker
from core.lab.executor import Handle, this_process
from core.lab.same_trial import setting_key, trial_key
from core.lab.sweep import MARK, Sweep, chosen_recipes, need_some, sweep_plan
from core.lab.sweep_command import sweep_command
from core.lab.sweep_figures import TRUTH, WORK, measure_trials
from core.lab.workspace import Workspace
from core.sampling.presets import PRESETS
from core.train.config import TrialConfig
from core.train.results import TrialResults

RECIPES = ("in-batch", "random", "bm25")


class Here:
    """An executor that trains in this process: no start-up to wait for. ``crash``: names of recipes whose worker dies."""

    def __init__(self, crash: tuple[str, ...] = ()):
        self.started: list[Path] = []
        self.crash = crash

    def start(self, folder: Path, threads: int) -> Handle:
        self.started.append(folder)
        if not any(name in (folder / "trial.json").read_text() for name in self.crash):
            worker.main(folder)
        return Handle(-1, 0.0)

    def is_alive(self, handle: Handle) -> bool:
        return False

    def end(self, handle: Handle, grace: float) -> None:
        pass

    def close(self) -> None:
        pass


def options(**changes) -> Namespace:
    asked = {"recipes": ",".join(RECIPES), "seeds": 2, "epochs": 1, "encoder": "static", "jobs": 1, "out": None, "markdown": False}
    return Namespace(**asked | changes)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def swept(place, tiny_folder, tiny_corpus):
    """(answer, lines told) of a sweep of three recipes and two seeds."""
    told: list[str] = []
    answer = sweep_command(place, str(tiny_folder), tiny_corpus, options(), tell=told.append, executor=Here())
    return answer, told


def test_every_recipe_and_seed_becomes_an_ordinary_trial(swept, place):
    answer, told = swept
    assert [row["recipe"] for row in answer["rows"]] == list(RECIPES) and answer["is_complete"]
    assert {row["n_seeds"] for row in answer["rows"]} == {2} and answer["seeds"] == [0, 1]
    trials = [place.trials / name for row in answer["rows"] for name in row["trials"]]
    assert len(set(trials)) == 6 and all((t / files.RESULT).exists() and (t / MARK).exists() for t in trials)
    assert [line for line in told if line.startswith("[6 of 6]")] and "about" in " ".join(told)
    from core.lab.store import Store

    assert {row.state for row in Store(place).list()} == {"finished"}


def test_the_table_equals_loops_over_the_trials_files(swept, place, tiny_corpus):
    answer, _ = swept
    for row in answer["rows"]:
        results = [json.loads((place.trials / name / "result.json").read_text()) for name in row["trials"]]
        for measure in ("RR@10", "nDCG@10", "R@100"):
            each = [result["metrics"][measure] for result in results]
            shown = row["metrics"]["labels"][measure]
            assert shown["mean"] == pytest.approx(np.mean(each))
            if each[0] != each[1]:
                low, high = stats.t.interval(0.95, 1, np.mean(each), stats.sem(each))
                assert (shown["low"], shown["high"]) == (pytest.approx(low), pytest.approx(high))
            assert shown["queries_low"] <= shown["mean"] + 1e-9 and shown["mean"] - 1e-9 <= shown["queries_high"]
        assert row["metrics"]["truth"]["RR@10"]["mean"] == pytest.approx(np.mean([r["truth_metrics"]["RR@10"] for r in results]))
        for part in ("train", "mine", "evaluate", "total"):
            each = [r["seconds"][part] for r in results]
            assert row["seconds"][part] == pytest.approx({"mean": np.mean(each), "low": min(each), "high": max(each)})
        rates = []
        for name in row["trials"]:
            used = false = 0
            trial = TrialResults(place.trials / name)
            for entry in trial.candidates(trial.tables()).to_pylist() if trial.tables() else []:
                is_false = tiny_corpus.truth.grade_of(np.array([entry["query_row"]]), np.array([entry["doc_row"]]))[0] >= 1
                used += entry["times_used"]
                false += entry["times_used"] * int(is_false)
            rates += [false / used] if used else []
        assert row["false_negative_rate"]["mean"] == (pytest.approx(np.mean(rates)) if rates else None)
    assert answer["rows"][0]["false_negative_rate"]["mean"] is None, "in-batch mines nothing"


def test_a_second_sweep_trains_nothing_and_writes_the_same_table(swept, place, tiny_folder, tiny_corpus, tmp_path):
    here = Here()
    out = tmp_path / "table"
    answer = sweep_command(place, str(tiny_folder), tiny_corpus, options(out=str(out), markdown=True), tell=lambda _: None, executor=here)
    assert here.started == [] and answer["n_reused"] == 6 and answer["rows"] == swept[0]["rows"]
    found = {row["recipe"]: {s: place.trials / name for s, name in enumerate(row["trials"])} for row in answer["rows"]}
    assert list(measure_trials(dict(reversed(found.items())), tiny_corpus)) == list(found), "whichever was ready first"
    assert json.loads((out / "sweep.json").read_text())["rows"] == answer["rows"]
    markdown = (out / "sweep.md").read_text()
    assert markdown.startswith("| family | recipe | seeds | RR@10") and "| `bm25` |" in markdown and "± is half of" in markdown
    with open(out / "sweep.tsv", encoding="utf-8", newline="") as stream:
        lines = list(csv.DictReader(stream, delimiter="\t"))
    assert [line["recipe"] for line in lines] == list(RECIPES)
    assert float(lines[1]["metrics.labels.RR@10.mean"]) == answer["rows"][1]["metrics"]["labels"]["RR@10"]["mean"]


def test_what_a_page_trained_is_reused_and_what_a_page_left_unfinished_is_left(place, tiny_folder, tiny_corpus, swept):
    from core.lab.by_hand import new_trial

    (own,) = sweep_plan(str(tiny_folder), tiny_corpus, ["bm25"], [7], epochs=1, encoder={"key": "static"})
    changed = {"name": "by hand", "snapshots": 2, "encoder": {"key": "static", "towers": "shared"}}
    page = TrialConfig.from_dict(own.config.to_dict() | changed)
    assert trial_key(page) == own.key and setting_key(page) == setting_key(own.config)
    assert trial_key(TrialConfig.from_dict(page.to_dict() | {"seed": 8})) != own.key
    assert trial_key(TrialConfig.from_dict(page.to_dict() | {"epochs": 2})) != own.key
    begun = new_trial(place, page)
    here = Here()
    asked = Sweep(place, tiny_corpus, [own], executor=here, tell=lambda _: None)
    folder = asked.run().folders["bm25"][7]
    assert folder != begun and here.started == [folder]


def test_an_interrupt_keeps_a_checkpoint_and_the_same_command_goes_on(tmp_path, tiny_folder, tiny_corpus):
    place, plan = Workspace(tmp_path), sweep_plan(str(tiny_folder), tiny_corpus, ["in-batch", "bm25"], [0], epochs=30, batch_size=8)

    class Beside(Here):
        """Trains in a thread beside the sweep, which is interrupted when the first worker has made steps."""

        def start(self, folder, threads):
            self.started.append(folder)
            self.thread = threading.Thread(target=worker.main, args=(folder,))
            self.thread.start()
            return this_process()

        def is_alive(self, handle):
            from core.lab.view import TrialView

            if self.thread.is_alive() and TrialView(self.started[-1]).progress().get("step") and not self.interrupted:
                self.interrupted = True
                raise KeyboardInterrupt
            return self.thread.is_alive()

        interrupted = False

    told: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        Sweep(place, tiny_corpus, plan, executor=Beside(), tell=told.append).run()
    assert any("checkpoint" in line for line in told)
    (stopped,) = place.trials.iterdir()
    assert (stopped / "checkpoint").is_dir() and not (stopped / files.RESULT).exists()
    here = Here()
    done = Sweep(place, tiny_corpus, plan, executor=here, tell=lambda _: None).run()
    assert here.started[0] == stopped == done.folders["in-batch"][0] and len(here.started) == 2 and done.is_complete


def test_an_order_to_end_is_an_interrupt():
    import os
    import signal

    from core.lab.sweep_command import _ending_is_an_interrupt

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _ending_is_an_interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        signal.sigtimedwait([], 5)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_crash_and_an_unfit_recipe_are_told_and_the_rest_goes_on(tmp_path, tiny_folder, tiny_corpus):
    told: list[str] = []
    asked = options(recipes="in-batch,bm25,rank-window", seeds=1)
    here = Here(crash=("BM25 hard",))
    answer = sweep_command(Workspace(tmp_path), str(tiny_folder), tiny_corpus, asked, tell=told.append, executor=here)
    assert [row["recipe"] for row in answer["rows"]] == ["in-batch"] and not answer["is_complete"]
    assert "begins behind the last" in answer["left_out"]["rank-window"] and list(answer["failed"]) == ["bm25, seed 0"]
    assert answer["rows"][0]["metrics"]["labels"]["RR@10"]["low"] is None, "one seed has no band over seeds"
    text = " ".join(told)
    assert "bm25, seed 0 FAILED" in text and "One seed" in text and "Left out, rank-window" in text
    lost = Sweep(Workspace(tmp_path), tiny_corpus, sweep_plan(str(tiny_folder), tiny_corpus, ["rank-window"], [0]), tell=told.append).run()
    with pytest.raises(UserError, match="rank-window"):
        need_some(lost)


def test_the_command_runs_its_workers_as_processes(capsys, tmp_path, tiny_folder):
    code = main(["sweep", str(tiny_folder), "--recipes", "bm25,in-batch", "--seeds", "1", "--epochs", "1", "--jobs", "2",
                 "--workspace", str(tmp_path), "--out", str(tmp_path / "out"), "--json"])  # fmt: skip
    lines = capsys.readouterr().out.strip().splitlines()
    answer = json.loads(lines[-1])
    assert code == 0 and {row["recipe"] for row in answer["rows"]} == {"in-batch", "bm25"} and "Trained 2 at once" in "".join(lines)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["sweep.json", "sweep.md", "sweep.tsv"]


@pytest.mark.parametrize(
    ("asked", "says"),
    [({"recipes": "magic"}, "recipe must be one of"), ({"recipes": " , "}, "--recipes"), ({"seeds": 0}, "--seeds"), ({"jobs": 0}, "--jobs"),
     ({"epochs": 0}, "Trial.epochs"), ({"encoder": "magic"}, "static"), ({"out": "/proc/no"}, "--out")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_anything_is_trained(asked, says, place, tiny_folder, tiny_corpus):
    with pytest.raises(ParameterError, match=says):
        sweep_command(place, str(tiny_folder), tiny_corpus, options(**asked), tell=lambda _: None, executor=Here())


def test_all_means_every_preset():
    assert chosen_recipes("all") == list(PRESETS) and chosen_recipes("bm25, in-batch") == ["in-batch", "bm25"]


def test_a_band_over_seeds_is_the_t_interval():
    values = [0.61, 0.58, 0.63, np.nan]
    low, high = stats.t.interval(0.95, 2, np.mean(values[:3]), stats.sem(values[:3]))
    band = seed_band(values)
    assert (band.mean, band.low, band.high) == pytest.approx((np.mean(values[:3]), low, high)) and band.n_queries == 3
    assert np.isnan(seed_band([0.5]).low) and seed_band([0.5]).mean == 0.5 and np.isnan(seed_band([]).mean)


def test_expectations_are_judged_by_the_numbers():
    expected = (
        Expectation("ance", "bm25", "ance", "a"),
        Expectation("bm25", "random", "ance", "b"),
        Expectation("random", "in-batch", "ance", "c"),
        Expectation("ance-denoised", "ance", "rocketqa", "d", FALSE),
        Expectation("magic", "ance", "ance", "e"),
    )
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.05, 200)
    quality = {"in-batch": noise + 0.5, "random": rng.normal(0, 0.05, 200) + 0.5, "bm25": noise + 0.45, "ance": noise + 0.6}
    false = {"ance": {i: 0.4 + 0.1 * (i % 2) for i in range(50)}, "ance-denoised": {i: 0.1 for i in range(60)}}
    found = findings(quality, false, "RR@10", expected)
    assert [f.verdict for f in found] == [APPEARS, OPPOSITE, UNCLEAR, APPEARS]
    assert found[0].difference.mean == pytest.approx(0.15) and "appears here (+0.1500 RR@10" in found[0].sentence
    assert "the opposite does" in found[1].sentence and "cannot be told" in found[2].sentence
    assert found[3].difference.n_queries == 50 and "-35.00 percentage points" in found[3].sentence
    assert [f.expectation.better for f in findings(quality, {}, "RR@10", expected)] == ["ance", "bm25", "random"]


def test_every_expectation_names_a_paper_and_two_recipes_of_the_catalogue():
    from tests.catalogue import read_rows

    known = {name for row in read_rows() for name in (*row.presets(), *(also.removeprefix("preset:") for also in row.also))}
    for e in EXPECTATIONS:
        assert {e.better, e.worse} <= known and e.better != e.worse and e.why and e.of in (QUALITY, FALSE)
        if {e.better, e.worse} <= set(PRESETS):
            assert e.source.url.startswith("https://")


def test_seconds_of_work_are_training_and_mining(swept, place, tiny_corpus):
    row = swept[0]["rows"][1]
    folders = {"random": {seed: place.trials / name for seed, name in enumerate(row["trials"])}}
    measured = measure_trials(folders, tiny_corpus, cache=place.cache / "sweep")["random"]
    seconds = measured.seconds
    assert seconds(WORK).mean == pytest.approx(seconds("train").mean + seconds("mine").mean)
    assert measured.judged_by == ("labels", TRUTH) and set(measured.false_by_query()) <= set(tiny_corpus.split_query_rows("train").tolist())
