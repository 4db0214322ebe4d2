"""Bringing verdicts in: a file or pasted text is read, shown with its faults, and saved when the person says so."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ParameterError
from core.lab.verdict_import import ReadVerdicts, known_rows, read_verdicts
from core.lab.verdicts import LONGEST_JUDGE, checked_judge
from pages.ui.card_judge import BUTTONS
from pages.ui.text import code, plain

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session

HOW = """
* **CSV or TSV** with the columns `query_id`, `doc_id`, `verdict` (also `qid`, `docid`, `label`, `relevance` ...), perhaps `note`, `judge`
* **JSON lines** or a JSON array: `{"query_id": "q1", "doc_id": "d7", "verdict": "false-negative", "note": "..."}`
* **TREC qrels**: `q1 0 d7 1`
* **What a chat wrote**, words and ```` ```json ```` blocks and all

A verdict is false-negative, true-negative, near-duplicate or unsure. *Relevant*, *yes*, *1* mean a false negative, *irrelevant*,
*no*, *0* a true one.
"""
MOST_FAULTS = 500


def import_verdicts(session: Session, corpus: Corpus, judge: str) -> None:
    """The whole view."""
    left, right = st.columns([1.4, 1], gap="large")
    with right:
        st.markdown("**What is understood**")
        st.markdown(HOW)
    with left:
        file = st.file_uploader("A file of verdicts", type=["csv", "tsv", "txt", "jsonl", "json", "qrels"], key="import.file")
        example = '{"query_id": "q1", "doc_id": "d7", "verdict": "relevant"}'
        pasted = st.text_area("Or paste them", height=140, key="import.text", placeholder=example)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
            name = st.text_input(
                "Judge",
                value=judge,
                max_chars=LONGEST_JUDGE,
                key="import.judge",
                width=240,
                help="Whose verdicts these are, for the rows that do not say so themselves.",
            )
            is_model = st.toggle(
                "A language model's", key="import.model", help="Where a person has judged the same pair, a model's verdict has no vote."
            )
        if file is None and not pasted.strip():
            return
        label = file.name if file is not None else "pasted text"
        found = known_rows(read_verdicts(file.getvalue() if file is not None else pasted, label), corpus, label)
        _preview(session, corpus, found, name, "llm" if is_model else "import")


def _preview(session: Session, corpus: Corpus, found: ReadVerdicts, name: str, source: str) -> None:
    counts = Counter(row["verdict"] for row in found.rows)
    said = ", ".join(f"{n:,} {BUTTONS[kind][0].lower()}" for kind, n in counts.most_common())
    repeated = f" {found.n_repeated:,} rows say something twice." if found.n_repeated else ""
    st.markdown(f"**{_n(len(found.rows), 'verdict')}** understood{': ' + said if said else ''}.{repeated}")
    if found.faults:
        st.warning(f"{_n(len(found.faults), 'fault')}; what they name is left out.", icon=":material/rule:")
        st.code("\n".join(found.faults[:MOST_FAULTS]), language=None, wrap_lines=True, height=min(260, 60 + 44 * len(found.faults)))
    if not found.rows:
        return

    def save() -> None:
        try:
            done = session.verdicts.import_rows(corpus.fingerprint, found.rows, checked_judge(name), source)
        except ParameterError as error:
            st.session_state["import.said"] = (":material/error:", str(error))
            return
        sentence = f"{_n(done.n_added, 'verdict')} added, {done.n_replaced:,} replaced, {done.n_unchanged:,} were known already."
        st.session_state["import.said"] = (":material/check_circle:", sentence)

    st.button(f"Save {_n(len(found.rows), 'verdict')}", type="primary", icon=":material/save:", key="import.save", on_click=save)
    if "import.said" in st.session_state:
        icon, sentence = st.session_state.pop("import.said")
        (st.success if "check" in icon else st.error)(plain(sentence), icon=icon)
    missing = {row["judge"] for row in found.rows if row["judge"]}
    if missing:
        st.caption(f"Judges named in the file: {', '.join(code(one) for one in sorted(missing)[:8])}")


def _n(n: int, thing: str) -> str:
    return f"{n:,} {thing}{'' if n == 1 else 's'}"
