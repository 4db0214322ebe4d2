"""Training: queue trials of several recipes and watch them, over steps and over seconds."""

import streamlit as st

from pages.ui import frame, plain
from pages.ui.train_form import queue_form
from pages.ui.train_watch import corpus_trials, watch

with frame("Train", has_title=False) as session:
    corpus = session.need_corpus()
    heading, count = st.columns([3, 2], vertical_alignment="bottom")
    heading.title("Train", anchor=False)
    heading.caption(f"on {plain(corpus.name)}: {len(corpus.split_query_rows('train')):,} training queries, "
                    f"{len(corpus.split_query_rows('test')):,} held-out ones, {corpus.n_documents:,} documents"
                    if {"train", "test"} <= set(corpus.splits) else f"on {plain(corpus.name)}")  # fmt: skip
    is_first = not corpus_trials(session, corpus)
    link = session.link
    is_open = link.value("queue", is_first or link.recipe is not None and not link.trials)
    with st.expander("New trials", icon=":material/playlist_add:", expanded=is_open):
        queue_form(session, corpus)
    watch(session, corpus)
