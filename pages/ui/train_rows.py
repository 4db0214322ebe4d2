"""One trial on the Train page: its state in words, progress, what can be done with it, log and minings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from core.lab.tables import ACTIVE, RESUMABLE
from pages.ui.bits import duration, state_badge
from pages.ui.export import export_menu
from pages.ui.looks import trial_look
from pages.ui.problems import problems_shown
from pages.ui.recipe_tables import RULES
from pages.ui.text import plain, shorten
from pages.ui.train_submit import LONGEST_NAME
from pages.ui.travel import page_link

if TYPE_CHECKING:
    from core.lab.tables import TrialRow
    from pages.ui.frame import Session
    from pages.ui.train_seen import Seen

# The marker of a trial's curve as a character, in the order of looks.TRIALS.
MARKS = ("●", "■", "▲", "◆", "⬟", "✶", "▼", "✚")
_DELETED = "deleted_trials"
LOG_LINES = 40


def trial_row(session: Session, trial: Seen, place: int, waiting: list[str]) -> None:
    """The trial in one bordered row; buttons act at once and draw the page anew."""
    row = trial.row
    with st.container(border=True, gap="small", key=f"trial.{row.id}"):
        name, state, doing, actions = st.columns([2.8, 1.5, 4, 3], gap="small", vertical_alignment="center")
        with name:
            _name(row, place)
        with state:
            state_badge(row.state)
        with doing:
            _doing(trial, waiting)
        with actions.container(horizontal=True, gap="xsmall", horizontal_alignment="right", vertical_alignment="center"):
            _actions(session, row)
        if row.state == "failed":
            message = (trial.failure or {}).get("message") or row.message or "It failed without a message."
            st.error(plain(shorten(str(message), 600)), icon=":material/error:")
        elif row.state == "interrupted" and row.message:
            st.warning(plain(shorten(row.message, 600)), icon=":material/power_off:")


def _name(row: TrialRow, place: int) -> None:
    colour, _, _ = trial_look(place)
    mark, text = st.columns([1, 12], gap="xsmall", vertical_alignment="center")
    # The colour is one of ours and the mark a constant: nothing from a person or a corpus is in this markup.
    mark.html(f"<span style='color:{colour};font-size:1.15rem'>{MARKS[place % len(MARKS)]}</span>")
    with text:
        st.markdown(f"**{plain(shorten(row.name, 60))}**", help=plain(shorten(_settings(row), 400)))


def _settings(row: TrialRow) -> str:
    config = row.config
    parts = [row.recipe_title, f"encoder {(config.get('encoder') or {}).get('key', '?')}"]
    parts += [f"{config[k]} {label}" for k, label in (("epochs", "epochs"), ("batch_size", "a batch")) if k in config]
    parts += [f"learning rate {config.get('learning_rate')}", f"seed {config.get('seed')}"]
    return ", ".join(part for part in parts if part)


def _doing(trial: Seen, waiting: list[str]) -> None:
    row, now = trial.row, trial.progress
    if row.state == "finished":
        best = " · ".join(f"{m} **{row.headline[m]:.3f}**" for m in ("RR@10", "nDCG@10", "R@100") if m in row.headline)
        took = duration(row.ended - row.started) if row.ended and row.started else ""
        st.markdown(f":small[{best} :gray[in {took}]]" if took else f":small[{best}]")
        return
    if row.state == "queued":
        place = waiting.index(row.id) + 1 if row.id in waiting else 1
        st.caption("Next to start" if place == 1 else f"Waits, {place - 1} before it")
        return
    if not now:
        st.caption("Starting: loading the corpus and the encoder ..." if row.state in ACTIVE else "Nothing trained yet")
        return
    words = f"step {now['step']:,} of {now['n_steps']:,}, epoch {now['epoch']:.1f} of {now['n_epochs']}"
    left = now.get("seconds_left")
    if row.state == "running" and left is not None:
        words += f", {duration(left)} left"
    elif row.state == "stopping":
        words += ", saving a checkpoint"
    if now.get("loss") is not None:
        words += f", loss {now['loss']:.3f}"
    st.progress(min(1.0, max(0.0, now["share"])), text=f":small[{words}]")


def _actions(session: Session, row: TrialRow) -> None:
    if row.state in ("queued", "running") and st.button("Stop", icon=":material/stop:", key=f"stop.{row.id}"):
        session.store.request_stop(row.id)
        session.scheduler.wake()
        st.rerun()
    if row.state in RESUMABLE and st.button("Go on", icon=":material/play_arrow:", key=f"resume.{row.id}"):
        session.store.resume(row.id)
        session.scheduler.wake()
        st.rerun()
    if row.state == "finished":
        for page, label in (("map", "Map"), ("negatives", "Negatives")):
            page_link(page, label, trial=row.id, query=None, refresh=None)
    with st.popover("", icon=":material/more_vert:"), problems_shown():
        with st.form(f"rename.{row.id}", border=False):
            name = st.text_input("Name", value=row.name, max_chars=LONGEST_NAME)
            if st.form_submit_button("Rename", icon=":material/edit:"):
                session.store.rename(row.id, name)
                st.rerun()
        export_menu(session, row, key=row.id, is_live=True)
        if st.button(
            "Delete",
            icon=":material/delete:",
            key=f"delete.{row.id}",
            disabled=row.state in ACTIVE,
            help="Stop it first." if row.state in ACTIVE else "It goes to the trash; you can undo it.",
        ):
            session.store.delete(row.id)
            session.state[_DELETED] = [*session.state.get(_DELETED, []), row.id]
            rest = [i for i in session.link.trials if i != row.id]
            session.link.set(trials=rest or None, trial=None)
            st.rerun()


def undo_deleted(session: Session) -> None:
    """The trials deleted in this visit, the last first, each with the way back."""
    ids = session.state.get(_DELETED, [])
    if not ids:
        return
    row = session.store.get(ids[-1])
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f":material/delete: Deleted **{plain(shorten(row.name, 60))}**", width="content")
        if st.button("Undo", icon=":material/undo:", key="undo"):
            session.store.undelete(row.id)
            session.state[_DELETED] = ids[:-1]
            if session.link.trials:  # else the page shows the newest by itself, this one among them
                session.link.set(trials=[*session.link.trials, row.id])
            st.rerun()
        if st.button("Fine", key="undo.dismiss", type="tertiary"):
            session.state[_DELETED] = []
            st.rerun()


def details(trial: Seen) -> None:
    """The log and what each mining of one trial gave."""
    rows = []
    for event in trial.refreshes:
        for lane in event.get("lanes", ()):
            counts = dict(lane.get("funnel", ()))
            line = {"step": event["step"], "lane": lane["lane"] + 1, "source": lane["source"]}
            line |= {"looked at": counts.pop("looked at", None), "kept": counts.pop("kept", None)}
            line |= {"hard share": lane.get("hard_share"), "false negatives": lane.get("false_negative_rate")}
            line |= {"too few": lane.get("n_short")}
            line |= {"staleness": lane["staleness"]} if "staleness" in lane else {}
            rows.append(line | {f"refused: {RULES.get(rule, rule)}": n for rule, n in counts.items() if n})
    if rows:
        names = list(dict.fromkeys(name for row in rows for name in row))
        if all(row["false negatives"] is None for row in rows):
            names.remove("false negatives")
        share = {"format": "percent"}
        st.dataframe(
            {name: [row.get(name) for row in rows] for name in names},
            hide_index=True,
            width="stretch",
            height=min(300, 36 * (len(rows) + 1) + 2),
            column_config={
                "hard share": st.column_config.NumberColumn(
                    help="Kept candidates that the model scores at or above the positive.", **share
                ),
                "false negatives": st.column_config.NumberColumn(help="Kept candidates that this corpus's truth calls relevant.", **share),
                "staleness": st.column_config.NumberColumn(help="Steps between the weights that mined and the taking of what they mined."),
                "too few": st.column_config.NumberColumn(help="Queries with fewer negatives than asked for."),
            },
            key=f"minings.{trial.row.id}",
        )
    else:
        st.caption("It has mined nothing: its negatives come from the batch alone." if trial.curve else "Not started.")
    if trial.log:
        st.code("\n".join(trial.log[-LOG_LINES:]), language=None, wrap_lines=True)
