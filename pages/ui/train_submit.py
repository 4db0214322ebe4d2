"""Putting trials into the queue, from the Recipe page and the Train page alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.encode.encoders import make_encoder
from core.sampling.presets import name_of
from pages.ui.links import MAX_TRIALS
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from core.sampling.recipe import Recipe
    from pages.ui.frame import Session

LONGEST_NAME = 100
WAITING = ("queued", "running", "stopping")
SHOWN_FIRST = 6


def recipe_title(recipe: Recipe) -> str:
    """The preset's title, or what a recipe of one's own is made of."""
    title = name_of(recipe)
    return shorten(recipe.summary(), LONGEST_NAME - 20) if title == "custom" else title


def first_shown(rows: Iterable[TrialRow]) -> list[str]:
    """The trials to show without a choice, in the order of their making: what is going on now, then the newest."""
    order = sorted(rows, key=lambda row: row.state not in WAITING)
    return sorted(row.id for row in order[:SHOWN_FIRST])


def queue_trials(
    session: Session,
    corpus: Corpus,
    recipes: Iterable[Recipe],
    encoder: Mapping[str, Any],
    settings: Mapping[str, Any] | None = None,
    n_seeds: int = 1,
) -> list[str]:
    """The ids of the new trials, one a recipe and seed, waiting; they join the trials of the link.

    Raises ParameterError before anything is queued when a setting is refused.
    """
    from core.train.config import TrialConfig

    settings = {"learning_rate": make_encoder(dict(encoder)).learning_rate, **(settings or {})}
    configs = []
    for recipe in recipes:
        for i in range(n_seeds):
            title = recipe_title(recipe)
            seed = settings.get("seed", 0) + i
            configs.append(
                TrialConfig(
                    corpus=session.spec_of(session.link.corpus or ""),
                    corpus_fingerprint=corpus.fingerprint,
                    corpus_name=corpus.name,
                    recipe=recipe.to_dict(),
                    recipe_name=title,
                    encoder=dict(encoder),
                    name=f"{title}, seed {seed}" if n_seeds > 1 or seed else title,
                    **settings | {"seed": seed},
                )
            )
    rows = [session.store.submit(c.to_dict(), c.name, owner=session.owner, recipe_title=c.recipe_name) for c in configs]
    session.scheduler.wake()
    ids = [row.id for row in rows]
    before = session.link.trials or first_shown(session.store.list(fingerprint=corpus.fingerprint))
    session.link.set(trials=list(dict.fromkeys([*before, *ids]))[-MAX_TRIALS:])
    return ids


def tell_queued(session: Session, ids: Sequence[str]) -> None:
    """A notice that says when the new trials will start."""
    ahead = session.store.position(ids[0]) - 1
    when = "starting now" if ahead <= 0 else f"{ahead} before it" if len(ids) == 1 else f"{ahead} before the first"
    name = plain(session.store.get(ids[0]).name) if len(ids) == 1 else f"{len(ids)} trials"
    st.toast(f"Queued {name}: {when}. Watch on the Train page.", icon=":material/playlist_add_check:")
