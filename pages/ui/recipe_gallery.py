"""The gallery of named recipes, by family, with lesson, citation, cost and difficulty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.audit.expectations import APPEARS, OPPOSITE
from core.audit.orders_seen import seen_of
from core.sampling.presets import FAMILY_TITLES, PRESETS, Preset
from pages.ui.form import COST_COLOURS, DIFFICULTY_COLOURS, lesson_markdown
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.sampling.recipe import Recipe
    from pages.ui.links import Link

FAMILY_IDEAS = {
    "batch": "Documents that are encoded anyway serve as negatives.",
    "static": "Negatives are looked for before the training and stay the same.",
    "dynamic": "The model in training says what it confuses, again and again.",
    "denoised": "Hard negatives, but not those that are probably unlabelled answers.",
    "synthetic": "Negatives and queries that a rule, a model or a person wrote: always marked as such, never in what is searched.",
    "positives": "What is pulled together comes from the texts themselves or from a log; most of these train without a single label.",
}
COLUMNS = 4
_ARRIVING = "recipe_arriving"
COST_HELP = "What it adds to a training step or before it, compared with in-batch."
DIFFICULTY_HELP = "How much there is to build and to get right."


def gallery(link: Link, chosen: Recipe | None) -> None:
    """The cards of all families; Choose writes the recipe into the link and opens the composer."""
    for family, title in FAMILY_TITLES.items():
        presets = [preset for preset in PRESETS.values() if preset.family == family]
        st.subheader(title, anchor=False)
        st.caption(FAMILY_IDEAS.get(family, ""))
        for first in range(0, len(presets), COLUMNS):
            cells = st.columns(COLUMNS, gap="small")
            for cell, preset in zip(cells, presets[first : first + COLUMNS], strict=False):
                with cell.container(border=True, height="stretch", vertical_alignment="distribute"):
                    _card(link, preset, preset.recipe == chosen)


def open_recipe(link: Link, recipe: Recipe) -> None:
    """Write the recipe into the link and open the composer."""
    link.set(recipe=recipe, view=None)
    st.session_state[_ARRIVING] = True
    st.rerun()


def start_at_the_top() -> None:
    """After a choice: one short page first, so that the browser does not stay scrolled to where the card was."""
    if not st.session_state.pop(_ARRIVING, False):
        return
    runs = iter(range(2))

    @st.fragment(run_every=0.2)
    def go_on() -> None:
        if next(runs, 1):
            st.rerun()

    go_on()
    st.stop()


def _card(link: Link, preset: Preset, is_chosen: bool) -> None:
    with st.container(gap="small"):
        st.markdown(f"**{plain(preset.title)}**")
        with st.container(horizontal=True, gap="xsmall"):
            st.badge(f"cost: {preset.cost}", color=COST_COLOURS[preset.cost], help=COST_HELP)  # type: ignore[arg-type]
            st.badge(preset.difficulty, color=DIFFICULTY_COLOURS[preset.difficulty], help=DIFFICULTY_HELP)  # type: ignore[arg-type]
        st.markdown(lesson_markdown(preset.idea))
    with st.container(gap="small"):
        cited = preset.source
        st.caption(f"[{plain(f'{cited.authors} {cited.year}')}]({cited.url})", help=plain(cited.title))
        with st.container(horizontal=True, gap="small"):
            if st.button(
                "Chosen" if is_chosen else "Choose",
                key=f"choose.{preset.name}",
                type="primary" if is_chosen else "secondary",
                icon=":material/check:" if is_chosen else None,
                width="stretch",
            ):
                open_recipe(link, preset.recipe)
            with st.popover("Lesson", icon=":material/school:"):
                st.markdown(f"##### {plain(preset.title)}")
                st.markdown(lesson_markdown(preset.lesson.replace("\n", "\n\n", 1)))
                st.markdown(f"**Made of** {plain(preset.recipe.summary())}")
                st.caption(f"{plain(f'{cited.authors} {cited.year}')}, [{plain(cited.title)}]({cited.url})")
                _orders(preset)


def _orders(preset: Preset) -> None:
    """What the kept sweeps say about the orders that papers report of it: the told ones in full, the others as a count."""
    own = seen_of(preset.name)
    if not own:
        return
    st.markdown("**The literature's order, measured by us**")
    lines = []
    for corpus, n_seeds in dict.fromkeys((seen.corpus, seen.n_seeds) for seen in own):
        here = [seen for seen in own if seen.corpus == corpus]
        told = [seen for seen in here if seen.verdict in (APPEARS, OPPOSITE)]
        lines += [f"* {plain(f'{corpus}, by the {seen.judged_by}: {seen.sentence}')}" for seen in told]
        if len(told) < len(here):
            others = ", ".join(dict.fromkeys(f"{seen.better} over {seen.worse}" for seen in here if seen not in told))
            lines.append(f"* {plain(f'{corpus}: within chance with {n_seeds} seeds: {others}.')}")
    st.markdown("\n".join(lines))
