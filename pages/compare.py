"""Compare finished trials of one corpus: measures with bands, tests, curves, cost, and the lists query by query."""

import streamlit as st

from pages.ui import frame, plain
from pages.ui.compare_cascade import cascade_view
from pages.ui.compare_choose import choose_trials
from pages.ui.compare_pair import pair_view
from pages.ui.compare_retrained import retrained_view
from pages.ui.compare_tables import band_chart, cost_chart, curve_chart, measures_table, tests_table

with frame("Compare") as session:
    link = session.link
    chosen, measure = choose_trials(session)
    systems = chosen.comparison.systems
    retrained_view(session, chosen, measure)
    measures_table(chosen, measure)
    left, right = st.columns(2, gap="medium")
    with left:
        band_chart(chosen, measure)
    with right:
        cost_chart(chosen, measure)
    st.subheader(f"Better than {plain(systems[0].name)}?", anchor=False)
    tests_table(chosen, measure)
    st.subheader("On the way there", anchor=False)
    curve_chart(link, chosen, measure)
    st.subheader("Query by query", anchor=False)
    pair_view(session, chosen, measure)
    cascade_view(link, chosen)
