"""Trials of deep encoders: equal bytes, exact resume, loading back, the command line's and the form's parameters."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.cli import main
from core.encode.encoders import FrozenHead, StaticEncoder, TinyTransformer
from core.train.config import read_config
from core.train.results import TrialResults
from core.train.trial import Stopped, run_trial
from tests.test_models_encoders import model_folder  # noqa: F401
from tests.test_page_negatives import _clean, corpus_link  # noqa: F401
from tests.test_train_trial import bytes_of, make_trial

TINY = TinyTransformer(dim=16, layers=1, heads=2, vocabulary=400, max_tokens=16)


@pytest.mark.parametrize("recipe", ["ance", "moco"])
@pytest.mark.parametrize("kind", ["tiny", "head"])
def test_equal_seeds_equal_bytes_and_a_stop_changes_nothing(kind, recipe, tmp_path, tiny_corpus, model_folder):  # noqa: F811
    encoder = TINY if kind == "tiny" else FrozenHead(model=model_folder, towers="shared" if recipe == "moco" else "separate")
    changes = {"epochs": 2, "encoder": encoder.to_dict(), "learning_rate": encoder.learning_rate}
    whole = make_trial(tmp_path / "whole", tiny_corpus, recipe, **changes)
    result = run_trial(whole, threads=1, corpus=tiny_corpus)
    stopped = make_trial(tmp_path / "stopped", tiny_corpus, recipe, **changes)
    for n_steps in (2, 3):
        calls = iter(range(n_steps))
        with pytest.raises(Stopped):
            run_trial(stopped, threads=1, corpus=tiny_corpus, should_stop=lambda calls=calls: next(calls, None) is None)
    run_trial(stopped, threads=1, corpus=tiny_corpus)
    assert bytes_of(whole) == bytes_of(stopped) and len(bytes_of(whole)) > 5
    vectors = TrialResults(whole).vectors(tiny_corpus)
    kept = TrialResults(whole).snapshot(TrialResults(whole).snapshots()[-1])
    np.testing.assert_allclose(vectors.documents, kept.documents, atol=2e-3, err_msg="float16 on disk")
    assert result["weights"] and result["metrics"] != result["untrained"]


def test_the_command_line_sets_the_encoder(capsys, workspace, tiny_folder, model_folder):  # noqa: F811
    given = ["--encoder", "frozen-head", "--set", f"encoder.model={model_folder}", "--set", "encoder.hidden=4"]
    given += ["--set", "signal.temperature=0.1"]
    code = main(["train", str(tiny_folder), "--recipe", "in-batch", "--epochs", "1", *given, "--json"])
    answer = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    config = read_config(answer["trial"])
    assert code == 0 and config.encoder == FrozenHead(model=model_folder, hidden=4).to_dict()
    assert config.learning_rate == FrozenHead.learning_rate and config.recipe["signal"]["temperature"] == 0.1
    assert list((workspace / "cache" / "frozen").glob("*.npy")), "the next trial does not ask the frozen model again"
    out = workspace / "mined.parquet"
    mined = ["mine", str(tiny_folder), "--recipe", "ance", "--set", "encoder.fields=shelf", "--out", str(out)]
    assert main(mined) == 2 and "no field 'shelf'" in capsys.readouterr().err
    assert main([*mined[:4], "--set", "encoder.depth=2", "--out", str(out)]) == 2
    assert "no parameter 'depth'" in capsys.readouterr().err
    assert main(["train", str(tiny_folder), "--recipe", "in-batch", "--encoder", "sentence-transformer;model=no/such"]) == 2
    assert "may be offline" in capsys.readouterr().err


def test_the_form_follows_the_encoder(root, corpus_link, monkeypatch):  # noqa: F811
    from types import SimpleNamespace

    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", lambda: SimpleNamespace(max_running=1))

    def form(encoder: str) -> dict:
        at = AppTest.from_file(str(root / "pages/train.py"), default_timeout=60)
        at.query_params["corpus"], at.query_params["queue"] = corpus_link, "true"
        at.query_params["encoder"] = encoder
        at.run()
        assert not at.exception and not at.warning
        return {"rate": next(n.value for n in at.number_input if "earning rate" in n.label), "errors": [e.value for e in at.error]}

    assert form("static") == {"rate": StaticEncoder.learning_rate, "errors": []}
    assert form("tiny-transformer;dim=32")["rate"] == TinyTransformer.learning_rate
    assert any("no field" in e.replace("\\", "") for e in form("static;fields=shelf")["errors"])


def test_a_script_of_a_deep_trial_starts_from_the_saved_model(tiny_corpus):
    from core.lab.script import needs_model, training_script
    from core.train.config import TrialConfig

    def config(encoder) -> TrialConfig:
        return TrialConfig(corpus="x", recipe={"batch": {"key": "in-batch"}}, encoder=encoder.to_dict())

    for encoder in (TINY, FrozenHead(), StaticEncoder(fields="place")):
        text = training_script(config(encoder), 0)
        compile(text, "train.py", "exec")
        assert needs_model(config(encoder)) and 'SentenceTransformer(str(HERE / "model"))' in text and "wordllama" not in text
    assert not needs_model(config(StaticEncoder())) and "head alone" in training_script(config(FrozenHead()), 0)
