"""The map of techniques: each a mark by family, over two of quality, cost, difficulty and family."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import plotly.graph_objects as go

from core.sampling.presets import FAMILY_TITLES
from pages.ui.looks import base_figure, hover_text, titled, trial_look

if TYPE_CHECKING:
    from core.evaluate.significance import Band
    from core.lab.techniques import Technique

QUALITY, SECONDS, LINES, FAMILY = "effectiveness", "cost", "difficulty", "family"
AXES = (QUALITY, SECONDS, LINES)
ALL_NAMED = 14  # up to so many marks each has its name beside it
SMALL, LARGE = 9.0, 24.0
LEAST_SPAN = 0.04  # of an axis of quality
_STEPS = (0.0, -0.18, 0.18, -0.34, 0.34)


def axis_title(axis: str, measure: str) -> str:
    """What the axis shows, with its unit."""
    return {
        QUALITY: f"{measure} (mean over seeds)",
        SECONDS: "seconds of training and mining, one trial",
        LINES: "lines of our own code",
        FAMILY: "",
    }[axis]


def place_of(technique: Technique, axis: str) -> float | None:
    """The technique's place on a measured axis; None where it was not measured."""
    if axis == LINES:
        return float(technique.lines)
    band = technique.quality if axis == QUALITY else technique.seconds
    return None if band is None or math.isnan(band.mean) else band.mean


def technique_map(
    techniques: Sequence[Technique], across: str, up: str, measure: str, *, named: Sequence[str] = (), title: str = ""
) -> go.Figure:
    """One trace a family; marks carry the preset's name. ``across``: one of AXES; ``up``: one of AXES or FAMILY.

    ``named``: presets whose name stands beside the mark. Larger marks: more lines of code, where no axis says so.
    """
    shown = [t for t in techniques if place_of(t, across) is not None and (up == FAMILY or place_of(t, up) is not None)]
    families = [family for family in FAMILY_TITLES if any(t.preset.family == family for t in techniques)]
    figure = base_figure(
        titled(title, len(shown), "techniques"), axis_title(across, measure), axis_title(up, measure),
        height=170 + 74 * len(families) if up == FAMILY else 500,
    )  # fmt: skip
    names = {t.preset.name for t in shown} if len(shown) <= ALL_NAMED else set(named)
    most = max((t.lines for t in techniques), default=1)
    for family in families:
        own = [t for t in shown if t.preset.family == family]
        colour, _, symbol = trial_look(list(FAMILY_TITLES).index(family))
        heights = _rows(own, across, families.index(family)) if up == FAMILY else [place_of(t, up) for t in own]
        sizes = [SMALL + (LARGE - SMALL) * math.sqrt(t.lines / most) for t in own] if LINES not in (across, up) else 13
        figure.add_trace(
            go.Scatter(
                x=[place_of(t, across) for t in own],
                y=heights,
                name=html.escape(FAMILY_TITLES[family], quote=False),
                mode="markers+text",
                text=[t.preset.name if t.preset.name in names else "" for t in own],
                textposition="top center",
                textfont={"size": 11},
                cliponaxis=False,
                marker={"color": colour, "symbol": symbol, "size": sizes, "opacity": 0.88, "line": {"width": 1, "color": "white"}},
                error_x=_bars(own, across, colour),
                error_y=_bars(own, up, colour),
                customdata=[[t.preset.name] for t in own],
                hovertext=[_hover(t, measure) for t in own],
                hovertemplate="%{hovertext}<extra></extra>",
            )
        )
    for name, axis in (("xaxis", across), ("yaxis", up)):
        if axis == SECONDS:
            figure.update_layout({name: {"type": "log"}})
        elif axis == LINES:
            figure.update_layout({name: {"rangemode": "tozero"}})
        elif axis != FAMILY and (at := [place_of(t, axis) or 0.0 for t in shown]) and max(at) - min(at) < LEAST_SPAN:
            # One point, or equal ones: an axis of its own choice would run below 0 and above 1.
            figure.update_layout({name: {"range": [max(min(at) - LEAST_SPAN, 0), min(max(at) + LEAST_SPAN, 1)]}})
    if up == FAMILY:
        ticks = {"tickvals": list(range(len(families))), "ticktext": [FAMILY_TITLES[family] for family in families]}
        figure.update_layout(yaxis={"range": [len(families) - 0.45, -0.55], "showgrid": False, **ticks}, showlegend=False)
    else:
        figure.update_layout(showlegend=True)
    figure.update_layout(clickmode="event+select", hovermode="closest")
    return figure


def _rows(own: Sequence[Technique], across: str, place: int) -> list[float]:
    """Heights inside the family's row, neighbours apart."""
    order = sorted(range(len(own)), key=lambda i: place_of(own[i], across) or 0.0)
    heights = [0.0] * len(own)
    for n, i in enumerate(order):
        heights[i] = place + _STEPS[n % len(_STEPS)]
    return heights


def _bars(own: Sequence[Technique], axis: str, colour: str) -> dict:
    bands: list[Band | None] = [t.quality if axis == QUALITY else t.seconds if axis == SECONDS else None for t in own]
    above = [0.0 if band is None or math.isnan(band.high) else band.high - band.mean for band in bands]
    below = [0.0 if band is None or math.isnan(band.low) else band.mean - band.low for band in bands]
    look = {"color": colour, "thickness": 1.3, "width": 4, "visible": any(above)}
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, **look}


def _hover(technique: Technique, measure: str) -> str:
    preset = technique.preset
    lines = [f"<b>{html.escape(preset.title, quote=False)}</b>", hover_text(preset.idea)]
    if technique.quality is not None:
        lines.append(f"{measure} {said(technique.quality, 4)}")
    if technique.seconds is not None:
        lines.append(f"{technique.seconds.mean:.2f} s of training and mining")
    if technique.false_negatives is not None:
        lines.append(f"{technique.false_negatives.mean:.1%} of the mined negatives are false")
    return "<br>".join([*lines, f"{technique.lines} lines of code, {html.escape(preset.source.authors)} {preset.source.year}"])


def said(band: Band, digits: int) -> str:
    """"0.6012 ± 0.0031"; the mean alone for one seed."""
    half = "" if math.isnan(band.high) else f" ± {band.high - band.mean:.{digits}f}"
    return f"{band.mean:.{digits}f}{half}"
