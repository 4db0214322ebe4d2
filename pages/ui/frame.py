"""The frame of every page: configuration, navigation, errors, and the session that pages work with."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from core.params import digest
from pages.ui import services, site
from pages.ui.links import Link
from pages.ui.problems import problems_shown
from pages.ui.text import plain

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.scheduler import Scheduler
    from core.lab.store import Store
    from core.lab.verdicts import Verdicts
    from core.lab.workspace import Workspace


class Session:
    """What a page works with: the link, the services of the server, and who is visiting."""

    def __init__(self, link: Link, heading: str = ""):
        self.link = link
        self._heading = heading

    @property
    def state(self) -> MutableMapping[str, Any]:
        """Streamlit's session state: plain data only (numbers, texts, lists, dicts)."""
        return st.session_state

    @property
    def owner(self) -> str:
        """Who asks, so that the queue can be fair: a digest of the visitor's address and browser, the same after a refresh.

        No cookie, no account; two people behind one address with the same browser count as one.
        """
        known = [st.context.ip_address, st.context.headers.get("User-Agent")]
        return digest([part if isinstance(part, str) else "" for part in known])  # a page run by a test has neither

    @property
    def workspace(self) -> Workspace:
        return services.workspace()

    @property
    def store(self) -> Store:
        return services.store()

    @property
    def verdicts(self) -> Verdicts:
        return services.verdicts()

    @property
    def scheduler(self) -> Scheduler:
        return services.scheduler()

    def corpus(self, spec: str | None = None) -> Corpus:
        """The corpus of ``spec`` or of the link, from the server's memory; raises CorpusError."""
        return services.corpus(spec or self.link.corpus or "")

    def spec_of(self, corpus_link: str) -> str:
        """What ``TrialConfig.corpus`` calls that corpus: ``sample:NAME`` or a path."""
        return services.spec_of(corpus_link)

    def need_corpus(self) -> Corpus:
        """The corpus of the link; without one the page ends here, with the way to choose one."""
        if self.link.corpus is None:
            self._end("No corpus is chosen yet.", "Choose a corpus", "corpus", ":material/library_books:")
        if self.link.corpus in st.session_state.get("_seen", ()):
            return self.corpus()
        with st.spinner("Loading the corpus ..."):
            found = self.corpus()
        st.session_state["_seen"] = [*st.session_state.get("_seen", ()), self.link.corpus]
        return found

    def need_trial(self) -> str:
        """The id of the link's trial; without one the page ends here, with the way to choose one."""
        if self.link.trial is None:
            self._end("No trial is chosen yet.", "Open a trial", "home", ":material/science:")
        return self.link.trial

    def _end(self, sentence: str, label: str, page: str, icon: str) -> NoReturn:
        """End the page with an empty view, under the title that the page itself has not drawn yet."""
        if self._heading:
            st.title(self._heading, anchor=False)
        empty(sentence, label, page, icon=icon)
        st.stop()


@contextmanager
def frame(title: str, *, page: str | None = None, intro: str = "", has_title: bool = True) -> Iterator[Session]:
    """Draw the frame of a page and give its session; whatever the block raises is shown on the page.

    ``page``: its key in ``pages.ui.site`` (default: the title in lower case). ``intro``: one sentence
    below the title. The link is filled from the last page when the visit comes without state.
    """
    entry = site.page_entry(page or title.lower())
    st.set_page_config(page_title=f"{title} · Negative Space", page_icon=site.FAVICON, layout="wide")
    _enter_through_app()
    st.logo(site.LOGO, size="large")
    if has_title:
        st.title(title, anchor=False)
    if intro:
        st.markdown(f":gray[{intro}]")
    notices = st.container()
    link = Link(entry.key, lambda sentence: notices.warning(sentence, icon=":material/link_off:"))
    session = Session(link, "" if has_title else title)
    if entry.key != "home":
        link.recall()
    with problems_shown():
        yield session
    link.remember()
    with problems_shown():
        # Last, so that the first page is out before the database and the queue are opened.
        services.scheduler()


def empty(sentence: str, label: str, page: str, *, icon: str, **state: Any) -> None:
    """An empty view: one sentence, and the button that leads on."""
    from pages.ui.travel import page_button

    with st.container(border=True, horizontal_alignment="center"):
        st.space("small")
        st.markdown(f"{icon} {plain(sentence)}", width="content")
        page_button(label, page, key=f"empty.{page}", **state)
        st.space("small")


def _enter_through_app() -> None:
    """On a fresh server a deep link runs the page without app.py: set the navigation up, then start over.

    Streamlit takes a folder named ``pages`` for its older kind of app until ``st.navigation`` is called
    once on this server; this is the only place where that flag can be seen.
    """
    if PagesManager.uses_pages_directory and (site.ROOT / "app.py").is_file() and _is_deep_link():
        site.navigate()
        st.rerun()


def _is_deep_link() -> bool:
    """Whether the page was started by Streamlit's own list of the folder (not alone, as in a test)."""
    from streamlit.runtime.scriptrunner import get_script_run_ctx

    context = get_script_run_ctx()
    return context is not None and context.main_script_path == str(site.ROOT / "app.py")
