"""Suspects: negatives that may be positives without a label, every reason a column, and what to do about them."""

import streamlit as st

from pages.ui import frame
from pages.ui.suspects_bench import bench
from pages.ui.suspects_choose import choose_doubted
from pages.ui.suspects_cross import cross_encoder
from pages.ui.suspects_data import decided, rule_of
from pages.ui.suspects_figures import actions, figures, say_truth
from pages.ui.suspects_list import suspects_list
from pages.ui.suspects_rule import choose_combination, reasons_form

VIEWS = {
    "list": ":material/format_list_bulleted: Suspects",
    "reasons": ":material/tune: Reasons and thresholds",
    "bench": ":material/diamond: Truth bench",
}

with frame("Suspects", has_title=False) as session:
    link = session.link
    doubted = choose_doubted(session)
    rule = rule_of(link)
    with st.spinner("Weighing the reasons to doubt each negative; the first time takes a while ..."):
        table, note, verdicts = decided(doubted, rule)
    figures(table, verdicts, doubted)
    choose_combination(link, rule, note)
    say_truth(table)
    actions(doubted, rule, table)
    cross_encoder(doubted)
    views = [name for name in VIEWS if name != "bench" or table.grade is not None]
    view = link.bind(st.segmented_control, "view", "View", options=views, format_func=VIEWS.get, label_visibility="collapsed")
    if view == "reasons":
        reasons_form(link, doubted, table, rule)
    elif view == "bench":
        bench(link, doubted)
    else:
        suspects_list(link, doubted, table, verdicts)
