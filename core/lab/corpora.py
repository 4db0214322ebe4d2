"""The corpora that a workspace knows, for the pages' choice of corpus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from core.lab.store import Store
from core.lab.tables import CORPUS, CorpusRow


def add_corpus(
    store: Store, *, spec: str, name: str, fingerprint: str, n_documents: int, n_queries: int, owner: str = ""
) -> CorpusRow:
    """The corpus as this workspace now knows it; the same content under a new spec replaces the old spec."""
    values = {"name": name, "spec": spec, "n_documents": n_documents, "n_queries": n_queries, "owner": owner}
    key = (CORPUS.c.home == store.home) & (CORPUS.c.fingerprint == fingerprint)
    with store.database.write() as connection:
        row = connection.execute(sa.update(CORPUS).where(key).values(values).returning(CORPUS)).one_or_none()
        if row is None:
            values |= {"home": store.home, "fingerprint": fingerprint, "added": time.time()}
            row = connection.execute(sa.insert(CORPUS).values(values).returning(CORPUS)).one()
        return _row(row)


def list_corpora(store: Store) -> Sequence[CorpusRow]:
    """The corpora that were used here, newest first."""
    query = sa.select(CORPUS).where(CORPUS.c.home == store.home).order_by(CORPUS.c.added.desc())
    with store.database.read() as connection:
        return [_row(row) for row in connection.execute(query)]


def spec_of_corpus(store: Store, fingerprint: str) -> str | None:
    """What ``load_corpus`` opens as that corpus: as it was loaded here, else as the newest trial on it names it.

    A trial from the command line, or one brought in as a folder, has a corpus that nobody loaded on a page.
    """
    known = (row.spec for row in list_corpora(store) if row.fingerprint == fingerprint)
    trained = (row.corpus for row in store.list(fingerprint=fingerprint) if row.corpus)
    return next(known, None) or next(trained, None)


def forget_corpus(store: Store, fingerprint: str) -> None:
    """Take the corpus off the list; its files stay where they are."""
    with store.database.write() as connection:
        connection.execute(sa.delete(CORPUS).where(CORPUS.c.home == store.home, CORPUS.c.fingerprint == fingerprint))


def _row(row: Any) -> CorpusRow:
    values = dict(row._mapping)
    del values["home"]
    return CorpusRow(**values)
