"""The figures of a comparison as tables and charts: measures, bands, curves, tests, cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.audit.compare import LEVEL, TRIAL, sentence
from core.evaluate.metrics import MEASURES
from pages.ui import charts
from pages.ui.compare_data import Chosen, work_seconds
from pages.ui.looks import BASELINE, TRIALS, base_figure, draw, name_of, titled, trial_look
from pages.ui.text import plain
from pages.ui.train_seen import seen

if TYPE_CHECKING:
    from core.audit.compare import System
    from pages.ui.links import Link

BEST = "background-color: rgba(0,158,115,.22)"
GREY_LOOK = len(TRIALS) - 1
SECONDS = ("train", "mine", "evaluate")


def looks_of(systems: tuple[System, ...]) -> list[int]:
    """The look of each: trials by their place, baselines grey."""
    return [i % GREY_LOOK if s.kind == TRIAL else GREY_LOOK for i, s in enumerate(systems)]


def measures_table(chosen: Chosen, measure: str) -> None:
    """Every measure of every system, the best of each marked; the band of the chosen measure; seconds."""
    systems = chosen.comparison.systems
    bands = chosen.bands(measure)
    columns: dict[str, Any] = {"": [s.name for s in systems]}
    columns |= {m: [s.mean(m) for s in systems] for m in MEASURES}
    columns[f"95 % band of {measure}"] = [f"{band.low:.3f} to {band.high:.3f}" for band in bands]
    if any(s.spread for s in systems):
        columns["range over seeds"] = ["{:.3f} to {:.3f}".format(*s.spread[measure]) if s.spread else "" for s in systems]
    columns |= {f"{part}, s": [s.seconds.get(part) for s in systems] for part in SECONDS}
    frame = pd.DataFrame(columns)
    styled = frame.style.format(precision=4, subset=list(MEASURES))
    for m in MEASURES:
        best = frame[m].max()
        styled = styled.map(lambda value, best=best: BEST if value == best else "", subset=[m])
    n = bands[0].n_queries if bands else 0
    judged = "the fuller judgements" if chosen.against_truth else "the labels"
    helps = {
        "train, s": "Seconds in the training steps.",
        "mine, s": "Seconds of searching and filtering.",
        "evaluate, s": "Seconds of measuring.",
    }
    st.dataframe(
        styled,
        hide_index=True,
        width="stretch",
        height=35 * (len(systems) + 1) + 3,
        key="measures",
        placeholder="",
        column_config={
            "": st.column_config.TextColumn(width="medium"),
            f"95 % band of {measure}": st.column_config.TextColumn(
                help="Where the mean would lie for other queries of this kind: bootstrap over the queries, 10,000 times."
            ),
            "range over seeds": st.column_config.TextColumn(help=f"Lowest and highest {measure} of the single seeds."),
        }
        | {name: st.column_config.NumberColumn(format="%.1f", width=75, help=text) for name, text in helps.items()},
    )
    st.caption(
        f"Means over n = {n:,} held-out queries, judged by {judged}. Green: the best of the column. "
        "Baselines: the encoder before training, and BM25."
    )


def band_chart(chosen: Chosen, measure: str) -> None:
    """One mark a system with its 95 % band."""
    systems, bands = chosen.comparison.systems, chosen.bands(measure)
    figure = charts.bars_with_bands(
        [s.name for s in systems],
        [b.mean for b in bands],
        [b.low for b in bands],
        [b.high for b in bands],
        f"{measure} (mean, 95 % band)",
        title=measure,
        n=bands[0].n_queries,
        looks=looks_of(systems),
    )
    draw(figure, key="bands")


def cost_chart(chosen: Chosen, measure: str) -> None:
    """Quality against cost: seconds of training and mining, and the measure with its band; baselines as lines."""
    systems, bands = chosen.comparison.systems, chosen.bands(measure)
    figure = base_figure(
        titled("Quality against cost", bands[0].n_queries, "queries"),
        "seconds of training and mining",
        measure,
        height=120 + 40 * len(systems),
    )
    baselines = [band.mean for system, band in zip(systems, bands, strict=True) if system.kind != TRIAL]
    for i, (system, band) in enumerate(zip(systems, bands, strict=True)):
        if system.kind != TRIAL:
            figure.add_hline(
                y=band.mean,
                line={"color": BASELINE, "width": 1.3, "dash": "dash"},
                annotation={"text": name_of(system.name), "font": {"size": 11, "color": BASELINE}},
                annotation_position="top left" if band.mean == max(baselines) else "bottom left",
            )
            continue
        colour, _, symbol = trial_look(looks_of(systems)[i])
        figure.add_trace(
            go.Scatter(
                x=[work_seconds(system)],
                y=[band.mean],
                name=name_of(system.name),
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 13},
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [band.high - band.mean],
                    "arrayminus": [band.mean - band.low],
                    "color": colour,
                    "thickness": 2,
                    "width": 6,
                },
                hovertemplate=f"{name_of(system.name)}<br>%{{x:.1f}} s: %{{y:.4f}} [{band.low:.4f}, {band.high:.4f}]<extra></extra>",
            )
        )
    figure.update_layout(xaxis={"rangemode": "tozero"}, showlegend=True)
    draw(figure, key="cost")


def curve_chart(link: Link, chosen: Chosen, measure: str) -> None:
    """The measure while training, over steps or seconds; seeds of one recipe share their look when taken together."""
    over = link.bind(
        st.segmented_control,
        "over",
        "Over",
        options=["steps", "seconds"],
        label_visibility="collapsed",
        help="Seconds of work: training, mining and measuring.",
    )
    place = {key: i for i, system in enumerate(chosen.comparison.trials) for key in system.members}
    series, looks = [], []
    for row in chosen.rows:
        points = [p for p in seen(row).curve if measure in p["metrics"]]
        series.append(
            (row.name, [p["step"] if over == "steps" else p["seconds"] or 0.0 for p in points], [p["metrics"][measure] for p in points])
        )
        looks.append(place[row.folder.name] % GREY_LOOK)
    systems = chosen.comparison.systems
    lines = {s.name: s.mean(measure) for s in systems if s.kind != TRIAL} if not chosen.against_truth else {}
    x_title = "training step" if over == "steps" else "seconds of work"
    figure = charts.curves(series, x_title, measure, lines, looks=looks, title=f"{measure} while training")
    figure.update_layout(showlegend=True)
    draw(figure, key="curves")
    if chosen.against_truth:
        st.caption("Curves are measured against the labels while training; only the final models are judged by truth.")


def tests_table(chosen: Chosen, measure: str) -> None:
    """The paired tests against the first trial, as sentences and as figures."""
    comparison = chosen.comparison
    first = comparison.systems[0]
    found = chosen.against_first(measure)
    if not found:
        return
    told = [(comparison.systems[i], d, p) for i, d, p in found]
    with st.container(gap="xsmall"):
        for system, difference, p in told:
            text = plain(sentence(system.name, first.name, difference, p, measure))
            if p <= LEVEL:
                way = "up" if difference.mean > 0 else "down"
                st.markdown(f":material/trending_{way}: {text}")
            else:
                st.markdown(f":gray[:material/drag_handle: {text}]")
    columns = {
        f"minus {first.name}": [system.name for system, _, _ in told],
        "mean difference": [d.mean for _, d, _ in told],
        "95 % band": [f"{d.low:+.4f} to {d.high:+.4f}" for _, d, _ in told],
        "p": [d.p for _, d, _ in told],
        "p, Holm": [p for _, _, p in told],
        "n": [d.n_queries for _, d, _ in told],
    }
    with st.expander("The figures of these tests", icon=":material/functions:"):
        st.dataframe(
            columns,
            hide_index=True,
            width="stretch",
            key="tests",
            column_config={
                "mean difference": st.column_config.NumberColumn(
                    format="%+.4f", help=f"Mean over the queries of its {measure} minus the first trial's."
                ),
                "95 % band": st.column_config.TextColumn(help="Bootstrap over the queries, 10,000 times."),
                "p": st.column_config.NumberColumn(
                    format="%.4f", help="Paired randomisation test, two-sided: how often random signs give a mean at least as far from 0."
                ),
                "p, Holm": st.column_config.NumberColumn(format="%.4f", help=f"Corrected for {len(told)} tests at once."),
                "n": st.column_config.NumberColumn(help="Held-out queries with a positive."),
            },
        )
        st.caption(
            "Each pair of lines is answered by the same queries, so they are compared query by query. "
            f"The sentences use the corrected p and {LEVEL:g}."
        )
