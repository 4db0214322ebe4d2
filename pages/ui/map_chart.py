"""The picture of the Map page: points by role, the chosen query's lines, and the way through the snapshots."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from pages.ui.looks import ROLE, base_figure, hover_text
from pages.ui.map_data import tooltips

if TYPE_CHECKING:
    from pages.ui.map_data import View

# (role, is it the chosen query's) -> (size in pixels, opacity), from the bottom up.
LOOKS = {
    ("other", False): (4.5, 0.6),
    ("negative", False): (5.5, 0.3),
    ("suspect", False): (6.5, 0.35),
    ("positive", False): (6.5, 0.35),
    ("query", False): (9, 0.4),
    # Below its own documents, which are often at the same place, and larger than they are.
    ("query", True): (22, 1),
    ("negative", True): (10, 1),
    ("suspect", True): (12, 1),
    ("positive", True): (12, 1),
}
NAMES = {"positive": "positives", "negative": "negatives", "suspect": "suspects", "other": "background"}
FRAME_MS, MOVE_MS = 1000, 800
# Ids of documents and of queries may be the same; what a point carries tells them apart.
DOCUMENT, QUERY = "d:", "q:"


def map_figure(
    view: View, places: Mapping[int, np.ndarray], *, height: int, doc_row: int = -1, pointer: str = "click"
) -> go.Figure:
    """The map at the view's step; pressing its button shows all ``places`` one after the other.

    One trace a role, with ids in ``customdata`` (``d:`` or ``q:`` and the id). ``doc_row``: ringed. ``pointer``:
    "click" to pick one point and drag the plane, "lasso" to draw around several; Streamlit picks no point by a
    click while the pointer draws.
    """
    figure = base_figure(height=height)
    n = len(view.cast.doc_rows)
    ids, texts = tooltips(view)
    parts: list[np.ndarray] = []  # which points each trace draws, for the frames
    for doc_rows, role in ((view.own_negatives, "negative"), (view.own_positives, "positive")):
        at = view.cast.places_of(doc_rows)
        for name in ("negative", "suspect") if role == "negative" else ("positive",):
            ends = at[(at >= 0) & (view.role[at] == name)]
            line = np.stack([np.full(len(ends), _query_place(view)), ends, np.full(len(ends), -1)], axis=1).ravel()
            parts.append(line)
            figure.add_trace(_lines(places[view.step], line, name))
    for (role, is_own), (size, opacity) in LOOKS.items():
        if role == "query":
            rows = np.flatnonzero((view.cast.query_rows == view.query_row) == is_own) + n
            figure.add_trace(_queries(view, places[view.step], rows, is_own, size, opacity))
        else:
            rows = np.flatnonzero((view.role == role) & (view.is_own == is_own))
            figure.add_trace(_documents(view, places[view.step], rows, role, is_own, size, opacity, ids, texts))
        parts.append(rows)
    ring = view.cast.places_of(np.array([doc_row]))
    parts.append(ring[ring >= 0])
    figure.add_trace(_ring(places[view.step], parts[-1]))
    hidden = {"visible": False, "showgrid": False}
    (x_low, y_low), (x_high, y_high) = _box(places)
    figure.update_layout(
        xaxis={**hidden, "range": [x_low, x_high]},
        yaxis={**hidden, "range": [y_low, y_high]},
        dragmode="lasso" if pointer == "lasso" else "pan",
        clickmode="event+select",
        hovermode="closest",
        margin={"l": 0, "r": 0, "t": 8, "b": 4},
        legend={"itemsizing": "constant"},
    )
    if len(places) > 1:
        _add_frames(figure, view, places, parts)
    return figure


def _query_place(view: View) -> int:
    return len(view.cast.doc_rows) + int(np.flatnonzero(view.cast.query_rows == view.query_row)[0])


def _xy(places: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the points; NaN for row -1, which lifts the pen of a line. Arrays travel in binary."""
    taken = np.where(rows[:, None] >= 0, places[rows], np.nan).astype(np.float32)
    return taken[:, 0].copy(), taken[:, 1].copy()


def _lines(places: np.ndarray, rows: np.ndarray, role: str) -> go.Scatter:
    x, y = _xy(places, rows)
    line = {"color": ROLE[role].colour, "width": 1.2, "dash": "solid" if role == "positive" else "dot"}
    return go.Scatter(x=x, y=y, mode="lines", line=line, opacity=0.75, hoverinfo="skip", showlegend=False)


def _documents(
    view: View,
    places: np.ndarray,
    rows: np.ndarray,
    role: str,
    is_own: bool,
    size: float,
    opacity: float,
    ids: list[str],
    texts: list[str],
) -> go.Scatter:
    x, y = _xy(places, rows)
    whose = "" if role == "other" else " of this query" if is_own else " of others"
    look = ROLE[role]
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=f"{NAMES[role]}{whose} ({len(rows):,})",
        showlegend=bool(len(rows)),
        marker={
            "color": look.colour,
            "symbol": look.symbol,
            "size": size,
            "opacity": opacity,
            "line": {"width": 1 if is_own else 0.5},
        },
        customdata=_carried(DOCUMENT, [ids[i] for i in rows]),
        hovertext=[_document_text(view, int(view.cast.doc_rows[i]), role, is_own, ids[i]) + texts[i] for i in rows],
        hovertemplate="%{hovertext}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": 0.6 if is_own else min(opacity, 0.25)}},
    )


