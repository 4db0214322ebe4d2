"""Charts: roles keep their look, trials stay apart, names are text, ids travel with the points."""

from __future__ import annotations

import itertools
import math

import numpy as np
import plotly.graph_objects as go
import pytest

from pages.ui import charts
from pages.ui.looks import ROLE, TRIALS, hover_text, selected_ids, trial_look

NASTY = "<b>x</b> <script>"
LIGHT, DARK = "#ffffff", "#11161c"


def rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def hue(colour: str) -> float:
    import colorsys

    return colorsys.rgb_to_hsv(*rgb(colour))[0] * 360


def test_trial_colours_are_readable_on_both_backgrounds():
    for colour, _, _ in TRIALS:
        assert contrast(colour, LIGHT) >= 2.4 and contrast(colour, DARK) >= 2.4, colour


def test_trials_differ_from_roles_and_from_each_other():
    looks = [trial_look(i) for i in range(len(TRIALS))]
    assert len({dash for _, dash, _ in looks}) == len({symbol for _, _, symbol in looks}) == len(looks)
    for (a, *_), (b, *_) in itertools.combinations(looks, 2):
        assert np.abs(rgb(a) - rgb(b)).max() > 0.12, (a, b)
    assert not {c.lower() for c, _, _ in looks} & {role.colour.lower() for role in ROLE.values()}
    assert trial_look(0) == trial_look(len(TRIALS))


def test_curves_keep_the_look_of_a_trial_and_escape_its_name():
    figure = charts.curves(
        [(NASTY, [0, 1], [0.1, 0.2]), ("b", [0, 1], [0.3, 0.4])], "step", "RR@10", {"BM25": 0.3}, looks=[4, 1]
    )
    assert [t.line.color for t in figure.data] == [trial_look(4)[0], trial_look(1)[0]]
    assert "<b>" not in figure.data[0].name and "&lt;b&gt;" in figure.data[0].name
    assert figure.layout.xaxis.title.text == "step" and figure.layout.yaxis.title.text == "RR@10"
    assert figure.layout.shapes[0].y0 == 0.3 and "BM25" in figure.layout.annotations[0].text


def test_histogram_shares_sum_to_one_and_leave_out_what_is_no_number():
    figure = charts.histogram({"positive": [0.1, 0.2, math.nan, math.inf], "other group": [0.3]}, "score")
    assert [float(np.sum(t.y)) for t in figure.data] == pytest.approx([1.0, 1.0])
    assert figure.data[0].marker.color == ROLE["positive"].colour
    assert "n = 2" in figure.data[0].name and "n = 3" in figure.layout.title.text


def test_funnel_says_counts_and_shares():
    figure = charts.funnel([("looked at", 200), (NASTY, 50)])
    assert list(figure.data[0].text) == ["200 (100%)", "50 (25%)"]
    assert "<b>" not in figure.data[0].y[1]


def test_map_draws_roles_in_their_looks_with_ids_and_escaped_texts():
    one = np.array([0.0])
    layers = [
        charts.Dots("query", one, one, ["q1"], [NASTY]),
        charts.Dots("other", one, one),
        charts.Dots("suspect", one, one, ["d"], ["t"]),
    ]
    figure = charts.scatter_map(layers, highlights=[charts.Dots("suspect", one, one, ["d"], ["t"], name="chosen")])
    assert [t.name.split(" ")[0] for t in figure.data] == ["other", "suspect", "query", "chosen"]
    query = figure.data[2]
    assert (query.marker.color, query.marker.symbol) == (ROLE["query"].colour, "star")
    assert [list(c) for c in query.customdata] == [["q1"]] and "<b>" not in query.hovertext[0]
    assert isinstance(query, go.Scatter)
    many = charts.scatter_map([charts.Dots("other", np.zeros(5000), np.zeros(5000))])
    assert isinstance(many.data[0], go.Scattergl)


def test_bands_reach_from_low_to_high():
    figure = charts.bars_with_bands(["a"], [0.5], [0.4], [0.65], "RR@10", n=9)
    bar = figure.data[0].error_x
    assert bar.array[0] == pytest.approx(0.15) and bar.arrayminus[0] == pytest.approx(0.1)
    assert "n = 9" in figure.layout.title.text


def test_differences_are_sorted_and_carry_their_ids():
    figure = charts.differences([0.0, -0.5, 1.0, 0.25], "B - A", ids=["a", "b", "c", "d"], better=NASTY, worse="A")
    wins, ties, losses = figure.data
    assert [c[0] for c in wins.customdata] == ["c", "d"] and list(wins.y) == [1.0, 0.25]
    assert [c[0] for c in ties.customdata] == ["a"] and [c[0] for c in losses.customdata] == ["b"]
    assert list(losses.x) == [3] and "<b>" not in wins.name and "(2)" in wins.name


@pytest.mark.parametrize("data", [["q1"], {"0": "q1"}, "q1"])
def test_selected_ids_come_from_customdata(data):
    event = {"selection": {"points": [{"customdata": data}, {"customdata": data}, {"point_index": 3}]}}
    assert selected_ids(event) == ["q1"]
    assert selected_ids(None) == [] and selected_ids({"selection": {"points": []}}) == []


def test_hover_text_is_wrapped_and_escaped():
    text = hover_text("word <i> " * 60, width=30)
    lines = text.split("<br>")
    assert len(lines) > 3 and "<i>" not in text and text.endswith("…")


def test_empty_charts_do_not_fail():
    for figure in (
        charts.curves([], "x", "y"),
        charts.histogram({}, "x"),
        charts.histogram({"positive": []}, "x"),
        charts.funnel([]),
        charts.scatter_map([]),
        charts.bars_with_bands([], [], [], [], "x"),
        charts.differences([], "y"),
    ):
        figure.to_json()
