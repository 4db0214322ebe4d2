"""The cascade on the Compare page: a trial as retriever, the corpus's cross-encoder as reranker, and both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import streamlit as st

from pages.ui.evidence import train_cross
from pages.ui.looks import base_figure, draw, titled, trial_look
from pages.ui.problems import problems_shown
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from core.audit.cascade import Cascade, Stage
    from core.lab.tables import TrialRow
    from pages.ui.compare_data import Chosen
    from pages.ui.links import Link

MOST_KEPT = 16
K, DEPTH, ALONE = 10, 100, 20


@st.cache_resource(show_spinner=False)
def _kept() -> dict[tuple, Cascade]:
    return {}


def cascade_view(link: Link, chosen: Chosen) -> None:
    """Which trial retrieves, the way to measure, and what was measured on this server."""
    st.subheader("As a cascade", anchor=False)
    names = {row.folder.name: row.name for row in chosen.rows}
    which = link.bind(
        st.selectbox,
        "cascade",
        "Retriever",
        options=list(names),
        format_func=lambda i: shorten(names[i], 60),
        help="The trial whose model finds the candidates; the corpus's cross-encoder puts them in order.",
        width=420,
    )
    row = next(row for row in chosen.rows if row.folder.name == which)
    key = (chosen.corpus.fingerprint, str(row.folder), row.ended, chosen.against_truth)
    found = _kept().get(key)
    if found is None:
        _offer(key, chosen, row)
        return
    st.markdown(f":material/lightbulb: {plain(found.sentence)}")
    _table(found.stages, found, "cascade.stages")
    if found.sampled and found.sampled[-1].n_queries < found.stages[0].n_queries:
        st.caption(f"On the same {found.sampled[-1].n_queries} queries that the reranker alone was asked:")
        _table(found.sampled, found, "cascade.sampled")
    _depths(found)
    st.caption(
        f"Held-out queries, judged by the {found.against}; {plain(found.cross)} A query's time holds its own encoding, not that of the "
        "documents, and is measured on this server."
    )


def _offer(key: tuple, chosen: Chosen, row: TrialRow) -> None:
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        is_pressed = st.button("Measure the cascade", key="cascade.measure", icon=":material/filter_alt:")
        st.caption(
            f"The retriever's first {DEPTH} documents of every held-out query are put in order by the cross-encoder; the cross-encoder "
            f"alone scores all documents for {ALONE} queries. Some seconds; training the cross-encoder comes first, where it is new.",
            width="stretch",
        )
    if not is_pressed:
        return
    with st.status("Training the cross-encoder on the labels, or opening the one made before ...") as status, problems_shown():
        from core.audit.cascade import measure_cascade
        from core.encode.model import load_model
        from core.train.config import read_config

        cross = train_cross(chosen.corpus)
        similarity = read_config(row.folder).recipe_value.signal.similarity
        kept = _kept()
        kept[key] = measure_cascade(
            chosen.corpus, load_model(row.folder / "model"), similarity, cross, k=K, depth=DEPTH, alone_queries=ALONE,
            against_truth=chosen.against_truth, tell=lambda line: status.update(label=plain(line)),
        )  # fmt: skip
        while len(kept) > MOST_KEPT:
            kept.pop(next(iter(kept)))
        st.rerun()


def _table(stages: tuple[Stage, ...], found: Cascade, key: str) -> None:
    k = found.k
    columns: dict[str, Any] = {
        "stage": [s.title for s in stages],
        "n": [s.n_queries for s in stages],
        "looks at": [s.depth for s in stages],
        f"recall@{found.depth}": [s.recall_depth for s in stages],
        f"recall@{k}": [s.recall_k for s in stages],
        f"precision@{k}": [s.precision_k for s in stages],
        "RR@10": [s.rr_10 for s in stages],
        "nDCG@10": [s.ndcg_10 for s in stages],
        "ms a query": [s.query_ms for s in stages],
    }
    shapes = {name: st.column_config.NumberColumn(format="%.3f") for name in list(columns)[3:8]}
    shapes["n"] = st.column_config.NumberColumn(help="Held-out queries with a positive.")
    shapes["looks at"] = st.column_config.NumberColumn(help="Documents that the last stage has before it.")
    shapes["ms a query"] = st.column_config.NumberColumn(format="%.2f")
    st.dataframe(columns, hide_index=True, width="stretch", key=key, column_config=shapes, height=35 * (len(stages) + 1) + 3)


def _depths(found: Cascade) -> None:
    """How deep the second stage should look: what reaches it, and what it makes of that."""
    stages = found.by_depth
    figure = base_figure(
        titled("How many candidates?", stages[0].n_queries, "queries"), "candidates that are re-ranked (logarithmic)", "measure", height=360
    )
    lines = {"recall of the candidates": "recall_depth", "nDCG@10 after re-ranking": "ndcg_10", f"precision@{found.k} after": "precision_k"}
    for i, (name, value) in enumerate(lines.items()):
        colour, dash, symbol = trial_look(i)
        figure.add_trace(
            go.Scatter(
                x=[s.depth for s in stages],
                y=[getattr(s, value) for s in stages],
                name=name,
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2.2},
                marker={"color": colour, "symbol": symbol, "size": 9},
                customdata=[[s.query_ms] for s in stages],
                hovertemplate="%{x} candidates: %{y:.3f}, %{customdata[0]:.1f} ms a query<extra></extra>",
            )
        )
    figure.update_layout(xaxis={"type": "log"}, yaxis={"range": [0, 1.04]}, showlegend=True)
    draw(figure, key="cascade.depths")
