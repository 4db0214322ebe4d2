"""Forms and gallery cards that are derived from a piece's class."""

from __future__ import annotations

import math
import re
from typing import Any, TypeVar

import streamlit as st

from core.errors import ParameterError
from core.params import Param, Piece
from pages.ui.text import plain

P = TypeVar("P", bound=Piece)
COST_COLOURS = {"free": "green", "low": "blue", "medium": "orange", "high": "red"}
DIFFICULTY_COLOURS = {"easy": "green", "medium": "orange", "hard": "red"}


def piece_form(piece: P, prefix: str, *, columns: int = 2, without: tuple[str, ...] = ()) -> P:
    """Draw a widget for each parameter and return the piece that they describe.

    Pass the returned piece back on the next run (through the link or the session state): a piece that
    differs from the one returned last sets the widgets. ``prefix`` must be unique on the page. When a
    value is refused, the rule is shown and the piece that was passed in comes back. ``without``: parameters left as they are.
    """
    values = params_form(
        tuple(p for p in piece.params() if p.name not in without),
        {p.name: getattr(piece, p.name) for p in piece.params()},
        f"{prefix}.{piece.key}",
        columns=columns,
    )
    try:
        return piece.but(**values)
    except ParameterError as error:
        st.error(plain(str(error)), icon=":material/error:")
        # What is refused stays in its box: two parameters that belong together change one after the other.
        for spec in piece.params():
            _returned()[_key(f"{prefix}.{piece.key}", spec)] = getattr(piece, spec.name)
        return piece


def params_form(params: tuple[Param, ...], values: dict[str, Any], prefix: str, *, columns: int = 2) -> dict[str, Any]:
    """The values that the widgets of ``params`` show; ``values`` as in :func:`piece_form`. Nothing is checked."""
    if not params:
        return {}
    cells = st.columns(min(columns, len(params)), gap="medium")
    found = {}
    for i, spec in enumerate(params):
        with cells[i % len(cells)]:
            found[spec.name] = param_widget(spec, values[spec.name], _key(prefix, spec))
    return found


def param_widget(spec: Param, value: Any, key: str) -> Any:
    """One parameter's widget and its value; ``value`` sets it when it is not the one returned last."""
    returned = _returned()
    if key not in st.session_state or returned.get(key) != value:
        st.session_state[key] = value
    label = spec.label[:1].upper() + spec.label[1:]
    about = {"label": label, "key": key, "help": f"{_sentence(spec.help)}\n\n:gray[{plain(spec.rule.capitalize())}.]"}
    if spec.choices:
        short = len(spec.choices) <= 4 and sum(map(len, spec.choices)) <= 32
        new = (st.segmented_control if short else st.selectbox)(options=spec.choices, **about)
    elif spec.type is bool:
        new = st.toggle(**about)
    elif spec.type in (int, float):
        low, high = (None if bound is None else spec.type(bound) for bound in (spec.ge, spec.le))
        shape = {"step": 1} if spec.type is int else {"step": _step(spec), "format": "%.6g"}
        new = st.number_input(min_value=low, max_value=high, **shape, **about)
    else:
        new = st.text_input(**about)
    new = value if new is None else new
    returned[key] = new
    return new


def describe_piece(cls: type[Piece], *, because: str = "", expanded: bool = False) -> None:
    """A gallery card: title, idea, cost, difficulty, lesson and citation, all from the class.

    ``because``: why it cannot be used here, when it cannot.
    """
    card(cls.title, cls.idea(), cls.lesson(), cls.source, cls.cost, cls.difficulty, because=because, expanded=expanded)


def card(
    title: str,
    idea: str,
    lesson: str,
    source: Any,
    cost: str,
    difficulty: str,
    *,
    because: str = "",
    expanded: bool = False,
) -> None:
    """A gallery card of anything that has a lesson (a piece, a preset)."""
    with st.container(border=True, height="stretch"):
        st.markdown(f"**{plain(title)}**")
        with st.container(horizontal=True, gap="xsmall"):
            st.badge(f"cost: {cost}", color=COST_COLOURS.get(cost, "gray"))  # type: ignore[arg-type]
            st.badge(f"difficulty: {difficulty}", color=DIFFICULTY_COLOURS.get(difficulty, "gray"))  # type: ignore[arg-type]
        st.markdown(_sentence(idea))
        if because:
            st.caption(f":material/block: Not here: {plain(because)}")
        rest = lesson.split("\n", 1)[1].strip() if "\n" in lesson else ""
        if rest:
            with st.expander("Lesson", expanded=expanded):
                st.markdown(lesson_markdown(rest))
        st.caption(f"{plain(f'{source.authors} {source.year}')}, [{plain(source.title)}]({source.url})")


def lesson_markdown(lesson: str) -> str:
    """A docstring as Markdown: double backticks become single ones, dollars stay dollars."""
    return re.sub(r"``([^`]*)``", r"`\1`", lesson).replace("$", "\\$").replace("<", "\\<")


def _sentence(text: str) -> str:
    text = lesson_markdown(text.strip())
    return text if text.endswith((".", "!", "?")) else text + "."


def _returned() -> dict[str, Any]:
    """What each widget gave last, by its key."""
    return st.session_state.setdefault("_form", {})


def _key(prefix: str, spec: Param) -> str:
    return f"form.{prefix}.{spec.name}"


def _step(spec: Param) -> float:
    """What the plus and minus of a number box add: .05 moves by .01, 2.0 by .1, 0 by .1."""
    size = abs(spec.default)
    return 10.0 ** (math.floor(math.log10(size)) - (0 if size < 1 else 1)) if size else 0.1
