"""Judging suspects: one key a verdict, saved at once; verdicts, agreement, import, language models."""

import streamlit as st

from pages.ui import frame
from pages.ui.judge_card import card_of_pair
from pages.ui.judge_choose import ask_judge, choose_judge, choose_manner, choose_source, corpus_and_trials, other_judge
from pages.ui.judge_desk import Bench, judging
from pages.ui.judge_import import import_verdicts
from pages.ui.judge_llm import model_judges
from pages.ui.judge_queue import queue_or_why
from pages.ui.judge_verdicts import verdicts_view
from pages.ui.text import plain

VIEWS = {
    "judge": ":material/gavel: Judge",
    "verdicts": ":material/fact_check: Verdicts",
    "import": ":material/upload_file: Import",
    "model": ":material/smart_toy: Model",
}

with frame("Judge", has_title=False) as session:
    link = session.link
    corpus, rows = corpus_and_trials(session)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):  # wraps where the window is narrow
        st.title("Judge", anchor=False, width="content")
        row = choose_source(session, corpus, rows)
        view = link.bind(st.segmented_control, "view", "View", options=list(VIEWS), format_func=VIEWS.get, label_visibility="collapsed")
    judge = choose_judge(session)
    if view == "verdicts":
        verdicts_view(session, corpus, row)
    elif view == "import":
        import_verdicts(session, corpus, judge)
    elif view == "judge" and not judge:
        ask_judge(session)
    else:
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            if judge and view == "judge":
                other_judge(session, judge)
            manner = choose_manner(session, row, is_judging=view == "judge")
        with st.spinner("Weighing the reasons to doubt each negative; the first time takes a while ..."):
            queue, note = queue_or_why(session, corpus, row, manner)
        if note:
            st.caption(plain(note))
        if queue is None:
            st.caption("Choose a trial whose recipe mines, or import a mined set on the Corpus page.")
        elif view == "model":
            model_judges(session, corpus, queue)
        else:
            judging(Bench(session, corpus, queue, judge, manner, row))
            card_of_pair(session, corpus, row)