def _carried(kind: str, ids: list[str]) -> np.ndarray:
    """What points carry, as an array: plotly copies lists item by item, which takes longer than all the rest."""
    return np.array([kind + i for i in ids], object).reshape(-1, 1)


def _document_text(view: View, doc_row: int, role: str, is_own: bool, doc_id: str) -> str:
    name = {"other": "background"}.get(role, role) + ("" if is_own or role == "other" else " of another query")
    score = float(view.scores[doc_row])
    margin = view.lowest_positive - score
    head = f"<b>{name}</b> · {html.escape(doc_id, quote=False)}<br>score {score:.3f}, rank {view.ranks[doc_row]:,}"
    if not np.isnan(margin) and role != "positive":
        head += f", {abs(margin):.3f} {'below' if margin > 0 else 'above'} the positive"
    reasons = view.kept.get(doc_row) if is_own else None
    return head + (f"<br><i>{'; '.join(reasons)}</i>" if reasons else "") + "<br>"


def _queries(
    view: View, places: np.ndarray, rows: np.ndarray, is_chosen: bool, size: float, opacity: float
) -> go.Scatter:
    x, y = _xy(places, rows)
    query_rows = view.cast.query_rows[rows - len(view.cast.doc_rows)]
    ids, texts = view.corpus.query_ids(query_rows), view.corpus.query_texts(query_rows)
    look = ROLE["query"]
    title = "this query" if is_chosen else "query"
    return go.Scatter(
        x=x,
        y=y,
        mode="markers",
        name=title if is_chosen else f"other queries ({len(rows):,})",
        showlegend=bool(len(rows)),
        marker={
            "color": look.colour,
            "symbol": look.symbol,
            "size": size,
            "opacity": opacity,
            "line": {"width": 1.2 if is_chosen else 0.5, "color": "white"},
        },
        customdata=_carried(QUERY, ids),
        hovertext=[
            f"<b>{title}</b> · {html.escape(i, quote=False)}<br>{hover_text(t)}"
            for i, t in zip(ids, texts, strict=True)
        ],
        hovertemplate="%{hovertext}<extra></extra>",
        selected={"marker": {"opacity": 1}},
        unselected={"marker": {"opacity": min(opacity, 1 if is_chosen else 0.25)}},
    )


def _ring(places: np.ndarray, rows: np.ndarray) -> go.Scatter:
    x, y = _xy(places, rows)
    marker = {"symbol": "circle-open", "size": 22, "color": "#E69F00", "line": {"width": 2.5}}
    return go.Scatter(x=x, y=y, mode="markers", marker=marker, hoverinfo="skip", showlegend=False)


def _box(places: Mapping[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Corners that hold the points of all snapshots, so that the frame stands still while they move."""
    everything = np.concatenate(list(places.values()))
    low, high = everything.min(axis=0), everything.max(axis=0)
    edge = 0.03 * np.maximum(high - low, 1e-6)
    return low - edge, high + edge


def _add_frames(figure: go.Figure, view: View, places: Mapping[int, np.ndarray], parts: list[np.ndarray]) -> None:
    """Every snapshot's places, and the button that shows them in order and comes back to the chosen one."""
    frames = []
    for step in [*places, view.step]:
        data = [go.Scatter(x=x, y=y) for x, y in (_xy(places[step], rows) for rows in parts)]
        title = "" if len(frames) == len(places) else view.trial.labels[step]
        caption = {"text": title, "x": 0.99, "xref": "container", "xanchor": "right", "y": 0.97, "yref": "container"}
        frames.append(
            go.Frame(data=data, traces=list(range(len(parts))), layout={"title": caption}, name=str(len(frames)))
        )
    figure.frames = frames
    timing = {
        "frame": {"duration": FRAME_MS, "redraw": False},
        "transition": {"duration": MOVE_MS, "easing": "cubic-in-out"},
    }
    figure.update_layout(
        updatemenus=[
            {
                "type": "buttons",
                "showactive": False,
                "x": 0,
                "y": 1,
                "xanchor": "left",
                "yanchor": "top",
                "pad": {"l": 4, "t": 4},
                # Readable on both backgrounds and on plotly's own light one under the pointer.
                "font": {"color": "#75828f"},
                "bgcolor": "rgba(128,140,155,.08)",
                "bordercolor": "rgba(128,140,155,.5)",
                "buttons": [
                    {
                        "label": "▶ Play the training",
                        "method": "animate",
                        "args": [None, {**timing, "mode": "immediate"}],
                    }
                ],
            }
        ]
    )
