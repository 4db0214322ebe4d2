"""The live charts of the Train page: measures on held-out queries, and what happens inside the training."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING

import streamlit as st

from core.evaluate.metrics import MEASURES
from pages.ui import charts
from pages.ui.looks import draw

if TYPE_CHECKING:
    from pages.ui.train_seen import Seen

X_TITLES = {"steps": "training step", "seconds": "seconds of work"}
INSIDE = {
    "loss": "loss, mean since the last point",
    "hard": "share at or above the positive",
    "false": "share that truth calls relevant",
    "positive": "mean s+ trained on",
    "negative": "mean s- trained on",
    "in loss": "share at or above the positive",
}
AGE_TITLE = "age of the entry in training steps"
STALE_TITLE = "mean cosine with its fresh encoding"
STALE_HELP = (
    "Each document in the queue against its vector by the same encoder now; 1 = nothing has moved. MoCo's keys are compared with the "
    "slow encoder that makes them and, thin, with the one in training."
)
INSIDE_LABELS = {
    "loss": "Loss",
    "hard": "Hard share at each mining",
    "false": "False negatives at each mining",
    "positive": "Scores of positives (s+)",
    "negative": "Scores of negatives (s-)",
    "in loss": "Hard share in the loss",
    "stale": "Staleness of the queue, by age",
}


def measure_chart(trials: Sequence[Seen], measure: str, x: str) -> None:
    """The measure of each trial over steps or seconds, BM25 and the untrained encoder as horizontal lines."""
    series, looks = [], []
    for i, trial in enumerate(trials):
        points = [p for p in trial.curve if measure in p["metrics"]]
        if points:
            xs = [p["step"] if x == "steps" else p["seconds"] or 0.0 for p in points]
            series.append((trial.row.name, xs, [p["metrics"][measure] for p in points]))
            looks.append(i)
    figure = charts.curves(series, X_TITLES[x], measure, _baselines(trials, measure), looks=looks, title=f"{measure} on held-out queries")
    # The same picture goes on growing: a zoom or a hidden line stays as the person left it.
    figure.update_layout(uirevision=f"{measure}.{x}", showlegend=True)
    draw(figure, key="curves")


def inside_chart(trials: Sequence[Seen], what: str, x: str) -> None:
    """Loss, hardness, false negatives or mean scores of each trial; or how stale its queue is, which has ages instead of steps."""
    if what == "stale":
        _stale_chart(trials)
        return
    series, looks = [], []
    for i, trial in enumerate(trials):
        points = _inside(trial, what, x)
        if points:
            series.append((trial.row.name, [p[0] for p in points], [p[1] for p in points]))
            looks.append(i)
    figure = charts.curves(series, X_TITLES[x], INSIDE[what], looks=looks, title=INSIDE_LABELS[what])
    figure.update_layout(uirevision=f"{what}.{x}", showlegend=False)
    if what in ("hard", "false", "in loss"):
        figure.update_layout(yaxis_tickformat=".0%", yaxis_rangemode="tozero")
    draw(figure, key="inside")


def _stale_chart(trials: Sequence[Seen]) -> None:
    """Cosine of each queue's entries with their fresh encoding, over their age, when it was last measured."""
    series, looks = [], []
    for i, trial in enumerate(trials):
        if not trial.staleness:
            continue
        last = trial.staleness[-1]
        name = f"{trial.row.name}, step {last['step']:,}"
        series.append((name, last["ages"], last["cosine"]))
        looks.append(i)
        if "to_model" in last:
            series.append((f"{name}: against the model in training", last["ages"], last["to_model"]))
            looks.append(i)
    figure = charts.curves(series, AGE_TITLE, STALE_TITLE, looks=looks, title=INSIDE_LABELS["stale"])
    for line in figure.data:
        if "against the model" in line.name:
            line.update(line={"width": 1.2}, opacity=0.6)
    figure.update_layout(uirevision="stale", showlegend=True)
    draw(figure, key="inside")
    st.caption(STALE_HELP if series else "None of these trials keeps a queue (memory queue, MoCo), or none has measured it yet.")


def _inside(trial: Seen, what: str, x: str) -> list[tuple[float, float]]:
    if what == "loss":
        return [(step if x == "steps" else seconds, loss) for step, seconds, loss in trial.losses]
    if what in ("hard", "false"):
        name = "hard_share" if what == "hard" else "false_negative_rate"
        found = []
        for event in trial.refreshes:
            values = [lane[name] for lane in event.get("lanes", ()) if lane.get(name) is not None]
            if values:
                place = event["step"] if x == "steps" else event.get("seconds") or 0.0
                found.append((place, sum(values) / len(values)))
        return found
    name = "hard" if what == "in loss" else what
    points = [(e["step"], e[name]) for e in trial.vitals if e.get(name) is not None]
    return points if x == "steps" else [(_seconds_at(trial, step), value) for step, value in points]


def _seconds_at(trial: Seen, step: float) -> float:
    """Seconds of the last evaluation at or before the step: vitals are written with an evaluation."""
    steps = [p["step"] for p in trial.curve]
    i = bisect_right(steps, step) - 1
    return (trial.curve[i]["seconds"] or 0.0) if i >= 0 else 0.0


def _baselines(trials: Sequence[Seen], measure: str) -> dict[str, float]:
    """Each distinct baseline once; an encoder of its own has an untrained line of its own."""
    lines: dict[str, float] = {}
    titles = {"bm25": "BM25"}
    for trial in trials:
        for name, metrics in trial.baselines.items():
            value = metrics.get(measure)
            label = titles.get(name, name)
            if value is None or lines.get(label) == value:
                continue
            lines[label if label not in lines else f"{label} ({trial.row.name})"] = value
    return lines


def measures() -> list[str]:
    """The measures that can be drawn."""
    return list(MEASURES)
