"""Retraining like a trial: the configuration, the queue's folder, the command, and the comparison of the two."""

from __future__ import annotations

import contextlib
import io
import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from core.audit.compare import group_of
from core.audit.retrained import answer, changes, judged_queries, retrained_pairs, verdict_counts
from core.cli import main
from core.errors import ParameterError, TrialError
from core.evaluate.metrics import MEASURES
from core.lab.retrain import read_verdicts, retrain_config, submit_retrain
from core.lab.store import Store
from core.lab.workspace import Workspace
from core.sampling.decisions import FILE, decided_bytes, digest_of, read_decided
from core.sampling.presets import preset
from core.train.config import TrialConfig, read_config
from core.train.results import TrialResults

DECIDED = {("train-1", "bread-7"): "false-negative", ("train-2", "bread-1"): "true-negative", ("train-4", "bread-2"): "near-duplicate"}
CONFIG = TrialConfig(corpus="c", recipe=preset("ance").recipe.to_dict(), name="ANCE", epochs=3, seed=5, corpus_fingerprint="f" * 16)


def test_the_child_differs_in_its_verdicts_only():
    child, files = retrain_config(CONFIG, "t1", DECIDED, use="down-weight", weight=0.25)
    changed = {k: v for k, v in child.to_dict().items() if CONFIG.to_dict().get(k) != v}
    assert changed == {
        "name": "ANCE, verdicts down-weighted", "like": "t1", "verdicts": digest_of(decided_bytes(DECIDED)),
        "verdict_use": "down-weight", "verdict_weight": 0.25,
    }  # fmt: skip
    assert files == {FILE: decided_bytes(DECIDED)}
    grandchild, _ = retrain_config(child, "t2", dict(list(DECIDED.items())[:1]))
    assert (grandchild.like, grandchild.verdict_use, grandchild.verdict_weight) == ("t2", "drop", 0.1)
    long, _ = retrain_config(TrialConfig(corpus="c", recipe={}, name="x" * 118), "t", DECIDED)
    assert len(long.name) <= 100 and long.name.endswith(", verdicts dropped")


def test_verdicts_set_a_group_of_their_own_and_the_parent_does_not():
    a, b = (retrain_config(CONFIG, parent, DECIDED)[0] for parent in ("t1", "t2"))
    assert group_of(a) == group_of(b) != group_of(CONFIG)
    assert group_of(retrain_config(CONFIG, "t1", DECIDED, use="promote")[0]) != group_of(a)


def test_verdicts_that_cannot_change_a_training_are_refused():
    with pytest.raises(ParameterError, match="none is false-negative or near-duplicate"):
        retrain_config(CONFIG, "t", {("q", "d"): "true-negative"})
    with pytest.raises(ParameterError, match="none can become a positive"):
        retrain_config(CONFIG, "t", {("q", "d"): "near-duplicate"}, use="promote")
    with pytest.raises(ParameterError, match="verdict_use must be one of"):
        retrain_config(CONFIG, "t", DECIDED, use="forget")


def test_the_queued_child_has_its_verdicts_before_a_worker_can_see_it(workspace):
    store = Store(Workspace(workspace))
    parent = store.submit(CONFIG.to_dict(), "Renamed", owner="me", recipe_title="ANCE")
    child = submit_retrain(store, parent.id, DECIDED, use="promote", owner="you")
    assert (child.state, child.owner, child.recipe_title, child.name) == ("queued", "you", "ANCE", "Renamed, verdicts promoted")
    assert read_decided(child.folder / FILE) == DECIDED
    config = read_config(child.folder)
    assert config.like == parent.id and config.verdicts == digest_of((child.folder / FILE).read_bytes())
    assert retrained_pairs({row.id: row.config for row in store.list()}) == [(parent.id, child.id)]
    assert not list(store.workspace.trials.glob(".new-*"))
    with pytest.raises(TrialError, match="There is no trial"):
        submit_retrain(store, "nothing", DECIDED)


# The comparison -------------------------------------------------------------------------------------------


def finished(name: str, labels: np.ndarray, truth: np.ndarray | None):
    table = {"query_row": np.arange(len(labels), dtype=np.int32)}
    for m in MEASURES:
        table |= {f"trial.{m}": labels, f"untrained.{m}": labels * 0, f"bm25.{m}": labels * 0}
        table |= {} if truth is None else {f"truth.{m}": truth}
    result = {"corpus_fingerprint": "f", "seconds": {}} | ({} if truth is None else {"truth_metrics": {}})
    return SimpleNamespace(folder=SimpleNamespace(name=name), config=CONFIG, result=result, per_query=lambda: pa.table(table))


