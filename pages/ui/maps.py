"""Maps: points on a plane in the colours and shapes of their roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go

from pages.ui.looks import ROLE, base_figure, hover_text, name_of, titled

# Above this many points the canvas of WebGL is faster than SVG; below it SVG is sharper.
GL_POINTS = 3000


@dataclass(frozen=True)
class Dots:
    """Points of one role on a map. ``ids`` go into ``customdata``; ``texts`` are the tooltips (unescaped)."""

    role: str
    x: np.ndarray
    y: np.ndarray
    ids: Sequence[str] = ()
    texts: Sequence[str] = ()
    name: str = ""
    size: float = 0.0
    opacity: float = field(default=1.0)


def scatter_map(
    layers: Sequence[Dots], *, title: str = "", highlights: Sequence[Dots] = (), height: int = 620
) -> go.Figure:
    """A map: one trace a role, others below, queries on top; highlights are traces of their own.

    The axes have no unit (only nearness means something), so they are hidden, and equally scaled.
    """
    n = sum(len(dots.x) for dots in layers)
    figure = base_figure(titled(title, n, "points"), height=height)
    kind = go.Scattergl if n > GL_POINTS else go.Scatter
    order = {"other": 0, "negative": 1, "suspect": 2, "positive": 3, "query": 4}
    for dots in sorted(layers, key=lambda d: order.get(d.role, 0)):
        figure.add_trace(_trace(kind, dots))
    for dots in highlights:
        ring = _trace(go.Scatter, dots)
        ring.marker.update(size=(dots.size or 9) + 9, symbol="circle-open", line={"width": 2.4})
        figure.add_trace(ring)
    hidden = {"visible": False, "showgrid": False}
    figure.update_layout(xaxis=hidden, yaxis={**hidden, "scaleanchor": "x"}, dragmode="pan", clickmode="event+select")
    return figure


def _trace(kind: type, dots: Dots) -> go.Scatter | go.Scattergl:
    role = ROLE[dots.role]
    sizes = {"query": 13.0, "positive": 9.0, "negative": 8.0, "suspect": 9.0, "other": 5.0}
    return kind(
        x=dots.x,
        y=dots.y,
        mode="markers",
        name=f"{name_of(dots.name or role.title)} ({len(dots.x):,})",
        marker={
            "color": role.colour,
            "symbol": role.symbol,
            "size": dots.size or sizes[dots.role],
            "opacity": dots.opacity if dots.role != "other" else min(dots.opacity, 0.55),
            "line": {"width": 0.6},
        },
        customdata=[[i] for i in dots.ids] or None,
        hovertext=[hover_text(t) for t in dots.texts] or None,
        hovertemplate="%{hovertext}<extra></extra>" if dots.texts else None,
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0.35}},
    )
