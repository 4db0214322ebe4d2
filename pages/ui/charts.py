"""The charts of the laboratory: each function takes plain arrays and returns a plotly figure.

Draw them with ``draw(figure, key=...)`` from ``pages.ui.looks``. Names and texts may come from people or a
corpus: they are escaped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from pages.ui.looks import (
    BASELINE,
    LOSS,
    ROLE,
    TIE,
    WIN,
    base_figure,
    hover_text,
    name_of,
    titled,
    trial_look,
)
from pages.ui.maps import Dots, scatter_map

__all__ = ["Dots", "bars_with_bands", "curves", "differences", "funnel", "histogram", "scatter_map"]


def curves(
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    x_title: str,
    y_title: str,
    baselines: Mapping[str, float] | None = None,
    *,
    title: str = "",
    height: int = 380,
    looks: Sequence[int] | None = None,
) -> go.Figure:
    """One line a trial over x, each with its own colour, dash and marker; baselines as named grey lines.

    ``looks``: the place of each series in the list of trials, so that a trial keeps its look when others
    are hidden (default: 0, 1, 2 ...).
    """
    figure = base_figure(titled(title), x_title, y_title, height=height)
    for i, (name, x, y) in enumerate(series):
        colour, dash, symbol = trial_look(looks[i] if looks else i)
        figure.add_trace(
            go.Scatter(
                x=list(x),
                y=list(y),
                name=name_of(name),
                mode="lines+markers" if len(x) <= 60 else "lines",
                line={"color": colour, "width": 2.4, "dash": dash},
                marker={"symbol": symbol, "size": 8, "color": colour},
                hovertemplate="%{y:.4g}",
            )
        )
    for i, (name, value) in enumerate(sorted((baselines or {}).items(), key=lambda item: item[1])):
        figure.add_hline(
            y=value,
            line={"color": BASELINE, "width": 1.4, "dash": "dot" if i % 2 else "dash"},
            annotation={"text": f"{name_of(name)} {value:.3g}", "font": {"size": 11, "color": BASELINE}},
            # The lowest line's label hangs below it, the others stand above theirs: close lines keep readable labels.
            annotation_position="bottom right" if i == 0 and len(baselines or {}) > 1 else "top right",
        )
    figure.update_layout(hovermode="x unified")
    return figure


def histogram(
    groups: Mapping[str, Sequence[float]],
    x_title: str,
    *,
    title: str = "",
    of: str = "pairs",
    bins: int = 40,
    height: int = 320,
    lines: Mapping[str, float] | None = None,
) -> go.Figure:
    """Shares of each group over common bins; a key that is a role takes the role's colour.

    Not-a-numbers and infinities are left out. ``lines``: named vertical lines (a threshold).
    """
    clean = {name: _finite(values) for name, values in groups.items()}
    everything = np.concatenate([np.empty(0), *clean.values()])
    figure = base_figure(titled(title, len(everything), of), x_title, f"share of {of}", height=height)
    edges = np.histogram_bin_edges(everything, bins=bins) if len(everything) else np.array([0.0, 1.0])
    for i, (name, values) in enumerate(clean.items()):
        counts, _ = np.histogram(values, edges)
        share = counts / max(1, counts.sum())
        colour = ROLE[name].colour if name in ROLE else trial_look(i)[0]
        figure.add_trace(
            go.Bar(
                x=(edges[:-1] + edges[1:]) / 2,
                y=share,
                width=np.diff(edges),
                name=f"{name_of(name)} (n = {len(values):,})",
                marker={"color": colour, "opacity": 0.62, "line": {"width": 0}},
                customdata=counts,
                hovertemplate="%{x:.3g}: %{y:.1%} (%{customdata:,})",
            )
        )
    for name, value in (lines or {}).items():
        figure.add_vline(
            x=value,
            line={"color": BASELINE, "dash": "dash", "width": 1.5},
            annotation={"text": name_of(name), "font": {"size": 11, "color": BASELINE}},
        )
    figure.update_layout(barmode="overlay", bargap=0, yaxis_tickformat=".0%")
    return figure


def funnel(
    steps: Sequence[tuple[str, int]], *, title: str = "", of: str = "candidates", height: int | None = None
) -> go.Figure:
    """What was left after each step, top to bottom: how many, and which share of the first step."""
    first = max(1, steps[0][1]) if steps else 1
    figure = base_figure(
        titled(title, steps[0][1] if steps else 0, of), f"number of {of}", "", height=height or 110 + 38 * len(steps)
    )
    counts = [count for _, count in steps]
    figure.add_trace(
        go.Bar(
            x=counts,
            y=[name_of(name) for name, _ in steps],
            orientation="h",
            cliponaxis=False,
            textposition="outside",
            text=[f"{count:,} ({count / first:.0%})" for count in counts],
            marker={"color": ROLE["negative"].colour, "opacity": list(np.linspace(0.4, 0.95, max(1, len(steps))))},
            hovertemplate="%{y}: %{x:,}<extra></extra>",
        )
    )
    figure.update_layout(
        yaxis={"autorange": "reversed", "showgrid": False}, xaxis={"range": [0, first * 1.7], "rangemode": "tozero"}
    )
    return figure


def bars_with_bands(
    names: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    x_title: str,
    *,
    title: str = "",
    n: int | None = None,
    of: str = "queries",
    looks: Sequence[int] | None = None,
) -> go.Figure:
    """One dot a trial with its 95 % band, first on top; the axis need not start at zero, so no bars are drawn."""
    figure = base_figure(titled(title, n, of), x_title, "", height=120 + 40 * len(names))
    for i, name in enumerate(names):
        colour, _, symbol = trial_look(looks[i] if looks else i)
        figure.add_trace(
            go.Scatter(
                x=[values[i]],
                y=[name_of(name)],
                mode="markers+text",
                showlegend=False,
                text=[f"{values[i]:.4f}"],
                textposition="top center",
                cliponaxis=False,
                textfont={"size": 11},
                marker={"color": colour, "symbol": symbol, "size": 12},
                error_x={
                    "type": "data",
                    "symmetric": False,
                    "array": [highs[i] - values[i]],
                    "arrayminus": [values[i] - lows[i]],
                    "color": colour,
                    "thickness": 2.4,
                    "width": 7,
                },
                hovertemplate=f"{values[i]:.4f} [{lows[i]:.4f}, {highs[i]:.4f}]<extra></extra>",
            )
        )
    figure.update_layout(yaxis={"autorange": "reversed", "showgrid": False})
    return figure


def differences(
    values: Sequence[float],
    y_title: str,
    *,
    ids: Sequence[str] = (),
    texts: Sequence[str] = (),
    title: str = "",
    better: str = "B",
    worse: str = "A",
    height: int = 340,
) -> go.Figure:
    """Per query, b - a, sorted: wins of ``better`` up, of ``worse`` down, ties counted in the legend."""
    array = np.asarray(values, dtype=float)
    order = np.argsort(-array, kind="stable")
    figure = base_figure(titled(title, len(array), "queries"), "queries, sorted by difference", y_title, height=height)
    shown = [hover_text(texts[i]) if i < len(texts) else "" for i in order]
    carried = [ids[i] if i < len(ids) else str(i) for i in order]
    kinds = (
        (f"{name_of(better)} wins", WIN, array[order] > 0),
        ("ties", TIE, array[order] == 0),
        (f"{name_of(worse)} wins", LOSS, array[order] < 0),
    )
    for name, colour, is_kind in kinds:
        places = np.flatnonzero(is_kind)
        figure.add_trace(
            go.Bar(
                x=places,
                y=array[order][places],
                name=f"{name} ({len(places):,})",
                marker={"color": colour, "line": {"width": 0}},
                customdata=[[carried[i]] for i in places],
                hovertext=[shown[i] for i in places],
                hovertemplate="%{y:+.3f}<br>%{hovertext}<extra></extra>",
            )
        )
    figure.update_layout(bargap=0, barmode="overlay", clickmode="event+select")
    figure.add_hline(y=0, line={"color": BASELINE, "width": 1})
    return figure


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, dtype=float).reshape(-1)
    return array[np.isfinite(array)]
