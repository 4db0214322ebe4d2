"""The negspace command as a script uses it: JSON on the last line, exit code 2 with one line for a user error."""

from __future__ import annotations

import json

import numpy as np
import pytest

from core.cli import main
from core.evaluate.metrics import MEASURES
from core.sampling.presets import PRESETS


def run(capsys, *arguments) -> tuple[int, dict, str]:
    """(exit code, JSON of the last line, stderr)."""
    code = main([*map(str, arguments), "--json"])
    captured = capsys.readouterr()
    lines = captured.out.strip().splitlines()
    return code, json.loads(lines[-1]) if code == 0 else {}, captured.err


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def trials(place, tiny_folder):
    """Two trials trained by the command."""
    import contextlib
    import io

    found = []
    for recipe in ("in-batch", "bm25"):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(["train", str(tiny_folder), "--recipe", recipe, "--set", "signal.temperature=0.1", "--epochs", "2",
                         "--batch-size", "8", "--seed", "3", "--workspace", str(place), "--json"])
        assert code == 0
        found.append(json.loads(out.getvalue().strip().splitlines()[-1]))
    return found


def test_recipes_lists_every_preset(capsys):
    code, answer, _ = run(capsys, "recipes")
    assert code == 0 and [r["name"] for r in answer["recipes"]] == list(PRESETS)
    assert all(r["url"].startswith("https://") and r["cost"] and r["family"] for r in answer["recipes"])


def test_train_prints_the_promised_json(trials):
    for answer in trials:
        for part in ("metrics", "untrained", "bm25"):
            assert set(answer[part]) == set(MEASURES)
        assert set(answer["seconds"]) == {"train", "mine", "evaluate", "total"}
    config = json.loads(open(f"{trials[0]['trial']}/trial.json").read())["config"]
    assert config["seed"] == 3 and config["epochs"] == 2 and config["recipe"]["signal"]["temperature"] == 0.1
    assert trials[0]["untrained"] == trials[1]["untrained"]


def test_the_pages_store_finds_trials_of_the_command(trials, place):
    from core.lab.store import Store
    from core.lab.workspace import Workspace

    rows = Store(Workspace(place)).list()
    assert {row.state for row in rows} == {"finished"} and len(rows) == 2


def test_mine_writes_every_candidate_with_its_fate(capsys, place, tiny_folder, tiny_corpus, trials):
    import pyarrow.parquet as parquet

    out = place / "mined.parquet"
    for recipe, extra in (("bm25", []), ("nv-retriever", ["--trial", trials[0]["trial"]]), ("random", [])):
        code, answer, _ = run(capsys, "mine", tiny_folder, "--recipe", recipe, "--out", out, *extra)
        assert code == 0
        table = parquet.read_table(out)
        needed = {"query_id", "doc_id", "source", "rank", "score", "positive_score", "kept", "rule"}
        assert needed <= set(table.column_names) and table.num_rows == answer["rows"] > 0
        kept = table.filter(table["kept"])
        rows = tiny_corpus.query_rows(kept["query_id"].to_pylist()), tiny_corpus.doc_rows(kept["doc_id"].to_pylist())
        assert not tiny_corpus.positives.contains(*rows).any()
        assert set(kept["rule"].to_pylist()) == {"kept"} and np.isfinite(table["score"].to_numpy()).all()


def test_compare_gives_means_and_paired_differences(capsys, place, trials):
    code, answer, _ = run(capsys, "compare", trials[0]["trial"], trials[1]["trial"].rsplit("/", 1)[1], "--workspace", place)
    assert code == 0 and [s["kind"] for s in answer["systems"]] == ["trial", "trial", "baseline", "baseline"]
    for system, trial in zip(answer["systems"], trials, strict=False):
        if system["kind"] == "trial":
            assert system["metrics"] == pytest.approx(trial["metrics"])
    rr = [d for d in answer["differences"] if d["measure"] == "RR@10"][0]
    assert rr["mean"] == pytest.approx(trials[1]["metrics"]["RR@10"] - trials[0]["metrics"]["RR@10"])
    assert rr["low"] <= rr["mean"] <= rr["high"] and 0 < rr["p"] <= rr["p_holm"] <= 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["train", "/no/such/folder", "--recipe", "bm25"], "/no/such/folder"),
        (["train", "sample:nothing", "--recipe", "bm25"], "There is: "),
        (["train", "{tiny}", "--recipe", "magic"], "recipe must be one of"),
        (["train", "{tiny}", "--recipe", "bm25", "--set", "signal.heat=1"], "no parameter 'heat'"),
        (["train", "{tiny}", "--recipe", "bm25", "--epochs", "0"], "Trial.epochs must be an int in [1, 1000]; got 0."),
        (["train", "{tiny}", "--recipe", "bm25", "--encoder", "magic"], "static"),
        (["mine", "{tiny}", "--recipe", "in-batch", "--out", "{place}/x.parquet"], "mines nothing"),
        (["mine", "{tiny}", "--recipe", "bm25", "--out", "{place}/x.csv"], ".parquet"),
        (["mine", "{tiny}", "--recipe", "bm25", "--out", "{place}/no/x.parquet"], "does not exist"),
        (["mine", "{tiny}", "--recipe", "bm25", "--trial", "{place}", "--out", "{place}/x.parquet"], "trial.json"),
        (["compare", "{place}/nothing"], "neither a trial's folder nor an id"),
        (["bench", "--repeats", "0"], "--repeats"),
    ],
)
def test_a_user_error_is_one_line_and_exit_code_2(capsys, arguments, says, place, tiny_folder):
    if "bm25" in arguments and "mine" in arguments and "--trial" in arguments:
        arguments = [*arguments, "--set", "source=dense"]
    filled = [a.format(tiny=tiny_folder, place=place) for a in arguments]
    if filled[0] in ("train", "compare"):
        filled += ["--workspace", str(place)]
    code, _, err = run(capsys, *filled)
    assert code == 2 and err.startswith("negspace: ") and says in err and len(err.strip().splitlines()) == 1, err


def test_an_unknown_option_is_one_line_too(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["train"])
    assert ended.value.code == 2 and len(capsys.readouterr().err.strip().splitlines()) == 1


def test_bad_corpora_name_file_line_and_remedy(capsys, tmp_path, tiny_folder, place):
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny_folder, broken)
    with open(broken / "corpus.jsonl", "a", encoding="utf-8") as stream:
        stream.write('{"_id": "x", "text": \n')
    with open(broken / "qrels" / "train.tsv", "a", encoding="utf-8") as stream:
        stream.write("nobody\tnothing\t1\n")
    code = main(["train", str(broken), "--recipe", "in-batch", "--epochs", "1", "--workspace", str(place), "--json"])
    out = capsys.readouterr().out
    assert code == 0 and "corpus.jsonl:61" in out and "qrels/train.tsv:" in out, "the rest still trains"
    (broken / "corpus.jsonl").write_text("")
    assert main(["train", str(broken), "--recipe", "in-batch", "--workspace", str(place)]) == 2
    assert "corpus.jsonl" in capsys.readouterr().err


def test_the_readme_table_is_what_the_pieces_say(root):
    from core.lab.catalogue import BEGIN, END, as_markdown

    text = (root / "README.md").read_text(encoding="utf-8")
    assert text.split(BEGIN)[1].split(END)[0].strip() == as_markdown(), "run 'make readme'"
