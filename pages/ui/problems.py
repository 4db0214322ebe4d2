"""The one place that turns an exception into something on the page."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from core.errors import CorpusError, UserError
from pages.ui.text import plain

_LOG = logging.getLogger(__name__)


@contextmanager
def problems_shown() -> Iterator[None]:
    """Show what the block raises: a user error as one sentence, anything else as a bug, with its trace.

    Streamlit's own control flow (rerun, stop, switch_page) passes through untouched.
    """
    try:
        yield
    except UserError as error:
        show_user_error(error)
    except Exception as error:
        # Not swallowed: shown with its trace and logged, so that the rest of the page still works.
        _LOG.exception("bug on a page")
        st.error(
            "This is a bug in Negative Space, not something you did. The text below says where.",
            icon=":material/bug_report:",
        )
        st.exception(error)


def show_user_error(error: UserError) -> None:
    """One sentence with its remedy; a corpus with several faults shows how many and lists them."""
    faults = error.faults if isinstance(error, CorpusError) else [str(error)]
    if len(faults) == 1:
        st.error(plain(faults[0]), icon=":material/error:")
        return
    st.error(
        f"{len(faults)} faults were found in these files. Mend them and load the corpus again.", icon=":material/error:"
    )
    st.dataframe({"fault": str(error).splitlines()}, hide_index=True, width="stretch")
