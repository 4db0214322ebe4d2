"""The state of a view lives in the address: read with checks, written back, and carried between pages.

Widget state vanishes when its page is left, so nothing that matters is kept in it: the address is the
truth, and :meth:`Link.bind` sets a widget from it before each draw and writes the change back.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from core.errors import ParameterError, UserError
from pages.ui.codes import decode_recipe, encode_recipe, from_text, to_text
from pages.ui.recipe_files import check_files
from pages.ui.text import plain, shorten, told_apart

if TYPE_CHECKING:
    from core.sampling.recipe import Recipe

# What every page understands, kept when the person goes from one page to another.
CARRIED = ("corpus", "trial", "trials", "query", "recipe", "refresh")
MAX_TRIALS = 12
# Longer than Streamlit collects messages before it sends them.
FLUSH_SECONDS = 0.05
_MEMORY = "_link_memory"
_CORPUS = re.compile(r"sample:[\w.-]{1,60}|[0-9a-f]{16}")
_TRIAL = re.compile(r"[\w.-]{1,80}")


class Link:
    """The state in the address of this page. Reading never raises: a bad value is dropped with a notice."""

    def __init__(self, page: str, notice: Callable[[str], None]):
        self.page = page
        self._notice = notice
        self._recalled: dict[str, str] = {}

    # What every page shares -------------------------------------------------------------------------
    @property
    def corpus(self) -> str | None:
        """``sample:NAME`` or the 16 hexadecimal digits of a corpus in the workspace."""
        return self._matching("corpus", _CORPUS, "sample:NAME or 16 hexadecimal digits")

    @property
    def trial(self) -> str | None:
        """The id of one trial."""
        return self._matching("trial", _TRIAL, "the id of a trial")

    @property
    def trials(self) -> list[str]:
        """The ids of the trials that are compared, at most 12, in order, without repeats."""
        ids = list(dict.fromkeys(part for part in self._raw("trials").split(",") if part))
        good = [i for i in ids if _TRIAL.fullmatch(i)][:MAX_TRIALS]
        if good != ids:
            self._drop("trials", f"must be at most {MAX_TRIALS} ids of trials, joined by commas")
            if good:
                self.set(trials=good)
        return good

    @property
    def query(self) -> str | None:
        """The external id of the query that is looked at; the page checks that the corpus has it."""
        return self._raw("query") or None

    @property
    def refresh(self) -> int | None:
        """Which mining of the trial is looked at, counted from 0."""
        return self.value("refresh", None, kind=int, ge=0)

    @property
    def recipe(self) -> Recipe | None:
        """The recipe in the address: a preset's name, or any recipe written compactly."""
        text = self._raw("recipe")
        if not text:
            return None
        try:
            recipe = decode_recipe(text)
            check_files(recipe)
            return recipe
        except UserError as error:
            self._drop("recipe", f"holds no recipe: {error}")
            return None

    # What one page alone uses -----------------------------------------------------------------------
    def value(
        self,
        name: str,
        default: Any,
        *,
        kind: type | None = None,
        options: Iterable[Any] | None = None,
        ge: float | None = None,
        le: float | None = None,
    ) -> Any:
        """The checked value of a parameter of this page.

        Its type is ``kind`` or the type of ``default`` (str, int, float, bool, list of str, pair of
        numbers). ``options``: the allowed values (of each element, for a list). Absent = ``default``.
        """
        text = self._raw(name)
        if not text:
            return default
        try:
            return from_text(
                text, kind or type(default), default, list(options) if options is not None else None, ge, le
            )
        except ParameterError as error:
            self._drop(name, str(error))
            return default

    def set(self, **changes: Any) -> None:
        """Write values into the address; None removes one. A Recipe is written compactly."""
        self._settle()
        for name, value in changes.items():
            text = _text_of(name, value)
            if text:
                if self._raw(name) != text:
                    st.query_params[name] = text
            elif name in st.query_params:
                del st.query_params[name]
        self.remember()

    def forget(self, *names: str) -> None:
        """Remove values from the address."""
        self.set(**dict.fromkeys(names))

    def bind(
        self,
        widget: Callable[..., Any],
        name: str,
        label: str,
        *args: Any,
        default: Any = None,
        options: Sequence[Any] | None = None,
        ge: float | None = None,
        le: float | None = None,
        resets: Sequence[str] = (),
        **kwargs: Any,
    ) -> Any:
        """Draw ``widget`` with the address's value (or ``default``) and write its changes back.

        ``link.bind(st.selectbox, "split", "Split", options=["test", "train"], default="test")``.
        ``default`` None with ``options`` = the first option. ``resets``: parameters removed on a change
        (a new search goes back to page 1). ``ge``/``le`` become min_value/max_value where the widget has them.
        Not for use inside ``st.form`` (no callbacks there). Returns the widget's value; an emptied choice is
        the default again.
        """
        many = isinstance(default, (list, tuple)) and not _is_pair(default)
        if options is not None:
            kwargs["options"] = options = list(options)
            if default is None and options and kwargs.pop("required", True):
                default = options[0]
        if options and "format_func" in kwargs:
            kwargs["format_func"] = told_apart(options, kwargs["format_func"]).get
        if "min_value" in inspect.signature(widget).parameters:
            kwargs |= {"min_value": ge, "max_value": le}
        key = f"link.{self.page}.{name}"
        kind = list if many else type(default) if default is not None else type(options[0]) if options else str
        value = self.value(name, default, kind=kind, options=options, ge=ge, le=le)
        if key not in st.session_state or st.session_state[key] != value:
            st.session_state[key] = value

        def write_back() -> None:
            new = st.session_state[key]
            is_default = new is None or (list(new) == list(default) if many else new == default)
            self.set(**{name: None if is_default else new}, **dict.fromkeys(resets))

        result = widget(label, *args, key=key, on_change=write_back, **kwargs)
        return default if result is None else result

    # Between pages ----------------------------------------------------------------------------------
    def params(self, **changes: Any) -> dict[str, str]:
        """The query parameters of a link that keeps what all pages share, with ``changes`` (None drops one)."""
        kept = self._shared()
        for name, value in changes.items():
            kept[name] = _text_of(name, value)
        kept = {name: text for name, text in kept.items() if text}
        # One empty value says "no state", where an address without any would be filled in from memory.
        return kept or {name: "" for name, value in changes.items() if value is None and name in CARRIED}

    def remember(self) -> None:
        """Keep what all pages share for a visit that comes without any (the bar at the top)."""
        st.session_state[_MEMORY] = self._shared()

    def recall(self) -> None:
        """At an address without any state: go on with what the last page shared."""
        arrived = st.session_state.get("_page") != self.page
        st.session_state["_page"] = self.page
        if st.query_params.to_dict():
            return
        # Read from here on a way back to this address too, where writing it again would trap the person.
        self._recalled = dict(st.session_state.get(_MEMORY, {}))
        if arrived and self._recalled:
            # The browser must hear of the new page first: else it writes these behind the old page's path.
            time.sleep(FLUSH_SECONDS)
            self._settle()

    def _settle(self) -> None:
        """Write what was recalled into the address."""
        if self._recalled:
            st.query_params.update(self._recalled)
            self._recalled = {}

    def _shared(self) -> dict[str, str]:
        return {name: self._raw(name) for name in CARRIED if self._raw(name)}

    def _raw(self, name: str) -> str:
        return st.query_params.get(name, "") or self._recalled.get(name, "")

    def _matching(self, name: str, rule: re.Pattern[str], meaning: str) -> str | None:
        text = self._raw(name)
        if text and not rule.fullmatch(text):
            self._drop(name, f"must be {meaning}; got {text!r}.")
            return None
        return text or None

    def _drop(self, name: str, why: str) -> None:
        self._settle()
        if name in st.query_params:
            del st.query_params[name]
        self._notice(f"Ignored a part of this link: {plain(name)} {plain(shorten(why, 200))}")


def _text_of(name: str, value: Any) -> str:
    if value is None:
        return ""
    return encode_recipe(value) if name == "recipe" and not isinstance(value, str) else to_text(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(type(part) in (int, float) for part in value)
