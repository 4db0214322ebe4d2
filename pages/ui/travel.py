"""Ways from one page to another that keep the state of the link."""

from __future__ import annotations

from typing import Any, NoReturn
from urllib.parse import urlencode

import streamlit as st
from streamlit.errors import StreamlitAPIException
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.ui.links import Link
from pages.ui.site import page_entry


def _silent(_sentence: str) -> None:
    """A link that is only written needs no notices."""


def page_link(
    page: str,
    label: str | None = None,
    *,
    icon: str | None = None,
    help: str | None = None,
    width: Any = "content",
    **state: Any,
) -> None:
    """A link to a page that keeps corpus, trial, trials, query, recipe and refresh, with ``state`` changed.

    A value of None drops one. ``label`` is Markdown: pass a corpus's text through ``plain``.
    """
    entry = page_entry(page)
    params = Link(page, _silent).params(**state)
    if _is_registered(page):
        st.page_link(
            entry.file, label=label or entry.title, icon=icon or entry.icon, help=help, width=width, query_params=params
        )
    elif entry.is_built:
        # A page that runs alone knows no others; a plain address still works.
        st.link_button(label or entry.title, address(page, **state), icon=icon or entry.icon, help=help, width=width)
    else:
        st.button(
            label or entry.title,
            icon=icon or entry.icon,
            disabled=True,
            width=width,
            key=f"to.{page}.{urlencode(params)}.{label}",
            help=f"The page {entry.title} is not installed.",
        )


def page_button(
    label: str,
    page: str,
    *,
    key: str,
    type: str = "primary",
    icon: str | None = None,
    width: Any = "content",
    help: str | None = None,
    disabled: bool = False,
    **state: Any,
) -> None:
    """A button that goes to a page with the link's state, ``state`` changed."""
    if st.button(label, key=key, type=type, icon=icon, width=width, help=help, disabled=disabled):  # type: ignore[arg-type]
        go(page, **state)


def go(page: str, **state: Any) -> NoReturn:
    """End this run and open a page with the link's state, ``state`` changed."""
    params = Link(page, _silent).params(**state)
    try:
        st.switch_page(page_entry(page).file, query_params=params)
    except StreamlitAPIException:
        if _is_registered(page):
            raise
        st.info(f"The page {page_entry(page).title} is not installed here.")
        st.stop()


def address(page: str, **state: Any) -> str:
    """The address of a page with its state, for sharing and for tables with link columns."""
    path = "/" if page == "home" else f"/{page}"
    params = Link(page, _silent).params(**state)
    return f"{path}?{urlencode(params)}" if params else path


def _is_registered(page: str) -> bool:
    context = get_script_run_ctx()
    if context is None:
        return False
    return any(
        str(info.get("script_path", "")).endswith(page_entry(page).file)
        for info in context.pages_manager.get_pages().values()
    )
