"""What is judged, by whom and how: the controls above the queue, all of them in the link."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import streamlit as st

from core.errors import ParameterError
from core.lab.verdicts import LONGEST_JUDGE, checked_judge
from pages.ui.frame import empty
from pages.ui.judge_name import judge_name, keep_judge
from pages.ui.judge_queue import DEFAULT_RULE, RULES, SCOPES
from pages.ui.text import plain, shorten
from pages.ui.trials import corpus_link

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session

MODES = {"one": ":material/crop_portrait: One", "grid": ":material/grid_view: Grid"}
SHARES = {"0": "none", "0.1": "one in ten", "0.2": "one in five", "0.5": "half", "1": "all"}


@dataclass(frozen=True)
class Manner:
    """How the queue is judged. ``overlap``: share of pairs that two judges see; ``is_blind``: scores and reasons are hidden."""

    mode: str
    is_blind: bool
    rule: str
    scope: str
    overlap: float


def corpus_and_trials(session: Session) -> tuple[Corpus, dict[str, TrialRow]]:
    """The corpus of the link and its trials that have mined, by id; ends the page where there is nothing to judge."""
    link = session.link
    if link.corpus is None and link.trial is not None:
        link.set(corpus=corpus_link(session.store.get(link.trial)))
    corpus = session.need_corpus()
    rows = {row.id: row for row in session.store.list(fingerprint=corpus.fingerprint) if row.state != "queued"}
    if link.trial is not None and link.trial not in rows:
        st.warning("The trial of this link has not started, or is not one of this corpus.", icon=":material/link_off:")
        link.forget("trial")
    if not rows and corpus.imported is None:
        _end("There is nothing to judge yet: train something that mines, or import a mined set.", "Choose a recipe and train", "recipe")
    return corpus, rows


def _end(sentence: str, label: str, page: str) -> NoReturn:
    st.title("Judge", anchor=False)
    empty(sentence, label, page, icon=":material/gavel:", trial=None)
    st.stop()


def choose_source(session: Session, corpus: Corpus, rows: dict[str, TrialRow]) -> TrialRow | None:
    """The trial whose negatives are judged; None = the negatives that came with the corpus."""
    link = session.link
    names = {i: shorten(row.name, 60) + ("" if row.state == "finished" else f" ({row.state})") for i, row in rows.items()}
    if corpus.imported is not None:
        where = {"trial": "A trial's negatives", "imported": "The imported set"} if rows else {"imported": "The imported set"}
        default = "trial" if link.trial in rows else "imported"
        kind = link.bind(st.selectbox, "source", "Judge", options=list(where), default=default, format_func=where.get, width=200)
        if kind == "imported":
            return None
    first = next((i for i, row in rows.items() if row.recipe.get("mined")), next(iter(rows)))
    chosen = link.bind(st.selectbox, "trial", "Negatives of", options=list(rows), default=first, format_func=names.get, width=260)
    return rows[chosen]


def choose_manner(session: Session, row: TrialRow | None, *, is_judging: bool = True) -> Manner:
    """The controls that say how: one or many, blind or not; the rest, which makes the queue, behind a button."""
    link, mode, is_blind = session.link, "one", False
    if is_judging:
        mode = link.bind(st.segmented_control, "mode", "Show", options=list(MODES), format_func=MODES.get, label_visibility="collapsed")
        is_blind = link.bind(
            st.toggle,
            "blind",
            "Blind",
            default=False,
            help="Hides scores, reasons and the why-card, so that only the texts decide. Judge some of your pairs so: it shows "
            "whether the reasons have been leading you.",
        )
    with st.popover("Queue", icon=":material/tune:"):
        rule = link.bind(
            st.selectbox,
            "rule",
            "Suspected when",
            options=list(RULES),
            default=DEFAULT_RULE,
            format_func=lambda name: RULES[name][0],
            help="How the reasons to doubt a negative are combined. The queue is ordered by this doubt times the harm: how "
            "strongly the training has pushed the pair apart.",
        )
        scope = link.bind(
            st.selectbox,
            "scope",
            "Judge",
            options=list(SCOPES),
            format_func=SCOPES.get,
            help="Judging some that nobody suspects tells what the reasons miss.",
        )
        share = link.bind(
            st.selectbox,
            "twice",
            "Judged by two",
            options=list(SHARES),
            default="0.1",
            format_func=SHARES.get,
            help="The share of pairs that a second judge gets too, so that agreement (Cohen's kappa) can be told. No pair is "
            "ever given twice to the same judge.",
        )
    return Manner(mode, is_blind, rule, scope, float(share))


def choose_judge(session: Session) -> str:
    """The judge's name: from the link, else asked for once; "" while nobody has said."""
    link = session.link
    try:
        name = checked_judge(judge_name(session))
    except ParameterError:
        name = ""
    if name and link.value("judge", "") != name:
        link.set(judge=name)
    if name:
        keep_judge(session, name)
    return name


def ask_judge(session: Session) -> None:
    """The form that asks who judges."""

    def keep() -> None:
        try:
            name = checked_judge(st.session_state["judge.asked"])
        except ParameterError as error:
            st.session_state["judge.refused"] = str(error)
            return
        keep_judge(session, name)
        session.link.set(judge=name)

    with st.container(border=True):
        st.markdown("**Who judges?** Verdicts are kept by name, so that two judges can be compared and each can take back their own.")
        with st.form("judge.who", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input("Your name", key="judge.asked", max_chars=LONGEST_JUDGE, width=280, placeholder="name or initials")
            st.form_submit_button("Start judging", type="primary", icon=":material/gavel:", on_click=keep)
        if st.session_state.get("judge.refused"):
            st.caption(f":orange[{plain(st.session_state.pop('judge.refused'))}]")


def other_judge(session: Session, name: str) -> None:
    """Who judges now, and the way to hand over."""

    def leave() -> None:
        keep_judge(session, "")
        session.link.forget("judge")

    with st.popover(shorten(name, 18), icon=":material/person:"):
        st.caption("You judge under this name. The name is in the link: take it out before you send the link to another judge.")
        st.button("Somebody else judges", icon=":material/logout:", key="judge.leave", on_click=leave)
