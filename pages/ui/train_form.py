"""The form that queues trials: which recipes, which encoder, how long, with which seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.encode.encoders import make_encoder
from core.sampling.presets import PRESETS, name_of
from pages.ui.form import params_form
from pages.ui.recipe_checks import obstacles, warnings
from pages.ui.recipe_pieces import choose_encoder, encoder_of
from pages.ui.text import plain
from pages.ui.train_submit import queue_trials, tell_queued

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.recipe import Recipe
    from pages.ui.frame import Session
    from pages.ui.links import Link

FIRST_THREE = ["in-batch", "bm25", "ance"]
OWN = "own"
MAX_SEEDS = 5


def queue_form(session: Session, corpus: Corpus) -> None:
    """Choose recipes and settings; one button queues a trial for each recipe and seed."""
    link = session.link
    settings, encoder_cell = st.columns([3, 1], gap="small")
    with settings.container(border=True, height="stretch"):
        recipes = _recipes(link)
        before = encoder_of(link)
        values = _settings(link, make_encoder(dict(before)).learning_rate)
        n_seeds = link.bind(
            st.number_input,
            "seeds",
            "Seeds",
            default=1,
            ge=1,
            le=MAX_SEEDS,
            help="Each recipe is trained with this many seeds, from the one above on: how much of a difference is luck "
            "shows only with several.",
            width=240,
        )
    with encoder_cell:
        encoder = choose_encoder(link, "train.encoder")
    if encoder["key"] != before["key"]:
        st.rerun()  # each encoder has its own learning rate where nobody chose one
    stops = {sentence for recipe in recipes for sentence in obstacles(recipe, encoder, corpus)}
    for sentence in sorted(stops):
        st.error(plain(sentence), icon=":material/block:")
    for recipe in recipes:
        # These easily ask for more pairs than the corpus has; of a plain batch the trial's log tells.
        is_composed = recipe.passes.parts > 1 or getattr(recipe.order, "clusters", 0)
        for sentence in warnings(recipe, corpus, values["batch_size"] if is_composed else None):
            st.warning(plain(f"{name_of(recipe)}: {sentence}"), icon=":material/warning:")
    n = len(recipes) * n_seeds
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            f"Train {n} trials" if n > 1 else "Train",
            type="primary",
            icon=":material/play_arrow:",
            disabled=bool(stops) or not recipes,
            key="train",
        ):
            tell_queued(session, queue_trials(session, corpus, recipes, encoder, values, n_seeds))
            link.set(trial=None, queue="false")
            st.rerun()
        st.caption(f"They are queued and go on when this page is closed; {session.scheduler.max_running} at once on this server.")


def _recipes(link: Link) -> list[Recipe]:
    """The recipes of the link's names; the link's own recipe is one of them when it is none of the named."""
    by_name = {name: preset.recipe for name, preset in PRESETS.items()}
    titles = {name: preset.title for name, preset in PRESETS.items()}
    chosen = FIRST_THREE
    recipe = link.recipe
    if recipe is not None:
        name = next((name for name, known in by_name.items() if known == recipe), OWN)
        if name == OWN:
            by_name[OWN], titles[OWN] = recipe, "Your own recipe"
        chosen = [name]
    names = link.bind(
        st.multiselect,
        "recipes",
        "Recipes",
        options=list(by_name),
        default=chosen,
        format_func=titles.get,
        help="One trial each. The recipe of the Recipe page stands here when you chose one.",
    )
    return [by_name[name] for name in names]


def _settings(link: Link, learning_rate: float) -> dict[str, Any]:
    from core.train.config import config_params

    params = [replace(p, default=learning_rate) if p.name == "learning_rate" else p for p in config_params()]
    before = {p.name: link.value(p.name, p.default, kind=p.type, ge=p.ge, le=p.le) for p in params}
    after = params_form(tuple(params), before, "train", columns=len(params))
    if after != before:
        link.set(**{p.name: None if after[p.name] == p.default else after[p.name] for p in params})
    return after
