"""The charts of a whole trial's negatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from core.audit.trial_figures import RateOfBand
from core.audit.trial_table import HARDNESS
from core.sampling.candidates import base_rules
from pages.ui.looks import ROLE, base_figure, titled
from pages.ui.recipe_tables import RULES

# From light to dark: the harder, the stronger the negatives' own colour.
HARDNESS_FILL = {"easy": "rgba(213,94,0,.22)", "semi-hard": "rgba(213,94,0,.5)", "hard": "rgba(213,94,0,.92)"}
BASE = base_rules(True)


def funnel_left(steps: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Counts of refusals as what was left after each rule; a rule of the base only where it refused any."""
    left = steps[0][1]
    shown = [steps[0]]
    for rule, n in steps[1:-2]:
        left -= n
        if n or rule not in BASE:
            shown.append((f"−{n:,} {RULES.get(rule, rule)}", left))
    return [*shown, steps[-1]]


def shares_figure(steps: np.ndarray, shares: Mapping[str, np.ndarray], n: np.ndarray, *, of: str) -> go.Figure:
    """Hardness as stacked bars at each mining, suspects and confirmed false negatives as lines over them."""
    what = "trained against" if of == "used" else "kept"
    title = titled("How hard, how doubtful", int(n.sum()))
    figure = base_figure(title, "mined at training step", f"share of {what}", height=330)
    names = [f"{step:,}" for step in steps]
    for name in HARDNESS:
        figure.add_trace(
            go.Bar(
                x=names,
                y=shares[name],
                name=name,
                marker={"color": HARDNESS_FILL[name], "line": {"width": 0}},
                customdata=n,
                hovertemplate=f"{name}: %{{y:.1%}} of %{{customdata:,}}<extra></extra>",
            )
        )
    lines = (("suspect", "suspect", "solid"), ("relevant by truth", "positive", "dot"))
    for name, role, dash in lines:
        if name in shares:
            figure.add_trace(
                go.Scatter(
                    x=names,
                    y=shares[name],
                    name=name,
                    mode="lines+markers",
                    line={"color": ROLE[role].colour, "width": 2.4, "dash": dash},
                    marker={"symbol": ROLE[role].symbol, "size": 10, "color": ROLE[role].colour, "line": {"width": 1, "color": "white"}},
                    hovertemplate=f"{name}: %{{y:.1%}}<extra></extra>",
                )
            )
    figure.update_layout(barmode="stack", bargap=0.35, yaxis={"tickformat": ".0%", "range": [0, 1.02]}, xaxis={"type": "category"})
    return figure


def false_negative_figure(bands: Sequence[RateOfBand]) -> go.Figure:
    """The share of false negatives by rank, with 95 % bands and n under each band of ranks."""
    known = [band for band in bands if band.n]
    figure = base_figure(
        titled("False negatives by rank", sum(b.n for b in known), "pairs"),
        "rank in the source's list at the latest mining",
        "share that truth calls relevant",
    )
    figure.update_layout(height=320)
    figure.add_trace(
        go.Scatter(
            x=[f"{band.label}<br>n = {band.n:,}" for band in known],
            y=[band.rate for band in known],
            mode="markers+text",
            text=[f"{band.rate:.1%}" for band in known],
            textposition="middle right",
            cliponaxis=False,
            showlegend=False,
            marker={"symbol": ROLE["suspect"].symbol, "size": 12, "color": ROLE["suspect"].colour},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [band.high - band.rate for band in known],
                "arrayminus": [band.rate - band.low for band in known],
                "color": ROLE["suspect"].colour,
                "thickness": 2.2,
                "width": 8,
            },
            customdata=[[band.n_false, band.n] for band in known],
            hovertemplate="%{customdata[0]:,} of %{customdata[1]:,}: %{y:.2%}<extra></extra>",
        )
    )
    figure.update_layout(xaxis={"type": "category"}, yaxis={"tickformat": ".0%", "rangemode": "tozero"})
    return figure
