"""Which trials are compared, by which measure, against which judgements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.evaluate.metrics import MEASURES
from pages.ui.compare_data import Chosen
from pages.ui.frame import empty
from pages.ui.links import MAX_TRIALS
from pages.ui.text import plain, shorten
from pages.ui.trials import corpus_link

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

SHOWN_FIRST = 6
WHY_NOT = {
    "queued": "waits for its turn",
    "running": "is still training",
    "stopping": "is being stopped",
    "stopped": "was stopped; resume it on the Train page",
    "interrupted": "was interrupted; resume it on the Train page",
    "failed": "failed",
}


def choose_trials(session: Session) -> tuple[Chosen, str]:
    """The chosen trials and the measure; ends the page where there is nothing to compare."""
    link = session.link
    if link.corpus is None and (link.trials or link.trial):
        link.set(corpus=corpus_link(session.store.get((link.trials or [link.trial])[0])))
    corpus = session.need_corpus()
    rows = session.store.list(fingerprint=corpus.fingerprint)
    finished = {row.id: row for row in rows if row.state == "finished"}
    others = [row for row in rows if row.state != "finished"]
    if not finished:
        _unfinished(others)
        if others:
            empty("No trial of this corpus has finished yet.", "Watch them train", "train", icon=":material/hourglass_empty:")
        else:
            empty("No trial of this corpus yet; two recipes make a comparison.", "Train some", "train", icon=":material/science:")
        st.stop()
    _keep_known(session, finished)
    # The oldest first: the list grows at its end, and the first trial stays the one to compare with.
    default = list(finished)[:SHOWN_FIRST][::-1]
    ids = link.bind(
        st.multiselect,
        "trials",
        "Finished trials; the first is what the others are tested against",
        options=list(finished)[::-1],
        default=default,
        format_func=lambda i: shorten(finished[i].name, 40),
        max_selections=MAX_TRIALS,
        resets=("a", "b"),
    )
    _unfinished(others)
    chosen = tuple(finished[i] for i in ids)
    measure_cell, against_cell, group_cell = st.columns([1.2, 1.6, 3], gap="medium", vertical_alignment="bottom")
    with measure_cell:
        measure = link.bind(
            st.selectbox,
            "measure",
            "Measure",
            options=list(MEASURES),
            help="On the held-out queries, over the whole corpus. RR@10: 1 / rank of the first positive, 0 beyond 10. nDCG@10: gain = "
            "grade. R@k: share of the positives within rank k. MAP: mean precision at the positives.",
        )
    against = "labels"
    if corpus.truth is not None:
        with against_cell:
            against = link.bind(
                st.segmented_control,
                "against",
                "Judged by",
                options=["labels", "truth"],
                help="Labels: the test judgements, as in any benchmark. Truth: the fuller judgements of this corpus, in which documents "
                "that no label names count too. Training sees neither.",
            )
    is_grouped = False
    plain_choice = Chosen(corpus, chosen, against == "truth", False)
    if plain_choice.comparison.has_seeds:
        with group_cell:
            is_grouped = link.bind(
                st.toggle,
                "group",
                "Take seeds of one recipe together",
                default=False,
                resets=("a", "b"),
                help="Trials that differ in nothing but the seed become one line: each query's mean over the seeds, and the range of "
                "the seeds' means.",
            )
    return Chosen(corpus, chosen, against == "truth", is_grouped), measure


def _keep_known(session: Session, finished: dict[str, TrialRow]) -> None:
    """A trial of the link that is not finished, of another corpus or gone leaves the choice, and the page says so."""
    wanted = session.link.trials
    kept = [i for i in wanted if i in finished]
    if kept != wanted:
        n = len(wanted) - len(kept)
        st.caption(
            f":orange[{n} trial{'s' if n > 1 else ''} of this link cannot be compared here and {'are' if n > 1 else 'is'} left out.]"
        )
        session.link.set(trials=kept or None)


def _unfinished(rows: list[TrialRow]) -> None:
    if rows:
        names = [f"{plain(shorten(row.name, 40))} {WHY_NOT.get(row.state, row.state)}" for row in rows[:6]]
        more = f", and {len(rows) - 6} more" if len(rows) > 6 else ""
        st.caption(f":material/hourglass_empty: Not comparable yet: {'; '.join(names)}{more}.")
