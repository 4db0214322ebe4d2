"""The composer's new slots: a lane's weights, the recipe's perturbation, a signal with a teacher."""

from __future__ import annotations

from core.sampling.perturbation import FGM
from core.sampling.weighting import Suspicion
from pages.ui.codes import decode_recipe
from tests.test_page_recipe import _quiet, box, known, number, page, words  # noqa: F401


def test_weights_and_perturbation_are_chosen_and_taken_back(root, known):  # noqa: F811
    at = page(root, corpus=known, recipe="bm25")
    box(at, "Weights").set_value("suspicion").run()
    box(at, "Perturbation").set_value("fgm").run()
    changed = decode_recipe(at.query_params["recipe"])
    assert not at.exception and changed.mined[0].weighting == Suspicion() and changed.perturbation == FGM()
    number(at, "Gamma").set_value(3.0).run()
    assert decode_recipe(at.query_params["recipe"]).mined[0].weighting.gamma == 3.0
    box(at, "Weights").set_value("equal").run()
    box(at, "Perturbation").set_value("none").run()
    assert not at.exception and at.query_params["recipe"] == "bm25", "the preset again"


def test_a_teacher_without_mined_negatives_is_said(root, known):  # noqa: F811
    at = page(root, corpus=known, recipe="in-batch", view="compose")
    box(at, "Signal").set_value("margin-mse").run()
    assert not at.exception and "Add a mined lane" in words(at)
    at = page(root, corpus=known, recipe="rocketqa-augmented", view="compose")
    assert not at.exception and "labels of 25% of the training queries are put aside" in words(at)
