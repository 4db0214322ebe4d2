"""Which pages there are: the one table behind the navigation, the page links and the deep links."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PageEntry:
    """One page: ``key`` is its file name and its path in the address bar."""

    key: str
    title: str
    icon: str

    @property
    def file(self) -> str:
        """Path from the entry point, as ``st.page_link`` and ``st.switch_page`` want it."""
        return f"pages/{self.key}.py"

    @property
    def is_built(self) -> bool:
        return (ROOT / self.file).is_file()


PAGES = (
    PageEntry("home", "Home", ":material/home:"),
    PageEntry("corpus", "Corpus", ":material/library_books:"),
    PageEntry("recipe", "Recipe", ":material/tune:"),
    PageEntry("train", "Train", ":material/monitoring:"),
    PageEntry("map", "Map", ":material/scatter_plot:"),
    PageEntry("negatives", "Negatives", ":material/manage_search:"),
    PageEntry("suspects", "Suspects", ":material/gpp_maybe:"),
    PageEntry("judge", "Judge", ":material/gavel:"),
    PageEntry("compare", "Compare", ":material/compare_arrows:"),
    PageEntry("indexes", "Indexes", ":material/account_tree:"),
)

# A star in a ring of crosses that leaves room around it: the query and its negative space.
_MARK = """<g fill="none" stroke="#D55E00" stroke-width="2.2" stroke-linecap="round">
<path d="M4 5l4 4m0-4l-4 4M24 4l4 4m0-4l-4 4M3 24l4 4m0-4l-4 4M25 23l4 4m0-4l-4 4"/></g>
<circle cx="16" cy="16" r="8.5" fill="none" stroke="#8a94a3" stroke-width="1.4" stroke-dasharray="2.5 2.6"/>
<path fill="#3A93D0" d="M16 10.4l1.7 3.6 3.9.5-2.9 2.7.8 3.9-3.5-1.9-3.5 1.9.8-3.9-2.9-2.7 3.9-.5z"/>"""
# Inline: an icon by name would be fetched from a server of fonts on each visit.
FAVICON = f'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="32" viewBox="0 0 32 32">{_MARK}</svg>'
LOGO = f"""<svg xmlns="http://www.w3.org/2000/svg" width="196" height="32" viewBox="0 0 196 32">{_MARK}
<text x="40" y="22" font-family="system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
 font-size="17.5" font-weight="650" letter-spacing="-.2" fill="#3A93D0">Negative Space</text></svg>"""


def page_entry(key: str) -> PageEntry:
    """The page of that key; raises KeyError."""
    return {page.key: page for page in PAGES}[key]


def navigate() -> st.Page:
    """Draw the navigation bar and return the page that the address asks for."""
    # Before the navigation, whose own icons would be fetched for the browser's tab.
    st.set_page_config(page_icon=FAVICON, layout="wide")
    built = [page for page in PAGES if page.is_built]
    return st.navigation(
        [st.Page(ROOT / p.file, title=p.title, icon=p.icon, default=p.key == "home") for p in built],
        position="top",
    )
