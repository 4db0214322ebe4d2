"""The judging part of the page: it alone is drawn again after each verdict, so nothing else flickers or waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import streamlit as st

from core.lab.verdicts import KINDS, Pair
from pages.ui.card_judge import BUTTONS
from pages.ui.judge_looks import KEYS, SHORT
from pages.ui.judge_texts import draw_pair, draw_small, why_here
from pages.ui.judge_verdicts import lead_on
from pages.ui.problems import problems_shown
from pages.ui.text import plain, shorten

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session
    from pages.ui.judge_choose import Manner
    from pages.ui.judge_queue import Queue

GRID = 6
LEASE_SECONDS = 300
# Nobody reads a pair faster: a key that comes sooner was meant for the pair before. The buttons keep their identity from pair
# to pair, because Streamlit leaves a button of another identity beside its successor until the run has ended.
UNREAD_SECONDS = 0.3
_PRESSED, _SHOWN, _SAID, _NOTE = "judge.pressed", "judge.shown", "judge.said", "judge.note"


@dataclass(frozen=True)
class Bench:
    """Who judges what, and how."""

    session: Session
    corpus: Corpus
    queue: Queue
    judge: str
    manner: Manner
    trial: TrialRow | None

    # What the buttons do ---------------------------------------------------------------------------
    def judge_it(self, place: int, pair: Pair, kind: str, is_again: bool = False) -> None:
        """Save the verdict. A second press on the same pair changes nothing unless it is judged again knowingly."""
        self.pressed()
        if not self.was_read(place, pair):
            return
        note = st.session_state.get(_NOTE, "")
        st.session_state[_NOTE] = ""
        found = self.verdicts.record(self.fingerprint, *pair, self.judge, kind, note=note, only_new=not is_again)
        if found.kind != kind:
            said = plain(BUTTONS[found.kind][0].lower())
            self.say(f"You had judged that pair already ({said}); that verdict stays.")
        if is_again or self.first == pair:
            self.session.link.forget("first")

    def skip(self, place: int, pair: Pair) -> None:
        self.pressed()
        if not self.was_read(place, pair):
            return
        st.session_state[_NOTE] = ""
        self.verdicts.skip(self.fingerprint, self.judge, *pair)
        if self.first == pair:
            self.session.link.forget("first")

    def take_back(self) -> None:
        """Undo what this judge did last, a verdict or a skip."""
        self.pressed()
        skips = self.verdicts.skipped(self.fingerprint, self.judge)
        mine = self.verdicts.list(self.fingerprint, judge=self.judge)
        if skips and max(skips.values()) > (mine[-1].created if mine else 0.0):
            self.verdicts.unskip(self.fingerprint, self.judge, only_last=True)
            return
        undone = self.verdicts.undo(self.fingerprint, self.judge)
        if undone is None:
            self.say("There is nothing of yours to undo.")
        else:
            self.say(f"Undone: {plain(BUTTONS[undone.kind][0].lower())} on {plain(shorten(undone.doc_id, 40))}.")

    def bring_back(self) -> None:
        self.verdicts.unskip(self.fingerprint, self.judge)

    def open_card(self, pair: Pair) -> None:
        self.session.link.set(query=pair[0], doc=pair[1])

    def was_read(self, place: int, pair: Pair) -> bool:
        """Whether the pair has stood in its place long enough to be meant."""
        query, doc, since = st.session_state.get(_SHOWN, {}).get(place, ("", "", 0.0))
        if (query, doc) == pair and time.time() - since >= UNREAD_SECONDS:
            return True
        self.say("That key came before the pair could be read, so nothing was saved.")
        return False

    def was_shown(self, pairs: Sequence[Pair]) -> None:
        """Remember since when each place shows its pair; called when they are drawn."""
        before, now = st.session_state.get(_SHOWN, {}), time.time()
        since = [before[i][2] if i in before and tuple(before[i][:2]) == pair else now for i, pair in enumerate(pairs)]
        st.session_state[_SHOWN] = {i: (*pair, t) for i, (pair, t) in enumerate(zip(pairs, since, strict=True))}

    def say(self, sentence: str) -> None:
        """Said when the desk is drawn: a callback must not draw."""
        st.session_state[_SAID] = sentence

    def pressed(self) -> None:
        st.session_state[_PRESSED] = time.perf_counter()

    @property
    def verdicts(self):
        return self.session.verdicts

    @property
    def fingerprint(self) -> str:
        return self.corpus.fingerprint

    @property
    def first(self) -> Pair | None:
        """A pair that the link asks for before all others, such as one that a card sent here."""
        query, doc = self.session.link.query, self.session.link.value("first", "")
        if not doc or not query or self.corpus.query_rows([query])[0] < 0 or self.corpus.doc_rows([doc])[0] < 0:
            return None
        return query, doc


@st.fragment
def judging(bench: Bench) -> None:
    """Progress, then the pair or the grid, then the buttons."""
    with problems_shown():
        started = st.session_state.pop(_PRESSED, None)
        wanted = GRID if bench.manner.mode == "grid" else 1
        held = bench.verdicts.claim(
            bench.fingerprint, bench.judge, bench.queue.pairs, n=wanted, seconds=LEASE_SECONDS, overlap=bench.manner.overlap
        )
        standing = bench.verdicts.by_pair(bench.fingerprint)
        _progress(bench, standing)
        shown: list[Pair] = [bench.first] if bench.first is not None else held
        if not shown:
            _nothing_left(bench, standing)
        elif bench.manner.mode == "grid" and bench.first is None:
            shown = _in_places(held)
            _grid(bench, shown)
        else:
            _one(bench, shown[0], standing)
        bench.was_shown(shown)
        if started is not None:
            said = st.session_state.pop(_SAID, "Saved.")
            took = (time.perf_counter() - started) * 1000
            st.caption(f":material/cloud_done: {said} {took:.0f} ms", help="Server time from your key to the next pair.")
        # In here, because what can be retrained with grows with each verdict.
        lead_on(bench.session, bench.trial)


def _progress(bench: Bench, standing: dict[Pair, dict[str, str]]) -> None:
    total = len(bench.queue)
    judged = [standing[pair] for pair in bench.queue.pairs if pair in standing]
    mine = sum(bench.judge in votes for votes in judged)
    twice = sum(len(votes) > 1 for votes in judged)
    text = f"**{len(judged):,} of {total:,}** judged, {total - len(judged):,} left; {mine:,} by you"
    text += f", {twice:,} by two" if twice else ""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.progress(len(judged) / total if total else 1.0, text=text)


def _one(bench: Bench, pair: Pair, standing: dict[Pair, dict[str, str]]) -> None:
    before = standing.get(pair, {}).get(bench.judge, "")
    if before:
        st.info(f"You judged this pair before: {BUTTONS[before][0].lower()}. A new verdict replaces it.", icon=":material/history:")
    draw_pair(bench, pair)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="judge.bar"):
        for kind in KINDS:
            label, icon, help_text = BUTTONS[kind]
            st.button(
                label,
                icon=icon,
                help=help_text,
                key=f"judge.{kind}.0",
                type="primary" if kind == before else "secondary",
                shortcut=KEYS[kind],
                on_click=bench.judge_it,
                args=(0, pair, kind, bool(before)),
            )
        _others(bench, pair)
        st.text_input("Note", key=_NOTE, placeholder="a note; Tab leaves it", label_visibility="collapsed", width=220)
    # Below the buttons: they stay in their place however many reasons there are, and the texts are read first.
    why_here(bench, pair)


def _others(bench: Bench, pair: Pair) -> None:
    look = {"type": "tertiary"}
    st.button("Skip", icon=":material/skip_next:", key="judge.skip", shortcut="s", on_click=bench.skip, args=(0, pair), **look)
    st.button("Undo", icon=":material/undo:", key="judge.undo", shortcut="z", on_click=bench.take_back, **look)
    if not bench.manner.is_blind:
        icon = ":material/manage_search:"
        if st.button("Why?", icon=icon, key="judge.why", shortcut="w", help="The full card of the pair.", **look):
            bench.open_card(pair)
            st.rerun()


def _in_places(held: list[Pair]) -> list[Pair]:
    """Each pair stays in its place while it is held; one that was judged makes room for the next."""
    before = st.session_state.get(_SHOWN, {})
    places: list[Pair | None] = [tuple(before[i][:2]) if i in before else None for i in range(len(held))]
    places = [pair if pair in held else None for pair in places]
    new = iter([pair for pair in held if pair not in places])
    return [pair if pair is not None else next(new) for pair in places]


def _grid(bench: Bench, shown: list[Pair]) -> None:
    for start in range(0, len(shown), 2):
        for place, cell in zip(range(start, min(start + 2, len(shown))), st.columns(2, gap="small"), strict=False):
            pair = shown[place]
            with cell.container(border=True, gap="small", height="stretch"):
                draw_small(bench, pair)
                with st.container(horizontal=True, gap="xsmall"):
                    for kind in KINDS:
                        label, _, help_text = BUTTONS[kind]
                        st.button(
                            SHORT[kind],
                            help=f"{label}: {help_text}",
                            key=f"judge.{kind}.{place}",
                            # The keys mean the first cell: each verdict needs one key, wherever the eyes are.
                            shortcut=KEYS[kind] if place == 0 else None,
                            on_click=bench.judge_it,
                            args=(place, pair, kind),
                        )
                if not bench.manner.is_blind:
                    why_here(bench, pair)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        _others(bench, shown[0])
        st.caption("Keys, Skip and Why? mean the first cell.")


def _nothing_left(bench: Bench, standing: dict[Pair, dict[str, str]]) -> None:
    total, skipped = len(bench.queue), len(bench.verdicts.skipped(bench.fingerprint, bench.judge))
    left = sum(pair not in standing for pair in bench.queue.pairs)
    with st.container(border=True):
        if not total:
            st.markdown(":material/check_circle: No negative is suspected by this rule. Choose another under **Queue**.")
        elif not left:
            st.markdown(f":material/check_circle: **All {total:,} pairs of this queue are judged.** Now retrain with the verdicts.")
        else:
            st.markdown(f":material/groups: The other {left:,} pairs are skipped or with other judges; a pair comes back after 5 minutes.")
        with st.container(horizontal=True):
            if skipped:
                st.button(f"Judge the {skipped:,} skipped", icon=":material/replay:", key="judge.unskip", on_click=bench.bring_back)
            if left:
                st.button("Look again", icon=":material/refresh:", key="judge.again")
            st.button("Undo", icon=":material/undo:", key="judge.undo", shortcut="z", on_click=bench.take_back, type="tertiary")
