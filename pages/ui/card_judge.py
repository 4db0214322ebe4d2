"""Judging on the card itself: what people said, and four buttons that say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.errors import ParameterError
from core.lab.verdicts import FALSE_NEGATIVE, NEAR_DUPLICATE, TRUE_NEGATIVE, UNSURE, checked_judge
from pages.ui.bits import ago
from pages.ui.judge_name import judge_name, keep_judge
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from core.audit.card import WhyCard
    from core.corpus.corpus import Corpus
    from pages.ui.frame import Session

BUTTONS = {
    FALSE_NEGATIVE: ("False negative", ":material/diamond:", "It answers the query: it should not be trained against."),
    TRUE_NEGATIVE: ("True negative", ":material/close:", "It does not answer the query: the training may push it away."),
    NEAR_DUPLICATE: ("Near-duplicate", ":material/content_copy:", "It says what a positive says, in nearly the same words."),
    UNSURE: ("Unsure", ":material/question_mark:", "Cannot be said from the texts."),
}
COLOURS = {FALSE_NEGATIVE: "violet", TRUE_NEGATIVE: "green", NEAR_DUPLICATE: "orange", UNSURE: "gray"}


def draw_judging(session: Session, corpus: Corpus, card: WhyCard, key: str) -> None:
    """The verdicts in force on the pair, and the buttons; a press is saved at once."""
    if card.is_known_positive:
        return
    query_id, doc_id = corpus.query_ids([card.query_row])[0], corpus.doc_ids([card.doc_row])[0]
    judge = judge_name(session)
    said = session.verdicts.of_pair(corpus.fingerprint, query_id, doc_id)
    mine = next((v for v in said if v.judge == judge), None)

    def judge_it(kind: str) -> None:
        session.verdicts.record(corpus.fingerprint, query_id, doc_id, judge_name(session), kind, note=mine.note if mine else "")

    with st.container(border=True, gap="xsmall", key=f"{key}.judging"):
        if not judge:
            _ask_name(session, key)
        with st.container(horizontal=True, gap="small", vertical_alignment="center"):
            st.markdown("**Your verdict**" if judge else "**What do you say?**", width="content")
            for kind, (label, icon, help_text) in BUTTONS.items():
                st.button(
                    label,
                    icon=icon,
                    help=help_text,
                    key=f"{key}.judge.{kind}",
                    disabled=not judge,
                    type="primary" if mine is not None and mine.kind == kind else "secondary",
                    on_click=judge_it,
                    args=(kind,),
                )
        for verdict in said:
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                st.badge(BUTTONS[verdict.kind][0].lower(), color=COLOURS[verdict.kind])  # type: ignore[arg-type]
                who = "you" if verdict.judge == judge else verdict.judge
                how = {"import": ", imported", "llm": ", a language model"}.get(verdict.source, "")
                note = f": {shorten(verdict.note, 200)}" if verdict.note else ""
                st.caption(f"{plain(who)}{how}, {ago(verdict.created)}{plain(note)}", width="content")


def _ask_name(session: Session, key: str) -> None:
    """The judge's name, asked once: verdicts are kept by judge."""

    def keep() -> None:
        try:
            keep_judge(session, checked_judge(st.session_state[f"{key}.name"]))
        except ParameterError as error:
            st.toast(plain(str(error)), icon=":material/error:")

    st.text_input("Your name, to judge it", key=f"{key}.name", on_change=keep, width=280, placeholder="name or initials")
