"""The first page: what this is, three ways in, and the trials of this workspace."""

import streamlit as st

from pages.ui import frame, go, live, page_button
from pages.ui.corpora import first_sample
from pages.ui.hero import hero_svg
from pages.ui.trials import open_trial_dialog, trial_list

RECENT = 8


def way(cell, icon: str, title: str, sentence: str):
    """One of the three ways in: a card whose button stands at the bottom; gives the button's place."""
    with cell.container(border=True, height="stretch", vertical_alignment="distribute"):
        with st.container():
            st.subheader(f"{icon} {title}", anchor=False)
            st.markdown(sentence)
        return st.container()


with frame("Home", has_title=False) as session:
    words, picture = st.columns([1, 1.05], gap="large", vertical_alignment="center")
    with words:
        st.title("What should a retriever learn *not* to match?", anchor=False)
        st.markdown(
            "Negative Space shows what a negative-sampling strategy picks, why it picks it, and what that does "
            "to a dense retriever, within a minute, on your own corpus."
        )
    picture.image(hero_svg(), width="stretch")

    cells = st.columns(3, gap="medium")
    with way(
        cells[0],
        ":material/rocket_launch:",
        "Try the sample",
        "A small corpus that comes along. Look at it, pick a strategy, watch it train.",
    ):
        # The samples are read when one is asked for: the first page must not wait for the reader.
        if st.button("Try the sample", key="sample", type="primary", width="stretch"):
            go("corpus", corpus=first_sample(), trial=None, query=None)
    with way(
        cells[1],
        ":material/upload_file:",
        "Bring a corpus",
        "Documents, queries and judgements, as a folder, a zip or single files.",
    ):
        page_button("Bring a corpus", "corpus", key="bring", type="secondary", width="stretch", corpus=None, query=None)
    with way(
        cells[2],
        ":material/folder_open:",
        "Open a trial",
        "Go on with a training of this workspace, or bring one in from a folder.",
    ):
        if st.button("Open a trial", key="open", width="stretch"):
            open_trial_dialog(session.store)

    st.subheader("Recent trials", anchor=False)

    @live(2.0, while_=lambda: bool(session.store.list(states=("queued", "running", "stopping"))))
    def recent() -> None:
        trial_list(session.store.list()[:RECENT], key="recent")

    recent()
