"""The database's tables, their rows as plain data, and the engine that opens them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.errors import UserError
from core.lab.files import FileLock
from core.lab.workspace import DATABASE_VARIABLE, Workspace

ACTIVE = ("running", "stopping")
RESUMABLE = ("stopped", "interrupted", "failed")
STATES = ("queued", *ACTIVE, *RESUMABLE, "finished")

BUSY_SECONDS = 30
# Any number will do, as long as every writer to one PostgreSQL takes the same.
POSTGRES_LOCK = 0x6E656773

META = sa.MetaData()
TRIAL = sa.Table(
    "trial",
    META,
    sa.Column("home", sa.String(32), primary_key=True),  # the workspace: two may share one PostgreSQL
    sa.Column("id", sa.String(120), primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("owner", sa.String(120), nullable=False, default=""),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("message", sa.Text, nullable=False, default=""),
    sa.Column("corpus", sa.Text, nullable=False, default=""),
    sa.Column("corpus_fingerprint", sa.String(64), nullable=False, default="", index=True),
    sa.Column("corpus_name", sa.Text, nullable=False, default=""),
    sa.Column("recipe_title", sa.Text, nullable=False, default=""),
    sa.Column("recipe", sa.JSON, nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("headline", sa.JSON, nullable=False),
    sa.Column("position", sa.BigInteger, nullable=False, default=0),
    *(sa.Column(name, sa.Double) for name in ("created", "queued", "started", "ended", "stop_asked", "deleted")),
    sa.Column("pid", sa.Integer),
    sa.Column("pid_started", sa.Double),
)
CORPUS = sa.Table(
    "corpus",
    META,
    sa.Column("home", sa.String(32), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("n_documents", sa.BigInteger, nullable=False),
    sa.Column("n_queries", sa.BigInteger, nullable=False),
    sa.Column("added", sa.Double, nullable=False),
    sa.Column("owner", sa.String(120), nullable=False, default=""),
)
# ``pair`` is a digest of both ids: ids may be longer than an index takes.
VERDICT = sa.Table(
    "verdict",
    META,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("home", sa.String(32), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("pair", sa.String(32), nullable=False),
    sa.Column("query_id", sa.Text, nullable=False),
    sa.Column("doc_id", sa.Text, nullable=False),
    sa.Column("judge", sa.String(120), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("note", sa.Text, nullable=False, default=""),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("created", sa.Double, nullable=False),
    sa.Column("undone", sa.Double),
    sa.Column("replaces", sa.BigInteger),  # the verdict that undoing this one brings back
    sa.Index(
        "verdict_in_force",
        *("home", "fingerprint", "pair", "judge"),
        unique=True,
        sqlite_where=sa.text("undone IS NULL"),
        postgresql_where=sa.text("undone IS NULL"),
    ),
)
CLAIM = sa.Table(
    "claim",
    META,
    sa.Column("home", sa.String(32), primary_key=True),
    sa.Column("fingerprint", sa.String(64), primary_key=True),
    sa.Column("pair", sa.String(32), primary_key=True),
    sa.Column("judge", sa.String(120), primary_key=True),
    sa.Column("query_id", sa.Text, nullable=False),
    sa.Column("doc_id", sa.Text, nullable=False),
    sa.Column("until", sa.Double, nullable=False),
    sa.Column("skipped", sa.Double),  # when this judge put it aside; then nobody holds it
)


@dataclass(frozen=True)
class TrialRow:
    """What the database knows of a trial. Times are seconds since the epoch, None = not yet.

    ``state``: queued, running, stopping, stopped, interrupted (its worker vanished), failed, finished.
    ``message``: why it is in that state, where that needs saying. ``headline``: metrics of a finished
    trial. ``started``, ``ended``: of the last time that it ran.
    """

    id: str
    name: str
    owner: str
    state: str
    message: str
    folder: Path
    corpus: str
    corpus_fingerprint: str
    corpus_name: str
    recipe_title: str
    recipe: dict[str, Any]
    config: dict[str, Any]
    headline: dict[str, float]
    position: int
    created: float
    queued: float | None
    started: float | None
    ended: float | None
    stop_asked: float | None
    deleted: float | None
    pid: int | None
    pid_started: float | None


@dataclass(frozen=True)
class CorpusRow:
    """A corpus that somebody used here; ``spec`` is what ``load_corpus`` opens again."""

    name: str
    spec: str
    fingerprint: str
    n_documents: int
    n_queries: int
    added: float
    owner: str


class Database:
    """Connections to a workspace's database: the same transactions on SQLite and on PostgreSQL.

    Raises UserError when it cannot be opened.
    """

    def __init__(self, workspace: Workspace):
        url = workspace.database_url
        try:
            self.engine = sa.create_engine(url, **_options(url))
            self.is_sqlite = self.engine.dialect.name == "sqlite"
            if self.is_sqlite:
                sa.event.listen(self.engine, "connect", _prepare_sqlite)
                sa.event.listen(self.engine, "begin", _begin_sqlite)
            # Two servers that start together must not both switch the journal or make the tables.
            with FileLock(workspace.root / ".setup.lock"):
                if self.is_sqlite:
                    _use_wal(self.engine)
                META.create_all(self.engine)
        except (sa.exc.SQLAlchemyError, sqlite3.Error, ImportError) as error:
            reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            remedy = (
                "Install its driver (for PostgreSQL: pip install 'psycopg[binary]')"
                if isinstance(error, ImportError)
                else f"Check ${DATABASE_VARIABLE}"
            )
            raise UserError(
                f"The database {_masked(url)} cannot be opened: {reason}. {remedy}, "
                f"or unset ${DATABASE_VARIABLE} to use a file in the workspace."
            ) from error

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer enters: what is checked in it still holds when it writes."""
        with self.engine.connect().execution_options(negspace_write=True) as connection, connection.begin():
            if not self.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(POSTGRES_LOCK)))
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A connection for reading; it waits for no writer."""
        with self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        self.engine.dispose()


def _options(url: str) -> dict[str, Any]:
    # A database that was started again must not cost the first page after it an error.
    return {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {"pool_pre_ping": True}


def _masked(url: str) -> str:
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return "URL"


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late for check-then-insert
    connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    is_write = connection.get_execution_options().get("negspace_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


def _use_wal(engine: sa.Engine) -> None:
    # The journal cannot be switched inside a transaction, and every SQLAlchemy connection opens one.
    raw = engine.raw_connection()
    try:
        raw.cursor().execute("PRAGMA journal_mode = WAL")
    finally:
        raw.close()
