"""The truth bench of the page: how well each reason and each combination finds the false negatives that truth knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
import streamlit as st

from core.audit.advice import advice, verdict
from core.audit.truth_bench import PRECISION, RECALL, TruthBench
from core.errors import CorpusError
from pages.ui.looks import BASELINE, base_figure, draw, name_of, titled, trial_look
from pages.ui.negatives_charts import false_negative_figure
from pages.ui.suspects_samplers import dose_response, samplers
from pages.ui.text import plain

if TYPE_CHECKING:
    from pages.ui.links import Link
    from pages.ui.suspects_data import Doubted

MOST_CURVES = 8


def bench(link: Link, doubted: Doubted) -> None:
    """The sentence, the table of reasons and combinations, the curves, the bands, and the dose-response where trials show it."""
    try:
        with st.spinner("Measuring every reason and combination against truth, half of the queries against the other ..."):
            found = _bench(doubted.key, doubted)
    except CorpusError as error:  # truth knows too few of these pairs: no fault of the corpus
        st.info(plain(str(error)), icon=":material/diamond:")
        samplers(doubted)
        return
    st.markdown(f":material/lightbulb: {plain(advice(found))}")
    st.caption(plain(verdict(found)))
    _table(found)
    left, right = st.columns([1.25, 1], gap="medium")
    with left:
        _curves(link, found)
    with right:
        _bands(doubted)
    samplers(doubted)
    dose_response(doubted)


@st.cache_resource(max_entries=6, show_spinner=False)
def _bench(key: tuple[str, ...], _doubted: Doubted) -> TruthBench:
    from core.audit.truth_bench import truth_bench

    return truth_bench(_doubted.corpus, _doubted.table())


def _table(found: TruthBench) -> None:
    measured = [*found.combinations, *found.reasons]
    measured = sorted(measured, key=lambda m: (m.key not in {c.key for c in found.combinations}, -m.f1))
    columns: dict[str, Any] = {
        "": ["★ best" if m.key == found.best.key else "" for m in measured],
        "what": [m.title for m in measured],
        "AUC": [m.auc for m in measured],
        "AP": [m.average_precision for m in measured],
        "from": [m.threshold for m in measured],
        "precision": [m.precision for m in measured],
        "recall": [m.recall for m in measured],
        "R at P .8": [m.strict_recall for m in measured],
        "made of": [m.about for m in measured],
    }
    number = st.column_config.NumberColumn
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        height=35 * (len(measured) + 1) + 3,
        key="bench.table",
        placeholder="",
        column_config={
            "": st.column_config.TextColumn(width=58, help="The combination with the best F1 on the halves that it was tuned on."),
            "what": st.column_config.TextColumn(width=245, help="Combinations first, then single reasons; best F1 first."),
            "AUC": number(format="%.3f", width=60, help="How often it puts a false negative above a true one; .5 = chance."),
            "AP": number(format="%.3f", width=60, help="Average precision: the area below its precision-recall curve."),
            "from": number(format="%.3g", width=60, help="The threshold with the best F1 on the tuning half, mean over the splits."),
            "precision": number(format="%.2f", width=70, help="At that threshold, on queries that it was not tuned on."),
            "recall": number(format="%.2f", width=58, help="At that threshold, on queries that it was not tuned on."),
            "R at P .8": number(format="%.2f", width=80, help="Recall where four in five accusations are to be right."),
        },
    )
    st.caption(
        f"{found.n_false:,} false negatives among {found.n_pairs:,} pairs of {found.n_queries:,} queries; thresholds are chosen on one "
        f"half of the queries and measured on the other, {found.n_splits} times. {plain(found.counted)}"
    )


def _curves(link: Link, found: TruthBench) -> None:
    """Precision over recall of the best combination and of the chosen reasons."""
    everything = {m.key: m for m in (*found.combinations, *found.reasons)}
    first = [found.best.key, *(m.key for m in sorted(found.reasons, key=lambda m: -m.f1)[:4])]
    keys = link.bind(
        st.multiselect,
        "curves",
        "Curves",
        options=list(everything),
        default=first,
        format_func=lambda key: everything[key].title,
        max_selections=MOST_CURVES,
    )
    figure = base_figure(titled("Precision and recall", found.n_pairs, "pairs"), "recall", "precision", height=400)
    for i, key in enumerate(keys):
        colour, dash, _ = trial_look(i)
        m = everything[key]
        figure.add_trace(
            go.Scatter(
                x=m.curve.recall,
                y=m.curve.precision,
                name=name_of(m.title),
                mode="lines",
                line={"color": colour, "width": 3 if key == found.best.key else 2, "dash": dash},
                hovertemplate="recall %{x:.2f}, precision %{y:.2f}",
            )
        )
    share = found.n_false / max(1, found.n_pairs)
    figure.add_hline(y=share, line={"color": BASELINE, "width": 1.2, "dash": "dot"}, annotation={"text": "chance", "font": {"size": 11}})
    corner = {"xref": "x", "yref": "y", "x0": RECALL, "y0": PRECISION, "x1": 1, "y1": 1}
    figure.add_shape(type="rect", **corner, line={"width": 0}, fillcolor="rgba(0,158,115,.13)", layer="below")
    figure.update_layout(xaxis={"range": [0, 1.01]}, yaxis={"range": [0, 1.03]})
    draw(figure, key="bench.curves")
    st.caption(f"Green corner: precision of {PRECISION:g} and recall of {RECALL:g} at least. First split, on the half not tuned on.")


def _bands(doubted: Doubted) -> None:
    """The share of false negatives by rank."""
    if doubted.evidence.table is None:
        st.caption("Bands of rank are shown for the negatives of a trial.")
        return
    from core.audit.trial_figures import false_negatives_by_rank, pairs_of

    table = doubted.evidence.table
    pairs = pairs_of(table)
    draw(false_negative_figure(false_negatives_by_rank(table, pairs.take(pairs.n_kept > 0))), key="bench.bands")
