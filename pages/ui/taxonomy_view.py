"""The map of all techniques by family, on three axes: effectiveness and cost as measured here, difficulty as lines of our own code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.sampling.presets import FAMILY_TITLES, PRESETS
from pages.ui.looks import draw, selected_ids
from pages.ui.recipe_gallery import open_recipe
from pages.ui.taxonomy_chart import AXES, FAMILY, LINES, QUALITY, SECONDS, axis_title, place_of, said, technique_map
from pages.ui.taxonomy_data import MEASURES, known_trials, unfit
from pages.ui.text import code, plain
from pages.ui.train_submit import queue_trials, tell_queued
from pages.ui.travel import page_link

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.techniques import Setting, Technique
    from pages.ui.frame import Session
    from pages.ui.links import Link

JUDGED = {"labels": "labels", "truth": "truth (audit only)"}


def taxonomy(session: Session, corpus: Corpus, encoder: dict[str, Any]) -> None:
    """The map, what it lacks and how to measure that, and the table; a click opens the recipe."""
    from core.lab.code_lines import COUNTED
    from core.lab.techniques import techniques, undominated

    link, known = session.link, known_trials(session, corpus)
    has_measured = bool(known.settings)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        across, up = _axes(link, has_measured)
        setting = _setting(link, known.settings)
        measure, by = _measure(link, corpus, has_measured)
    measured: dict[str, Any] = {}
    if setting is not None:
        with st.spinner("Reading the trials ..."):
            measured = known.measured(setting, corpus)
    shown = techniques(measured, measure, by)
    n_on_map = sum(place_of(t, across) is not None and (up == FAMILY or place_of(t, up) is not None) for t in shown)
    if n_on_map:
        title = (f"{across} by family" if up == FAMILY else f"{up} against {across}").capitalize()
        named = ["in-batch", *undominated(shown)]
        event = draw(
            technique_map(shown, across, up, measure, named=named, title=title), key=f"taxonomy.{across}.{up}", on_select="rerun"
        )
        _open(link, next(iter(selected_ids(event)), None))
    elif setting is None:
        st.info("Nothing is measured on this corpus yet, so this axis is empty. Lines of code need no trial.", icon=":material/info:")
    _how_to_measure(session, corpus, encoder, shown, known.n_waiting)
    if setting is not None:
        _how_to_read(setting, shown, by)
    sized = "" if LINES in (across, up) or not n_on_map else " (the size of a mark)"
    st.caption(plain(f"Difficulty{sized}: {COUNTED}"))
    _table(link, shown, measure, unfit(corpus, encoder))


def _axes(link: Link, has_measured: bool) -> tuple[str, str]:
    """What is shown across and up; before anything is measured, lines of code by family."""
    across = link.bind(
        st.segmented_control,
        "across",
        "Across",
        options=list(AXES),
        default=SECONDS if has_measured else LINES,
        format_func=str.capitalize,
        resets=("up",),
    )
    others = [axis for axis in (*AXES, FAMILY) if axis != across]
    default = FAMILY if not has_measured else SECONDS if across == QUALITY else QUALITY
    return across, link.bind(st.segmented_control, "up", "Up", options=others, default=default, format_func=str.capitalize)


def _setting(link: Link, settings: Sequence[Setting]) -> Setting | None:
    if len(settings) < 2:
        return settings[0] if settings else None
    by_key = {setting.key: setting for setting in settings}
    chosen = link.bind(
        st.selectbox,
        "setting",
        "Trials of one setting",
        options=list(by_key),
        default=settings[0].key,
        format_func=lambda key: f"{by_key[key].title} ({len(by_key[key].folders)} techniques)",
        help="Figures are compared only between trials that differ in nothing but recipe and seed.",
        width=380,
    )
    return by_key[chosen]


def _measure(link: Link, corpus: Corpus, has_measured: bool) -> tuple[str, str]:
    if not has_measured:
        return MEASURES[0], "labels"
    measure = link.bind(st.selectbox, "measure", "Measure", options=list(MEASURES), default=MEASURES[0], width=130)
    if corpus.truth is None:
        return measure, "labels"
    by = link.bind(st.segmented_control, "by", "Judged by", options=list(JUDGED), default="labels", format_func=JUDGED.get)
    return measure, by


def _open(link: Link, name: str | None) -> None:
    """The composer with the technique that was clicked."""
    if name in PRESETS:
        open_recipe(link, PRESETS[name].recipe)


def _how_to_measure(session: Session, corpus: Corpus, encoder: dict[str, Any], shown: Sequence[Technique], n_waiting: int) -> None:
    """What is not measured yet, what is being measured, and both ways to measure the rest."""
    stops = unfit(corpus, encoder)
    missing = [t.preset for t in shown if not t.is_measured and t.preset.name not in stops]
    if n_waiting:
        with st.container(horizontal=True, vertical_alignment="center"):
            words = "trial of this corpus is" if n_waiting == 1 else "trials of this corpus are"
            st.markdown(f":material/hourglass_top: {n_waiting} {words} training or waiting; the map grows as they finish.", width="content")
            page_link("train", "Watch them")
    if not missing:
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        has_none = not any(t.is_measured for t in shown)
        what = "No technique is" if has_none else f"{len(missing)} of {len(shown)} techniques are not"
        spec = session.spec_of(session.link.corpus or "")
        st.markdown(
            f":material/straighten: {what} measured on this corpus. In a terminal, with three seeds: {code(f'negspace sweep {spec}')}. "
            "Or here, one seed each with the default settings:"
        )
        if st.button(
            f"Queue {len(missing)} trials",
            icon=":material/playlist_add:",
            key="taxonomy.queue",
            disabled=bool(n_waiting),
            help="Wait for the trials that are under way." if n_waiting else "They train one after the other; the pages stay usable.",
        ):
            tell_queued(session, queue_trials(session, corpus, [preset.recipe for preset in missing], encoder))
            st.rerun()


def _how_to_read(setting: Setting, shown: Sequence[Technique], by: str) -> None:
    n_seeds = [t.n_seeds for t in shown if t.is_measured]
    seeds = f"{min(n_seeds)} to {max(n_seeds)} seeds" if min(n_seeds) < max(n_seeds) else f"{max(n_seeds)} seed{'s' * (max(n_seeds) > 1)}"
    bars = "Bars: 95 % t interval over the seeds, the queries staying the same; for seconds the fastest and the slowest trial. "
    bars = bars if max(n_seeds) > 1 else ""
    st.caption(
        plain(
            f"{len(n_seeds)} techniques measured on this corpus ({setting.title}; {seeds} each), judged by the {by}. {bars}"
            "Cost: seconds of training and mining of one trial on this machine, without set-up and measuring. "
            "Names stand beside the marks that no other beats in both effectiveness and cost. A click on a mark opens its recipe."
        )
    )


def _table(link: Link, shown: Sequence[Technique], measure: str, stops: dict[str, str]) -> None:
    """All techniques by family; ticking a row opens its recipe."""
    families = list(FAMILY_TITLES)
    rows = sorted(shown, key=lambda t: families.index(t.preset.family))
    has_false = any(t.false_negatives is not None for t in rows)
    columns: dict[str, list[Any]] = {
        "technique": [t.preset.title for t in rows],
        "family": [FAMILY_TITLES[t.preset.family] for t in rows],
        measure: [t.quality.mean if t.quality else None for t in rows],
        "with band": [said(t.quality, 4) if t.quality else "" for t in rows],
        **({"false negatives": [100 * t.false_negatives.mean if t.false_negatives else None for t in rows]} if has_false else {}),
        "seconds": [t.seconds.mean if t.seconds else None for t in rows],
        "lines": [t.lines for t in rows],
        "seeds": [t.n_seeds or None for t in rows],
        "cost class": [t.preset.cost for t in rows],
        "to build": [t.preset.difficulty for t in rows],
        "paper": [f"{t.preset.source.authors} {t.preset.source.year}" for t in rows],
        "not here because": [stops.get(t.preset.name, "") for t in rows],
    }
    for name in ("with band", "not here because"):
        if not any(columns[name]):
            del columns[name]
    if not any(t.is_measured for t in rows):
        columns = {name: values for name, values in columns.items() if name not in (measure, "seconds", "seeds")}
    st.subheader("All techniques", anchor=False)
    ticked = st.dataframe(
        columns,
        key="taxonomy.table",
        on_select="rerun",
        selection_mode="single-row",
        hide_index=True,
        width="stretch",
        height=35 * (len(rows) + 1) + 3,
        placeholder="",
        column_config={
            measure: st.column_config.NumberColumn(format="%.4f", help="Mean over the seeds, on the held-out queries."),
            "with band": st.column_config.TextColumn(help="Mean and half of the 95 % t interval over the seeds."),
            "false negatives": st.column_config.NumberColumn(
                format="%.1f %%", help="Share of the mined negatives in the loss, each use counted, that the truth calls relevant."
            ),
            "seconds": st.column_config.NumberColumn(format="%.2f", help=axis_title(SECONDS, measure).capitalize() + "."),
            "lines": st.column_config.NumberColumn(help=axis_title(LINES, measure).capitalize() + "."),
            "cost class": st.column_config.TextColumn(help="As declared: what it adds to a training step or before it."),
            "to build": st.column_config.TextColumn(help="As declared: how much there is to get right."),
        },
    )
    chosen = ticked["selection"]["rows"] if ticked else []
    _open(link, rows[chosen[0]].preset.name if chosen else None)
    st.caption("Tick the box left of a row for its recipe.")