def test_both_ways_of_judging_are_paired_and_the_changed_queries_listed():
    rng = np.random.default_rng(0)
    before, after = rng.random(40), rng.random(40)
    after[:5] = before[:5]
    found = changes(finished("a", before, before * 0.5), finished("b", after, after * 0.5 + 0.2))
    assert [change.judged_by for change in found] == ["labels", "truth"]
    assert found[0].differences["RR@10"].mean == pytest.approx(np.mean(after - before))
    assert found[1].differences["RR@10"].mean == pytest.approx(np.mean(after - before) * 0.5 + 0.2)
    assert found[1].comparison.systems[1].mean("RR@10") == pytest.approx(np.mean(after) * 0.5 + 0.2)
    places, gains = found[0].changed("RR@10")
    assert sorted(places.tolist()) == list(range(5, 40)), "queries that did not change are not listed"
    np.testing.assert_allclose(gains, (after - before)[places])
    assert (np.diff(np.abs(gains)) <= 1e-12).all()
    tally = next(t for t in found[0].tallies if t.measure == "RR@10")
    assert (tally.n_wins, tally.n_losses, tally.n_ties) == (int((after > before).sum()), int((after < before).sum()), 5)
    assert answer(found)["truth"]["RR@10"]["retrained"] == pytest.approx(np.mean(after) * 0.5 + 0.2)
    assert [c.judged_by for c in changes(finished("a", before, None), finished("b", after, None))] == ["labels"]


# The commands ---------------------------------------------------------------------------------------------


def command(*arguments) -> dict:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(out.getvalue().strip().splitlines()[-1]) | {"said": out.getvalue()}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("retrain")


@pytest.fixture(scope="module")
def parent(place, tiny_folder) -> dict:
    return command("train", tiny_folder, "--recipe", "ance", "--epochs", 2, "--batch-size", 8, "--workspace", place)


def test_the_command_retrains_from_truth_and_says_what_it_is(parent, place, tiny_corpus):
    told = command("retrain", parent["trial"].rsplit("/", 1)[1], "--from-truth", "--use", "promote", "--workspace", place)
    assert "Audit only" in told["said"] and "Judged by the truth:" in told["said"]
    assert set(told["changes"]) == {"labels", "truth"} and told["parent"] == parent["trial"]
    difference = told["changes"]["truth"]["RR@10"]
    assert difference["retrained"] - difference["earlier"] == pytest.approx(difference["mean"], abs=1e-12)
    assert told["truth_metrics"]["RR@10"] == pytest.approx(difference["retrained"])
    results = TrialResults(told["trial"])
    assert results.config.verdict_use == "promote" and results.config.like == parent["trial"].rsplit("/", 1)[1]
    assert results.config.name.endswith("perfect verdicts promoted")
    assert verdict_counts(results) == {"false-negative": len(read_decided(results.folder / FILE))}
    rows, counts = judged_queries(results, tiny_corpus)
    assert counts.sum() == verdict_counts(results)["false-negative"] and (np.diff(counts) <= 0).all()
    both = command("compare", parent["trial"], told["trial"], "--truth", "--workspace", place)
    assert [s["kind"] for s in both["truth"]["systems"]] == ["trial", "trial"]
    rr = next(d for d in both["truth"]["differences"] if d["measure"] == "RR@10")
    assert rr["mean"] == pytest.approx(difference["mean"]) and rr["p"] == pytest.approx(difference["p"])


def test_a_file_of_verdicts_goes_into_training_and_retraining_alike(parent, place, tiny_folder, tmp_path):
    file = tmp_path / "v.csv"
    file.write_text("query_id,doc_id,verdict\n" + "".join(f"{q},{d},{kind}\n" for (q, d), kind in DECIDED.items()))
    again = command("retrain", parent["trial"], "--verdicts", file, "--workspace", place)
    fresh = command("train", tiny_folder, "--recipe", "ance", "--epochs", 2, "--batch-size", 8, "--verdicts", file, "--workspace", place)
    assert again["metrics"] == fresh["metrics"]
    assert TrialResults(again["trial"]).result["weights"] == TrialResults(fresh["trial"]).result["weights"]
    assert (TrialResults(fresh["trial"]).folder / FILE).read_bytes() == decided_bytes(DECIDED)


def test_a_file_is_read_in_the_forms_that_the_judge_page_reads(tmp_path):
    file = tmp_path / "v.tsv"
    file.write_text("qid\tdocid\trelevant\tjudge\nq\td\tyes\tAda\nq\td\t1\tBob\nq\td\tno\tCid\nq\te\tperhaps so\tAda\nq\tf\tcopy\tAda\n")
    told = []
    assert read_verdicts(file, told.append) == {("q", "d"): "false-negative", ("q", "f"): "near-duplicate"}
    assert len(told) == 1 and "v.tsv:5: 'perhaps so' is no verdict" in told[0]
    file.write_text("nothing here\n")
    with pytest.raises(ParameterError, match="v.tsv"):
        read_verdicts(file)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ([], "exactly one of --verdicts FILE, --from-judges and --from-truth"),
        (["--from-truth", "--from-judges"], "exactly one of"),
        (["--from-judges"], "Nobody has judged a pair"),
        (["--from-truth", "--use", "burn"], "verdict_use must be one of 'drop', 'down-weight', 'promote'"),
        (["--verdicts", "/no/such/file.csv"], "cannot be read"),
        (["--from-truth", "--use", "down-weight", "--weight", "2"], "verdict_weight must be a number in [0.001, 1]"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(parent, place, capsys, extra, says):
    assert main(["retrain", parent["trial"], *extra, "--workspace", str(place)]) == 2
    err = capsys.readouterr().err
    assert says in err and len(err.strip().splitlines()) == 1
