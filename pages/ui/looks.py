"""Colours, shapes and the frame that all charts share, for light and dark backgrounds."""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from pages.ui.text import shorten


@dataclass(frozen=True)
class Role:
    """One colour and one shape for one meaning, in every chart."""

    colour: str
    symbol: str
    title: str


ROLE = {
    "query": Role("#0072B2", "star", "query"),
    "positive": Role("#009E73", "circle", "positive"),
    "negative": Role("#D55E00", "x", "negative"),
    "suspect": Role("#CC79A7", "diamond", "suspect"),
    "other": Role("#8A94A0", "circle-open", "other"),
}
# For trials: none of the roles' hues; told apart by lightness, dash and marker too, so that a grey print
# or colour-blind eyes still can. Each has a contrast of at least 2.4 : 1 on both backgrounds.
TRIALS = (
    ("#E08E00", "solid", "circle"),
    ("#3FA7E0", "dash", "square"),
    ("#8F7CE6", "dot", "triangle-up"),
    ("#9A8B1E", "dashdot", "diamond-tall"),
    ("#C2536B", "longdash", "pentagon"),
    ("#2AA5A0", "longdashdot", "hexagram"),
    ("#A8744A", "5px,2px,1px,2px", "triangle-down"),
    ("#7D8794", "2px,5px", "cross"),
)
BASELINE = "#8A94A0"
WIN, LOSS, TIE = "#3FA7E0", "#E08E00", "#8A94A0"


def trial_look(index: int) -> tuple[str, str, str]:
    """Colour, dash and marker of the trial at that place in the list."""
    return TRIALS[index % len(TRIALS)]


def titled(title: str, n: int | None = None, of: str = "") -> str:
    """A chart's title, escaped, with what was counted: "Scores (n = 1,200 pairs)"."""
    count = "" if n is None else f" <span style='opacity:.65'>n = {n:,}{' ' + of if of else ''}</span>"
    return html.escape(title, quote=False) + count


def base_figure(title: str = "", x_title: str = "", y_title: str = "", *, height: int = 360) -> go.Figure:
    """An empty figure with axes named, no background of its own, and the legend below the plot."""
    figure = go.Figure()
    grid = {
        "gridcolor": "rgba(128,140,155,.22)",
        "zeroline": False,
        "automargin": True,
        "ticks": "outside",
        "tickcolor": "rgba(128,140,155,.4)",
        "ticklen": 4,
    }
    figure.update_layout(
        title={
            "text": title,
            "x": 0,
            "xref": "container",
            "font": {"size": 15},
            "yref": "container",
            "y": 0.98,
            "yanchor": "top",
        },
        height=height,
        margin={"l": 8, "r": 12, "t": 44 if title else 16, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        # At the bottom of the whole picture: there its rows can grow without meeting the title.
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "x": 0,
            "title": {"text": ""},
            "font": {"size": 12},
        },
        xaxis={"title": {"text": x_title}, **grid},
        yaxis={"title": {"text": y_title}, **grid},
        hoverlabel={"align": "left", "namelength": -1},
        # Without this the bar of tools is dark grey: half of the paper's colour, which is transparent black.
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": "#8A94A0", "activecolor": "#3FA7E0"},
        bargap=0.18,
    )
    return figure


def draw(figure: go.Figure, *, key: str, on_select: Any = "ignore", selection_mode: Any = "points") -> Any:
    """Show a chart in the page's width, with the page's fonts and colours; returns the selection if asked for.

    Ids of the selected points: :func:`selected_ids` (never the point numbers, which are per trace).
    """
    config = {"displaylogo": False, "modeBarButtonsToRemove": ["autoScale2d", "toggleSpikelines"], "scrollZoom": False}
    asked = {} if on_select == "ignore" else {"on_select": on_select, "selection_mode": selection_mode}
    return st.plotly_chart(figure, width="stretch", theme="streamlit", key=key, config=config, **asked)


def selected_ids(event: Any) -> list[str]:
    """The ids carried in ``customdata`` of the points that were clicked or lassoed, without repeats."""
    points = (event or {}).get("selection", {}).get("points", [])
    ids = []
    for point in points:
        data = point.get("customdata")
        first = (
            next(iter(data.values()), None)
            if isinstance(data, dict)
            else data[0]
            if isinstance(data, list) and data
            else data
        )
        if first is not None:
            ids.append(str(first))
    return list(dict.fromkeys(ids))


def hover_text(text: str, *, width: int = 60, n_characters: int = 280) -> str:
    """A corpus text for a tooltip: shortened, escaped, wrapped with ``<br>``."""
    lines = textwrap.wrap(shorten(text, n_characters), width) or [""]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def name_of(text: str, n_characters: int = 48) -> str:
    """A trial's or corpus's name for a legend: shortened and escaped."""
    return html.escape(shorten(text, n_characters), quote=False)
