"""Trials as rows with their state, and the dialog that opens one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from pages.ui.bits import ago, state_badge
from pages.ui.problems import problems_shown
from pages.ui.text import plain, shorten
from pages.ui.travel import go, page_link

if TYPE_CHECKING:
    from core.lab.store import Store
    from core.lab.tables import TrialRow

MEASURE = "RR@10"
LISTED = 50


def trial_list(rows: Sequence[TrialRow], *, key: str) -> None:
    """One line a trial: a link to it, its state, corpus, quality and age; or what to do when there is none."""
    if not rows:
        with st.container(border=True):
            st.markdown(":material/science: No trials yet. Try the sample, choose a recipe, and start the first one.")
        return
    with st.container(border=True, gap="xsmall", key=f"trials.{key}"):
        for row in rows:
            _line(row)


def _line(row: TrialRow) -> None:
    name, state, corpus, quality, age = st.columns([4.2, 1.6, 2.1, 1.4, 1.4], gap="small", vertical_alignment="center")
    with name:
        page_link(
            "train",
            f"**{plain(shorten(row.name, 40))}**",
            icon=":material/monitoring:",
            trial=row.id,
            corpus=corpus_link(row),
            query=None,
            refresh=None,
        )
    with state:
        state_badge(row.state, help=plain(shorten(row.message, 400)) or None)
    corpus.caption(plain(shorten(row.corpus_name or row.corpus, 32)))
    value = (row.headline or {}).get(MEASURE)
    quality.caption(f"{MEASURE} **{value:.3f}**" if isinstance(value, (int, float)) else "")
    age.caption(ago(row.created))


def corpus_link(row: TrialRow) -> str | None:
    """What a link calls the corpus of a trial."""
    return row.corpus if row.corpus.startswith("sample:") else row.corpus_fingerprint or None


@st.dialog("Open a trial", width="large")
def open_trial_dialog(store: Store) -> None:
    """The workspace's trials with a search, and the ways to bring in a folder or a bundle."""
    from core.lab.bundle import bring_in
    from pages.ui.export import bundle_upload

    with problems_shown():
        wanted = st.text_input("Search", placeholder="name, corpus or recipe", icon=":material/search:").strip().lower()
        rows = [r for r in store.list() if wanted in f"{r.name} {r.corpus_name} {r.recipe_title} {r.id}".lower()]
        if wanted and not rows:
            st.caption(f"No trial matches {plain(wanted)}.")
        else:
            trial_list(rows[:LISTED], key="dialog")
            if len(rows) > LISTED:
                st.caption(f"{len(rows) - LISTED} more; search to narrow the list.")
        with st.form("bring-in", border=False):
            text = st.text_input(
                "Or bring one in: a trial's folder or bundle on the machine that runs this server",
                placeholder="/data/trials/20261121-a1b2c3",
            )
            is_sent = st.form_submit_button("Bring in a copy", icon=":material/folder_copy:")
        row = bring_in(store, Path(text.strip()).expanduser()) if is_sent else bundle_upload(store)
        if row is not None:
            go("train", trial=row.id, corpus=corpus_link(row), query=None, refresh=None)
