"""Parts of a page that redraw themselves while something runs, and stop when nothing does."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st

from pages.ui.problems import problems_shown


def live(every_s: float, while_: Callable[[], bool]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: a part of the page that is redrawn every ``every_s`` seconds while ``while_()`` is true.

    ``while_`` is asked when the page is drawn and after each redraw, so it must be cheap (a state in the
    store, not a file scan). When it turns false the whole page is drawn once more, without polling.

        @live(1.0, while_=lambda: session.store.trial(trial_id).is_active)
        def progress():
            ...
        progress()
    """

    def decorate(draw: Callable[..., None]) -> Callable[..., None]:
        is_polling = while_()

        @wraps(draw)
        def part(*args: Any, **kwargs: Any) -> None:
            with problems_shown():
                draw(*args, **kwargs)
            if is_polling and not while_():
                st.rerun()

        return st.fragment(part, run_every=every_s if is_polling else None)

    return decorate
