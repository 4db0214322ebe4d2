"""A corpus: where it comes from, what is in it, what was wrong with it, and each query and document."""

import streamlit as st

from pages.ui import empty, frame, page_button, plain, problems_shown, tiles
from pages.ui.browse import browse, in_order
from pages.ui.corpora import choose_corpus
from pages.ui.corpus_doctor import doctor
from pages.ui.corpus_imported import imported
from pages.ui.corpus_planted import planted

VIEWS = {
    "inside": ":material/search: Look inside",
    "doctor": ":material/stethoscope: Doctor",
    "planted": ":material/visibility_off: Planted truth",
    "imported": ":material/move_to_inbox: Imported negatives",
}


@st.cache_data(max_entries=32, show_spinner=False)
def figures(fingerprint: str, _corpus) -> dict:
    """The statistics of a corpus, once for all visitors."""
    from core.corpus.stats import statistics

    return statistics(_corpus)


def contents(corpus) -> None:
    """The tiles, the splits and what was mended at loading."""
    found = figures(corpus.fingerprint, corpus)
    splits, words = found["splits"], found["document_words"]
    shown = {"Documents": found["n_documents"], "Queries": found["n_queries"]}
    for name in in_order(splits):
        shown[f"{plain(name.capitalize())} pairs"] = splits[name]["n_positives"]
    shown["Median words"] = f"{words['median']:.0f}"
    shown["Answers"] = f"{found['share_positive_documents']:.0%}"
    if found["truth"] is not None:
        shown["Unlabelled"] = found["truth"]["n_hidden_positives"]
    tiles(
        shown,
        helps={
            "Median words": f"Of a document. 95 % have at most {words['q95']:.0f}, the longest {words['max']:.0f}.",
            "Answers": "Share of the documents that are a labelled positive of any query.",
            "Unlabelled": "Positives of the fuller judgements that no split labels: the false negatives "
            "that a strategy can fall for. Used for auditing only.",
        },
    )
    doubts = {
        "documents without text": found["n_empty_documents"],
        "queries without text": found["n_empty_queries"],
        "documents that repeat an earlier one": found["n_duplicate_documents"],
    }
    faults = [f"{count:,} {what}" for what, count in doubts.items() if count] + list(corpus.notes)
    if faults:
        with st.expander(f"{len(faults)} remark{'s' if len(faults) > 1 else ''} from loading", icon=":material/rule:"):
            st.dataframe({"what was found, and what was done": faults}, hide_index=True, width="stretch")


def views_of(corpus) -> list[str]:
    """The views that this corpus has: only a mined set brought negatives along."""
    return [name for name in VIEWS if name != "imported" or corpus.imported is not None]


with frame("Corpus", has_title=False) as session:
    link = session.link
    if link.corpus is None:
        st.title("Choose a corpus", anchor=False)
        with problems_shown():
            choose_corpus(session)
        st.stop()
    try_again = st.container()
    corpus = None
    with problems_shown():
        corpus = session.need_corpus()
    if corpus is None:
        with try_again:
            empty(
                "This corpus cannot be opened.",
                "Choose another corpus",
                "corpus",
                icon=":material/link_off:",
                corpus=None,
            )
        st.stop()

    heading, actions = st.columns([3, 2], vertical_alignment="center")
    heading.title(plain(corpus.name), anchor=False)
    with actions.container(horizontal=True, horizontal_alignment="right"):
        page_button(
            "Another corpus",
            "corpus",
            key="other",
            type="tertiary",
            icon=":material/swap_horiz:",
            corpus=None,
            query=None,
            trial=None,
        )
        page_button("Choose a recipe", "recipe", key="recipe", icon=":material/arrow_forward:", query=None)
    contents(corpus)
    view = link.bind(
        st.segmented_control, "view", "View", options=views_of(corpus), format_func=VIEWS.get, label_visibility="collapsed"
    )
    if view == "doctor":
        doctor(session, corpus)
    elif view == "planted":
        planted(session, corpus)
    elif view == "imported":
        imported(session, corpus)
    else:
        browse(corpus, link)
