"""The script that trains again elsewhere says what it leaves out, and is refused where it would teach nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from core.errors import TrialError
from core.lab.script import differences, training_script
from core.lab.script_zip import write_script
from core.sampling.presets import PRESETS, preset
from core.train.config import TrialConfig
from core.train.results import TrialResults
from tests.test_train_trial import make_trial


def said(name: str) -> str:
    return " ".join(differences(TrialConfig(corpus="here", recipe=preset(name).recipe.to_dict()), 2, 1))


def test_the_script_says_what_it_does_otherwise():
    assert "weighed less the likelier it was an answer" in said("reweight") and "moved in the worst direction" in said("adversarial")
    assert "'In-batch, guided mask'" in said("gist")
    plain = said("ance")
    assert "weighed less" not in plain and "moved" not in plain


@pytest.mark.parametrize("name", [name for name, p in PRESETS.items() if p.recipe.signal.needs_teacher])
def test_a_trial_with_a_teacher_has_no_script(name, tmp_path):
    results = TrialResults(make_trial(tmp_path / "t", None, name))
    with pytest.raises(TrialError, match="no place for a teacher's scores"):
        write_script(SimpleNamespace(results=results), tmp_path / "out.zip")


@pytest.mark.parametrize("name", ["gist", "reweight", "adversarial", "rocketqa-augmented"])
def test_other_guarded_recipes_give_a_script_that_compiles(name):
    text = training_script(TrialConfig(corpus="here", recipe=preset(name).recipe.to_dict()), 2, n_minings=1)
    compile(text, "train.py", "exec")
