"""The map of techniques: nothing measured, some measured, several settings, clicks, hostile links; its chart against the figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.evaluate.significance import Band
from core.lab.same_trial import setting_key
from core.lab.techniques import Technique, settings_of, techniques, undominated
from core.sampling.presets import FAMILY_TITLES, PRESETS
from core.train.config import read_config
from pages.ui import taxonomy_view
from pages.ui.taxonomy_chart import AXES, FAMILY, LINES, QUALITY, SECONDS, technique_map
from tests.test_page_recipe import NoScheduler, known, words  # noqa: F401


@pytest.fixture(autouse=True)
def _quiet(workspace, monkeypatch):
    from pages.ui import services

    monkeypatch.setattr(services, "scheduler", NoScheduler)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder, tiny_corpus):
    """A workspace's trials of three recipes with two seeds, one with other epochs, one recipe of nobody's."""
    from core.lab.by_hand import new_trial
    from core.lab.worker import main
    from core.lab.workspace import Workspace
    from core.sampling.settings import apply_settings
    from core.train.config import TrialConfig

    place = Workspace(tmp_path_factory.mktemp("taxonomy"))
    asked = [(PRESETS[name].recipe, seed, 1) for name in ("in-batch", "bm25", "ance") for seed in (0, 1)]
    asked += [(PRESETS["bm25"].recipe, 0, 2), (apply_settings(PRESETS["bm25"].recipe, ["signal.temperature=0.1"]), 0, 1)]
    for recipe, seed, epochs in asked:
        about = {"corpus": str(tiny_folder), "corpus_name": "tiny", "corpus_fingerprint": tiny_corpus.fingerprint}
        config = TrialConfig(**about, recipe=recipe.to_dict(), seed=seed, epochs=epochs, batch_size=8, snapshots=2, name="t")
        assert main(new_trial(place, config)) == 0
    return place


@pytest.fixture
def measured(trained, workspace):
    """The page's workspace, with those trials."""
    import shutil

    shutil.copytree(trained.trials, workspace / "trials", dirs_exist_ok=True)
    return workspace


def page(root, **params: str) -> AppTest:
    at = AppTest.from_file(str(root / "pages/recipe.py"), default_timeout=120)
    for key, value in {"view": "taxonomy", **params}.items():
        at.query_params[key] = value
    return at.run()


def table(at: AppTest):
    return at.dataframe[-1].value


def test_nothing_measured_says_how_and_still_shows_the_lines(root, known):  # noqa: F811
    at = page(root, corpus=known)
    assert not at.exception and not at.error and at.title[0].value == "Map of techniques"
    told = words(at)
    assert "No technique is measured on this corpus" in told and "negspace sweep" in told and "without lessons" in told.lower()
    assert list(table(at)["technique"]) == [p.title for f in FAMILY_TITLES for p in PRESETS.values() if p.family == f]
    assert (table(at)["lines"] > 0).all() and "RR@10" not in table(at) and len(at.get("plotly_chart")) == 1
    assert not any(b.label in ("Train this", "Add to queue") for b in at.button), "no recipe is looked at here"
    empty = page(root, corpus=known, across="cost")
    assert not empty.exception and "this axis is empty" in words(empty) and not empty.get("plotly_chart")


def test_missing_techniques_are_queued_by_one_button(root, known):  # noqa: F811
    from core.lab.store import Store

    at = page(root, corpus=known)
    button = at.button(key="taxonomy.queue")
    n = int(button.label.split()[1])
    button.click().run()
    assert not at.exception and not at.error
    queued = Store().list()
    assert {row.state for row in queued} == {"queued"} and len(queued) == n
    assert n == sum(why == "" for why in table(at)["not here because"]) < len(PRESETS), "rank-window is too deep for this corpus"
    assert f"{n} trials of this corpus are training or waiting" in words(at) and at.button(key="taxonomy.queue").disabled


def test_measured_techniques_stand_with_their_figures(root, known, measured):  # noqa: F811
    import json

    at = page(root, corpus=known)
    assert not at.exception and not at.error
    shown = table(at).set_index("technique")
    results = []
    for folder in (measured / "trials").iterdir():
        about = json.loads((folder / "trial.json").read_text())["config"]
        if about["recipe"] == PRESETS["ance"].recipe.to_dict():
            results.append(json.loads((folder / "result.json").read_text()))
    assert len(results) == 2
    assert shown.loc["ANCE", "RR@10"] == pytest.approx(np.mean([r["metrics"]["RR@10"] for r in results]))
    assert shown.loc["ANCE", "seconds"] == pytest.approx(np.mean([r["seconds"]["train"] + r["seconds"]["mine"] for r in results]))
    assert shown.loc["ANCE", "seeds"] == 2 and shown["RR@10"].notna().sum() == 3
    assert shown.loc["ANCE", "false negatives"] > 0 and np.isnan(shown.loc["In-batch negatives", "false negatives"])
    told = words(at)
    assert "3 techniques measured on this corpus (static, 1 epochs" in told and "2 seeds each" in told
    unfit = sum(why != "" for why in table(at)["not here because"])
    assert f"{len(PRESETS) - 3 - unfit} of {len(PRESETS)} techniques are not" in told
    truth = page(root, corpus=known, by="truth")
    assert not truth.exception and table(truth).set_index("technique").loc["ANCE", "RR@10"] == pytest.approx(
        np.mean([r["truth_metrics"]["RR@10"] for r in results])
    )


