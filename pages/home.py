"""The first page: what this is, three ways in, and the trials of this workspace."""

import streamlit as st

from pages.ui import frame, live, page_button
from pages.ui.hero import hero_svg
from pages.ui.trials import open_trial_dialog, trial_list

SAMPLE = "sample:facts"
RECENT = 8

with frame("Home", has_title=False) as session:
    words, picture = st.columns([1.15, 1], gap="large", vertical_alignment="center")
    with words:
        st.markdown("# What should a retriever learn *not* to match?")
        st.markdown(
            "See what a negative-sampling strategy picks, why it picks it, and what that does to a dense "
            "retriever: within a minute, on your own corpus."
        )
        st.markdown(
            ":material/star: query   :material/circle: answer   :material/close: negative   "
            ":material/diamond: unlabelled answer, taken for a negative"
        )
    picture.image(hero_svg(), width="stretch")

    ways = st.columns(3, gap="medium")
    with ways[0].container(border=True, height="stretch"):
        st.markdown("##### :material/rocket_launch: Try the sample")
        st.markdown("A small corpus that came along. Look at it, pick a strategy, watch it train.")
        page_button("Try the sample", "corpus", key="sample", width="stretch", corpus=SAMPLE, trial=None, query=None)
    with ways[1].container(border=True, height="stretch"):
        st.markdown("##### :material/upload_file: Bring a corpus")
        st.markdown("Documents, queries and judgements as JSONL and TSV: a folder, a zip or single files.")
        page_button("Bring a corpus", "corpus", key="bring", type="secondary", width="stretch", corpus=None, query=None)
    with ways[2].container(border=True, height="stretch"):
        st.markdown("##### :material/folder_open: Open a trial")
        st.markdown("Go on with a training of this workspace, or bring in one from a folder.")
        if st.button("Open a trial", key="open", width="stretch"):
            open_trial_dialog(session.store, session.workspace)

    st.subheader("Recent trials", anchor=False)

    @live(2.0, while_=lambda: bool(session.store.list(states=("queued", "running", "stopping"))))
    def recent() -> None:
        trial_list(session.store.list()[:RECENT], key="recent")

    recent()
