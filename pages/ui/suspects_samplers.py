"""Where truth is known: how many false negatives each sampler takes by rank, and what planted ones do to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import plotly.graph_objects as go
import streamlit as st

from core.corpus.planted import PREFIX, read_spec
from pages.ui.looks import base_figure, draw, name_of, titled, trial_look
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.audit.dose import DoseResponse
    from core.audit.sampler_rates import SamplerRate
    from pages.ui.suspects_data import Doubted

KINDS = {"source": "source, nothing refused", "preset": "recipe's picks", "trial": "this trial"}


def samplers(doubted: Doubted) -> None:
    """A line for each source, recipe and this trial: its rate of false negatives by band of ranks; asked for by a button."""
    st.subheader("How many false negatives each sampler takes", anchor=False)
    link = doubted.session.link
    if not link.value("samplers", False):
        st.caption("Mines every training query by each source and each recipe with this model: some seconds for each thousand queries.")
        st.button("Measure every sampler", icon=":material/speed:", key="suspects.samplers", on_click=lambda: link.set(samplers=True))
        return
    with st.spinner("Mining with every source and recipe ..."):
        found = _rates(doubted.key, doubted)
    bands = next((rate.bands for rate in found if rate.bands), ())
    columns = {
        "sampler": [rate.name for rate in found],
        "kind": [KINDS.get(rate.kind, rate.kind) for rate in found],
        "all ranks": [100 * rate.overall.rate for rate in found],
        "95 % band": [f"{100 * rate.overall.low:.1f} to {100 * rate.overall.high:.1f}" for rate in found],
        "n": [rate.overall.n for rate in found],
    }
    for i, band in enumerate(bands):
        columns[f"ranks {band.label}"] = [100 * rate.bands[i].rate if len(rate.bands) > i and rate.bands[i].n else None for rate in found]
    percent = st.column_config.NumberColumn(format="%.1f %%", help="Share of these negatives that truth calls relevant.")
    st.dataframe(
        columns,
        hide_index=True,
        width="stretch",
        height=35 * (len(found) + 1) + 3,
        key="suspects.rates",
        placeholder="",
        column_config={
            "n": st.column_config.NumberColumn(format="localized", help="Pairs of query and negative that were counted."),
            "all ranks": percent,
            "95 % band": st.column_config.TextColumn(help="Wilson interval of the share, in percent."),
        }
        | {name: percent for name in columns if name.startswith("ranks ")},
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _rates(key: tuple[str, ...], _doubted: Doubted) -> list[SamplerRate]:
    from core.audit.sampler_rates import sampler_rates

    return sampler_rates(_doubted.evidence)


def dose_response(doubted: Doubted) -> None:
    """Quality against the share of hidden labels, where finished trials of this corpus at several shares exist."""
    session = doubted.session
    base = _base(session.spec_of(session.link.corpus or ""))
    rows = [row for row in session.store.list(states=("finished",)) if _base(row.corpus) == base]
    shares: dict[str, set[float]] = {}
    for row in rows:
        shares.setdefault(row.recipe_title, set()).add(_share(row.corpus))
    rows = [row for row in rows if len(shares[row.recipe_title]) > 1]
    if not rows:
        return
    st.subheader("What planted false negatives do to a model", anchor=False)
    key = tuple((str(row.folder), row.ended) for row in rows)
    found = _doses(key)
    figure = base_figure(titled("Quality against dose"), "share of training labels that were hidden", plain_measure(found), height=360)
    for i, recipe in enumerate(dict.fromkeys(dose.recipe for dose in found.doses)):
        colour, dash, symbol = trial_look(i)
        own = [dose for dose in found.doses if dose.recipe == recipe]
        bands = [dose.quality for dose in own]
        figure.add_trace(
            go.Scatter(
                x=[dose.asked for dose in own],
                y=[band.mean for band in bands],
                name=name_of(recipe),
                mode="lines+markers",
                line={"color": colour, "dash": dash, "width": 2.2},
                marker={"symbol": symbol, "size": 9, "color": colour},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [band.high - band.mean for band in bands],
                    "arrayminus": [band.mean - band.low for band in bands],
                    "color": colour,
                },
                customdata=[[dose.hidden, dose.n_seeds, dose.false_negative_rate] for dose in own],
                hovertemplate="%{y:.3f}; %{customdata[0]} labels hidden, %{customdata[1]} seeds, "
                "%{customdata[2]:.1%} of what was mined is a false negative",
            )
        )
    figure.update_layout(xaxis={"tickformat": ".0%"})
    draw(figure, key="suspects.dose")
    st.caption(plain(found.sentence))


def plain_measure(found: DoseResponse) -> str:
    """The measure and what it is judged by: "RR@10 against truth"."""
    against, measure = found.measure.split(".", 1)
    return f"{measure} against {'truth' if against == 'truth' else 'the labels'}"


@st.cache_resource(max_entries=4, show_spinner=False)
def _doses(key: tuple) -> DoseResponse:
    from core.audit.dose import gather
    from core.train.results import TrialResults

    return gather([TrialResults(folder) for folder, _ in key])


def _base(spec: str) -> str:
    return read_spec(spec)[-1] if spec.startswith(PREFIX) else spec


def _share(spec: str) -> float:
    return float(read_spec(spec)[0]) if spec.startswith(PREFIX) else 0.0
