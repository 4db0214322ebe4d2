"""The judging part of the page: it alone is drawn again after each verdict, so nothing else flickers or waits."""

from __future__ import annotations

import time
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
BOUNCE_SECONDS = 10
_PRESSED, _SLOTS, _SAID = "judge.pressed", "judge.slots", "judge.said"


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
    def judge_it(self, pair: Pair, kind: str, note_key: str, is_again: bool = False) -> None:
        """Save the verdict. A second press on the same pair changes nothing unless it is judged again knowingly."""
        self.pressed()
        note = st.session_state.get(note_key, "") if note_key else ""
        found = self.verdicts.record(self.fingerprint, *pair, self.judge, kind, note=note, only_new=not is_again)
        # A key that reached the old pair's button on its way out is no news.
        if found.kind != kind and time.time() - found.created > BOUNCE_SECONDS:
            said = plain(BUTTONS[found.kind][0].lower())
            self.say(f"You had judged that pair already ({said}); that verdict stays.")
        if is_again or self.first == pair:
            self.session.link.forget("first")

    def skip(self, pair: Pair) -> None:
        self.pressed()
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
        if bench.first is not None:
            _one(bench, bench.first, standing)
        elif not held:
            _nothing_left(bench, standing)
        elif bench.manner.mode == "grid":
            _grid(bench, held)
        else:
            _one(bench, held[0], standing)
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
    name = _name(pair)
    with st.container(horizontal=True, gap="small", vertical_alignment="bottom", key="judge.bar"):
        for kind in KINDS:
            label, icon, help_text = BUTTONS[kind]
            st.button(
                label,
                icon=icon,
                help=help_text,
                key=f"judge.{kind}.{name}",
                type="primary" if kind == before else "secondary",
                shortcut=KEYS[kind],
                on_click=bench.judge_it,
                args=(pair, kind, f"judge.note.{name}", bool(before)),
            )
        _others(bench, pair, name)
        st.text_input("Note", key=f"judge.note.{name}", placeholder="a note; Tab leaves it", label_visibility="collapsed", width=220)
    # Below the buttons: they stay in their place however many reasons there are, and the texts are read first.
    why_here(bench, pair)


def _others(bench: Bench, pair: Pair, name: str) -> None:
    look = {"type": "tertiary"}
    st.button("Skip", icon=":material/skip_next:", key=f"judge.skip.{name}", shortcut="s", on_click=bench.skip, args=(pair,), **look)
    st.button("Undo", icon=":material/undo:", key="judge.undo", shortcut="z", on_click=bench.take_back, **look)
    if not bench.manner.is_blind:
        icon = ":material/manage_search:"
        if st.button("Why?", icon=icon, key=f"judge.why.{name}", shortcut="w", help="The full card of the pair.", **look):
            bench.open_card(pair)
            st.rerun()


def _grid(bench: Bench, held: list[Pair]) -> None:
    """Each pair stays in its place while it is held; one that was judged makes room for the next."""
    before = [tuple(pair) for pair in st.session_state.get(_SLOTS, [])]
    slots: list[Pair | None] = [pair if pair in held else None for pair in before[: len(held)]]
    slots += [None] * (len(held) - len(slots))
    new = iter([pair for pair in held if pair not in slots])
    filled = [pair if pair is not None else next(new) for pair in slots]
    st.session_state[_SLOTS] = [list(pair) for pair in filled]
    for start in range(0, len(filled), 2):
        for place, cell in zip(range(start, min(start + 2, len(filled))), st.columns(2, gap="small"), strict=False):
            pair, name = filled[place], _name(filled[place])
            with cell.container(border=True, gap="small", height="stretch"):
                draw_small(bench, pair)
                with st.container(horizontal=True, gap="xsmall"):
                    for kind in KINDS:
                        label, _, help_text = BUTTONS[kind]
                        st.button(
                            SHORT[kind],
                            help=f"{label}: {help_text}",
                            key=f"judge.{kind}.{name}",
                            # The keys mean the first cell: each verdict needs one key, wherever the eyes are.
                            shortcut=KEYS[kind] if place == 0 else None,
                            on_click=bench.judge_it,
                            args=(pair, kind, ""),
                        )
                if not bench.manner.is_blind:
                    why_here(bench, pair)
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        _others(bench, filled[0], _name(filled[0]))
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


def _name(pair: Pair) -> str:
    """Part of the buttons' keys: a press that comes late belongs to the pair that was on the screen, not to the next."""
    from core.lab.verdict_claims import pair_key

    return pair_key(*pair)[:12]
