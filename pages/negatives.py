"""The negatives of a trial: for one query with why-cards, or counted over the whole trial."""

import streamlit as st

from pages.ui import frame
from pages.ui.negatives_choose import choose_trial, started_trials
from pages.ui.negatives_data import trial_cards
from pages.ui.negatives_imported import show_imported
from pages.ui.negatives_query import by_query
from pages.ui.negatives_trial import by_trial

VIEWS = {"query": ":material/star: By query", "trial": ":material/science: Whole trial"}

with frame("Negatives", has_title=False) as session:
    link = session.link
    corpus, rows = started_trials(session)
    if not show_imported(session, corpus, has_trials=bool(rows)):
        heading, trial_place, view_place = st.columns([1.9, 2.4, 2.2], gap="medium", vertical_alignment="bottom")
        heading.title("Negatives", anchor=False)
        with trial_place:
            row = choose_trial(link, rows)
        with view_place:
            view = link.bind(st.segmented_control, "view", "View", options=list(VIEWS), format_func=VIEWS.get, label_visibility="collapsed")
        with st.spinner("Reading the trial's candidates ..."):
            cards = trial_cards(corpus, row)
        if view == "query":
            by_query(session, corpus, cards, row)
        else:
            by_trial(link, corpus, cards, row)
