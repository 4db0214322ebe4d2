"""What one server has once, whoever visits: workspace, store, scheduler and the corpora in memory."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import streamlit as st

from core.errors import CorpusError

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.lab.scheduler import Scheduler
    from core.lab.store import Store
    from core.lab.verdicts import Verdicts
    from core.lab.workspace import Workspace

# Corpora are memory-mapped; what is kept of one is its judgements and tables of contents.
MAX_CORPORA = 6
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")


def workspace() -> Workspace:
    """The workspace that the environment names (its variables can be read anew in each test)."""
    from core.lab.workspace import Workspace

    return _workspace(os.environ.get("NEGSPACE_WORKSPACE"), os.environ.get("NEGSPACE_DATABASE"), Workspace)


@st.cache_resource(show_spinner=False)
def _workspace(folder: str | None, database: str | None, _make: type[Workspace]) -> Workspace:
    return _make()


def store() -> Store:
    """The store of the workspace."""
    place = workspace()
    return _store(str(place.folder), place.database_url, place)


@st.cache_resource(show_spinner=False)
def _store(folder: str, database: str, _workspace: Workspace) -> Store:
    from core.lab.store import Store

    return Store(_workspace)


def verdicts() -> Verdicts:
    """The verdicts of the workspace."""
    from core.lab.verdicts import Verdicts

    return Verdicts(store())


def scheduler() -> Scheduler:
    """The scheduler of the workspace, running: started once, by the first page that is out."""
    place = workspace()
    return _scheduler(str(place.folder), place.database_url, place)


@st.cache_resource(show_spinner=False)
def _scheduler(folder: str, database: str, _workspace: Workspace) -> Scheduler:
    from core.lab.scheduler import Scheduler

    return Scheduler(store=store()).start()


def corpus(spec: str) -> Corpus:
    """The corpus of a link: ``sample:NAME``, or the fingerprint of one that was loaded or trained on here before.

    Kept in memory for all visitors. Raises CorpusError when this workspace does not know it.
    """
    if _FINGERPRINT.fullmatch(spec):
        return _known_corpus(spec, str(workspace().folder))
    return _sample(spec, str(workspace().folder))


def spec_of(link: str) -> str:
    """What a trial's configuration calls the corpus of a link: ``sample:NAME``, or a path."""
    if not _FINGERPRINT.fullmatch(link):
        return link
    from core.lab.corpora import spec_of_corpus

    spec = spec_of_corpus(store(), link)
    if spec is not None:
        return spec
    raise CorpusError(
        f"The corpus {link} of this link is not in this workspace. Load its files on the Corpus page; "
        "the same content gets the same link."
    )


@st.cache_resource(max_entries=MAX_CORPORA, show_spinner=False)
def _known_corpus(fingerprint: str, folder: str) -> Corpus:
    from core.corpus.load import load_corpus

    spec = spec_of(fingerprint)
    found = load_corpus(spec, cache=workspace().corpora)
    if found.fingerprint != fingerprint:
        raise CorpusError(
            f"The files at {spec} have changed since this link was made. Load them again on the Corpus page."
        )
    return found


@st.cache_resource(max_entries=MAX_CORPORA, show_spinner=False)
def _sample(spec: str, folder: str) -> Corpus:
    from core.corpus.load import load_corpus

    return load_corpus(spec, cache=workspace().corpora)
