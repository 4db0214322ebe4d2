"""The index measurements as a sentence, two charts, a table, and the lesson of each index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import streamlit as st

from core.search.index_kinds import INDEXES
from pages.ui.form import describe_piece
from pages.ui.looks import BASELINE, base_figure, draw, name_of, titled, trial_look
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.audit.index_tradeoff import IndexFigures
    from pages.ui.indexes_data import Measured

EXACT = "flat"
COLUMNS = 3


def told(found: Measured) -> None:
    """What follows from the figures, in one sentence."""
    from core.audit.index_tradeoff import advice

    st.markdown(f":material/lightbulb: {plain(advice(found.stick, found.all()))}")


def charts_of(found: Measured) -> None:
    """Recall, and the likeness of the negatives, against the time of a query."""
    k, window = found.stick.k, found.stick.window
    left, right = st.columns(2, gap="medium")
    with left:
        _chart(found, "recall_k", f"recall@{k}", f"share of the exact first {k} documents found (recall@{k})")
    with right:
        title = f"The same negatives? Ranks {window.first}-{window.last}"
        _chart(found, "jaccard", title, "Jaccard of the mined negatives with Flat's")


def _chart(found: Measured, name: str, title: str, y_title: str) -> None:
    n = len(found.stick.query_rows)
    figure = base_figure(titled(title, n, "queries"), "milliseconds a query (logarithmic)", y_title, height=420)
    for i, index in enumerate(index for index in INDEXES if index.key in found.figures):
        rows = found.figures[index.key]
        colour, dash, symbol = trial_look(i)
        is_exact = index.key == EXACT
        figure.add_trace(
            go.Scatter(
                x=[one.query_ms for one in rows],
                y=[getattr(one, name) for one in rows],
                name=name_of(index.title),
                mode="markers" if len(rows) == 1 else "lines+markers",
                line={"color": colour, "dash": dash, "width": 2.2},
                marker={
                    "color": BASELINE if is_exact else colour,
                    "symbol": "star" if is_exact else symbol,
                    "size": [15 if is_exact else 13 if one.is_default else 8 for one in rows],
                },
                customdata=[[name_of(one.label, 90)] for one in rows],
                hovertemplate="%{customdata[0]}<br>%{x:.3f} ms: %{y:.3f}<extra></extra>",
            )
        )
    figure.add_vline(x=found.stick.flat_ms, line={"color": BASELINE, "width": 1.3, "dash": "dot"})
    figure.update_layout(xaxis={"type": "log"}, yaxis={"range": [0, 1.04]}, showlegend=True)
    draw(figure, key=f"indexes.{name}")


def table_of(found: Measured) -> None:
    """Every figure of every effort."""
    rows: list[IndexFigures] = found.all()
    k = found.stick.k
    columns = {
        "index": [one.title for one in rows],
        "effort": ["" if one.value is None else f"{one.effort.replace('_', ' ')} {one.value}" for one in rows],
        "": ["default" if one.is_default and one.key != EXACT else "" for one in rows],
        "recall@10": [one.recall_10 for one in rows],
        f"recall@{k} ": [one.recall_k for one in rows],
        "Jaccard": [one.jaccard for one in rows],
        "ms a query": [one.query_ms for one in rows],
        "build, s": [one.build_seconds for one in rows],
        "memory, MiB": [one.n_bytes / 2**20 for one in rows],
        "short": [one.n_short for one in rows],
    }
    helps = {
        "recall@10": "Share of the exact first 10 documents that it finds; mean over the queries.",
        f"recall@{k} ": f"The same for the first {k}.",
        "Jaccard": "Negatives kept with both / with either: of the mined ranks, without known positives and their copies.",
    }
    config = {name: st.column_config.NumberColumn(format="%.3f", help=text) for name, text in helps.items()}
    config["ms a query"] = st.column_config.NumberColumn(
        format="%.3f", help="All queries at once, the fastest of three rounds; scoring the found documents exactly is included."
    )
    config["build, s"] = st.column_config.NumberColumn(format="%.2f", help="On one thread, so that equal vectors give equal structures.")
    config["memory, MiB"] = st.column_config.NumberColumn(format="%.1f", help="What the structure itself holds.")
    config["short"] = st.column_config.NumberColumn(help="Queries that found fewer documents than asked for.")
    st.dataframe(columns, hide_index=True, width="stretch", height=35 * (len(rows) + 1) + 3, key="indexes.table", column_config=config)
    stick = found.stick
    st.caption(
        f"{len(stick.query_rows):,} training queries x {stick.corpus.n_documents:,} documents, {stick.vectors.similarity} similarity, "
        f"{stick.threads} thread{'s' if stick.threads > 1 else ''}, measured on this server. Large marks and 'default': the index's own "
        "setting. A lane chooses its index on the Recipe page, in a dense source."
    )


def lessons() -> None:
    """A card for each index; one that cannot be built here says why."""
    st.subheader("How they work", anchor=False)
    for first in range(0, len(INDEXES), COLUMNS):
        for cell, index in zip(st.columns(COLUMNS, gap="medium"), INDEXES[first : first + COLUMNS], strict=False):
            with cell:
                describe_piece(index, because=index.missing())