def test_settings_are_never_mixed(root, known, measured):  # noqa: F811
    at = page(root, corpus=known)
    (choice,) = [box for box in at.selectbox if box.label == "Trials of one setting"]
    assert len(choice.options) == 2 and "1 techniques" in choice.options[1]
    (other,) = [setting_key(c) for c in map(read_config, (measured / "trials").iterdir()) if c.epochs == 2]
    choice.set_value(other).run()
    assert not at.exception and not at.warning and table(at)["RR@10"].notna().sum() == 1 and "setting" in at.query_params


def test_every_axis_can_be_looked_along(root, known, measured):  # noqa: F811
    for across in AXES:
        for up in (*AXES, FAMILY):
            if up != across:
                at = page(root, corpus=known, across=across, up=up)
                assert not at.exception and not at.warning and len(at.get("plotly_chart")) == 1, (across, up)


def test_a_click_opens_the_recipe(root, known, measured, monkeypatch):  # noqa: F811
    click = {"selection": {"points": [{"customdata": ["ance"]}]}}
    monkeypatch.setattr(taxonomy_view, "draw", lambda *args, **kwargs: click)
    at = page(root, corpus=known).run()
    assert at.query_params["recipe"] == ["ance"] or at.query_params["recipe"] == "ance"
    assert "view" not in at.query_params and at.title[0].value == "ANCE"


HOSTILE = [{"across": "magic", "up": "<b>"}, {"across": "cost", "up": "cost"}, {"setting": "x", "by": "y", "measure": "P@5"}]


@pytest.mark.parametrize("params", HOSTILE)
def test_hostile_links_never_break_the_page(root, known, measured, params):  # noqa: F811
    at = page(root, corpus=known, **params)
    assert not at.exception and not at.error and at.warning


def band(mean: float, half: float = math.nan) -> Band:
    return Band(mean, mean - half, mean + half, 2)


def some() -> list[Technique]:
    given = {"in-batch": (0.5, 1.0), "bm25": (0.6, 2.0), "ance": (0.55, 8.0), "random": (0.4, 0.5)}
    return [
        Technique(preset, 10 + i, 2, band(given[name][0], 0.01), band(given[name][1], 0.1)) if name in given else Technique(preset, 10 + i)
        for i, (name, preset) in enumerate(PRESETS.items())
    ]


def test_who_is_beaten_in_both_is_not_named():
    assert undominated(some()) == ["random", "in-batch", "bm25"]


def test_the_chart_carries_names_units_and_lessons():
    figure = technique_map(some(), SECONDS, QUALITY, "RR@10", title="x")
    assert figure.layout.xaxis.title.text.startswith("seconds") and figure.layout.yaxis.title.text.startswith("RR@10")
    assert "n = 4 techniques" in figure.layout.title.text and figure.layout.xaxis.type == "log"
    marks = {trace.customdata[i][0]: (trace.x[i], trace.y[i], trace.hovertext[i]) for trace in figure.data for i in range(len(trace.x))}
    assert set(marks) == {"in-batch", "bm25", "ance", "random"} and marks["bm25"][:2] == (2.0, 0.6)
    assert "0.6000 ± 0.0100" in marks["bm25"][2] and PRESETS["bm25"].idea.split()[0] in marks["bm25"][2]
    families = technique_map(some(), LINES, FAMILY, "RR@10")
    assert sum(len(trace.x) for trace in families.data) == len(PRESETS)
    assert list(families.layout.yaxis.ticktext) == [t for f, t in FAMILY_TITLES.items() if any(p.family == f for p in PRESETS.values())]
    for place, trace in enumerate(families.data):
        assert all(abs(y - place) < 0.5 for y in trace.y)


def test_trials_of_other_versions_and_with_verdicts_are_passed_over(tiny_folder, tmp_path):
    own = {"corpus": "c", "recipe": PRESETS["bm25"].recipe.to_dict()}
    trials = [
        (own, tmp_path / "old"),
        (own | {"name": "new"}, tmp_path / "new"),
        (own | {"seed": 1}, tmp_path / "other"),
        (own | {"verdicts": "0" * 16}, tmp_path / "judged"),
        (own | {"recipe": {"batch": {"key": "gone"}}}, tmp_path / "gone"),
        (own | {"encoder": {"key": "gone"}}, tmp_path / "lost"),
        ({"corpus": "c"}, tmp_path / "none"),
    ]
    (setting,) = settings_of(trials)
    assert setting.folders == {"bm25": {0: tmp_path / "new", 1: tmp_path / "other"}}
    assert [t.preset.name for t in techniques({}, "RR@10", "labels")] == list(PRESETS)
