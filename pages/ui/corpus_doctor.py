"""The doctor's view of a corpus: findings as cards, examples as texts, remedies as buttons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.ui.browse import SHORT_WORD
from pages.ui.corpora import keep_copy, know
from pages.ui.text import code, plain, shorten, show
from pages.ui.travel import go

if TYPE_CHECKING:
    from core.audit.doctor import Example, Finding
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session
    from pages.ui.links import Link

LOOKS = {
    "fault": ("red", ":material/error:", "Fault", "faults"),
    "warning": ("orange", ":material/warning:", "Warning", "warnings"),
    "note": ("blue", ":material/info:", "Note", "notes"),
    "good": ("green", ":material/check_circle:", "Fine", "checks that found nothing"),
}
SEVERITY_HELP = {
    "fault": "Numbers measured on this corpus mislead until it is mended.",
    "warning": "Some samplers suffer from it.",
    "note": "Worth knowing; nothing is wrong.",
}
SHOWN_CHARACTERS = 1500


@st.cache_resource(max_entries=8, show_spinner="The doctor reads the corpus ...")
def _findings(fingerprint: str, facts: str, _corpus: Corpus) -> tuple[Finding, ...]:
    from core.audit.doctor import examine

    return examine(_corpus)


def doctor(session: Session, corpus: Corpus) -> None:
    """Every finding, the severest first; what found nothing stands in one line at the end."""
    from core.audit.doctor_remedy import CLEANING

    # What reading dropped is not part of the content, hence not of the fingerprint.
    findings = _findings(corpus.fingerprint, repr(sorted(corpus.facts.items())), corpus)
    told = [finding for finding in findings if finding.severity != "good"]
    fine = [finding for finding in findings if finding.severity == "good"]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        for severity, (colour, icon, _, many) in LOOKS.items():
            count = sum(finding.severity == severity for finding in findings)
            if count:
                st.badge(f"{count} {many if count > 1 else many.replace('checks', 'check').rstrip('s')}", color=colour, icon=icon)
        cures = [key for key in CLEANING if any(finding.remedy == key for finding in told)]
        if len(cures) > 1 and st.button(
            "Clean all of it",
            key="doctor.clean",
            icon=":material/cleaning_services:",
            help="A cleaned copy with every remedy that applies.",
        ):
            _clean(session, corpus, cures)
    link = session.link
    opened = link.value("finding", "", options=[finding.kind for finding in findings if finding.examples])
    for finding in told:
        _card(session, corpus, finding, opened == finding.kind)
    if fine:
        title = f"{len(fine)} check{'s' if len(fine) > 1 else ''} found nothing: {', '.join(f.title.lower() for f in fine)}"
        with st.expander(plain(title), icon=":material/check_circle:"):
            for finding in fine:
                st.markdown(f"**{plain(finding.title)}.** {plain(finding.sentence)}")


def _card(session: Session, corpus: Corpus, finding: Finding, is_open: bool) -> None:
    from core.audit.doctor_remedy import REMEDIES

    colour, icon, name, _ = LOOKS[finding.severity]
    with st.container(border=True):
        words, actions = st.columns([3, 1], vertical_alignment="center", gap="medium")
        with words:
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.markdown(f"**{plain(finding.title)}**", width="content")
                st.badge(name, color=colour, icon=icon, help=SEVERITY_HELP[finding.severity])  # type: ignore[arg-type]
                st.caption(plain(f"{finding.count:,} of {finding.of:,} {finding.unit}"), width="content")
            st.markdown(plain(finding.sentence))
        with actions:
            if finding.examples:
                label = "Hide examples" if is_open else f"Show {len(finding.examples)} example{'s' if len(finding.examples) > 1 else ''}"
                if st.button(label, key=f"doctor.show.{finding.kind}", type="tertiary", icon=":material/search:", width="stretch"):
                    session.link.set(finding=None if is_open else finding.kind)
                    st.rerun()
            if finding.remedy:
                label, does = REMEDIES[finding.remedy]
                if st.button(label, key=f"doctor.cure.{finding.kind}", help=does, width="stretch"):
                    _cure(session, corpus, finding.remedy)
        if is_open:
            _examples(session.link, corpus, finding)


def _examples(link: Link, corpus: Corpus, finding: Finding) -> None:
    """A table of the examples, and the chosen one in full below it."""
    if all(max(e.query_row, e.doc_row) < 0 for e in finding.examples):
        st.dataframe({"what the reader said": [e.note for e in finding.examples]}, hide_index=True, width="stretch")
        return
    parts = {
        "query": [_first_words(corpus, e.query_row, is_query=True) for e in finding.examples],
        "also a query": [_first_words(corpus, e.other_query_row, is_query=True) for e in finding.examples],
        "document": [_first_words(corpus, e.doc_row) for e in finding.examples],
        "beside": [_first_words(corpus, e.other_doc_row) for e in finding.examples],
        "note": [e.note for e in finding.examples],
    }
    picked: Any = st.dataframe(
        {name: column for name, column in parts.items() if any(column)},
        hide_index=True,
        width="stretch",
        height=min(35 * (len(finding.examples) + 1) + 3, 248),
        on_select="rerun",
        selection_mode="single-row",
        key=f"doctor.rows.{corpus.fingerprint}.{finding.kind}",
    )
    rows = picked["selection"]["rows"]
    st.caption("Click the box left of a row to read it in full.")
    _in_full(link, corpus, finding.kind, finding.examples[rows[0] if rows and rows[0] < len(finding.examples) else 0])


def _in_full(link: Link, corpus: Corpus, kind: str, example: Example) -> None:
    text = corpus.query_texts([example.query_row])[0] if example.query_row >= 0 else ""
    words = [word for word in text.lower().split() if len(word) > SHORT_WORD]
    if example.note:
        st.caption(plain(example.note))
    for row, key in ((example.query_row, "query"), (example.other_query_row, "other")):
        if row >= 0:
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f":material/star: Query {code(corpus.query_ids([row])[0])}", width="content")
                _open(link, f"doctor.{kind}.{key}", show=None, query=corpus.query_ids([row])[0])
            show(corpus.query_texts([row])[0])
    rows = [row for row in (example.doc_row, example.other_doc_row) if row >= 0]
    if not rows:
        return
    for i, (cell, row) in enumerate(zip(st.columns(len(rows), gap="medium"), rows, strict=True)):
        with cell.container(border=True):
            doc_id = corpus.doc_ids([row])[0]
            with st.container(horizontal=True, vertical_alignment="center"):
                st.caption(f":material/description: {code(doc_id)}", width="content")
                _open(link, f"doctor.{kind}.doc{i}", show="documents", doc=doc_id)
            title, text = (corpus.documents[name][row].as_py() for name in ("title", "text"))
            show(text if len(text) <= SHOWN_CHARACTERS else shorten(text, SHOWN_CHARACTERS), words, title=title)
            if not (title or text):
                st.caption("No text.")


def _open(link: Link, key: str, **state: str | None) -> None:
    if st.button("Open", key=key, type="tertiary", icon=":material/open_in_new:", help="See it in full, with its labels."):
        link.set(view=None, page=None, find=None, split=None, **state)
        st.rerun()


def _first_words(corpus: Corpus, row: int, *, is_query: bool = False) -> str:
    if row < 0:
        return ""
    text = corpus.query_texts([row])[0] if is_query else corpus.document_texts([row])[0]
    return shorten(text, 120) or "(empty)"


def _cure(session: Session, corpus: Corpus, remedy: str) -> None:
    from core.audit.doctor_remedy import CLEANING, protect_twins
    from core.sampling.presets import PRESETS

    if remedy in CLEANING:
        _clean(session, corpus, [remedy])
    recipe = session.link.recipe
    if recipe is None or not recipe.mined:
        recipe = PRESETS["bm25"].recipe
    go("recipe", recipe=protect_twins(recipe), query=None)


def _clean(session: Session, corpus: Corpus, remedies: list[str]) -> None:
    """Keep a cleaned copy in the workspace and go on with it."""
    from core.audit.doctor_remedy import cleaned

    with st.spinner("Making a cleaned copy ..."):
        copy = cleaned(corpus, *remedies)
        spec = keep_copy(session, copy)
    session.link.set(finding=None)
    know(session, copy, spec)
