"""Where an installation keeps its trials, corpora and caches."""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import UserError

FOLDER_VARIABLE = "NEGSPACE_WORKSPACE"
DATABASE_VARIABLE = "NEGSPACE_DATABASE"
DATABASE_FILE = "negspace.db"


class Workspace:
    """One folder with everything that an installation writes; nothing is written outside it.

    ``folder``: the given one, else ``$NEGSPACE_WORKSPACE``, else ``~/.negspace``.
    ``database_url``: the given one, else ``$NEGSPACE_DATABASE``, else an SQLite file in the folder.
    Folders are made when they are first asked for. Raises UserError where one cannot be written.
    """

    def __init__(self, folder: Path | str | None = None, database_url: str | None = None):
        chosen = folder or os.environ.get(FOLDER_VARIABLE) or "~/.negspace"
        try:
            self.folder = Path(chosen).expanduser().resolve()
        except RuntimeError:  # no home folder is known for this user
            raise UserError(f"The workspace {chosen} has no place here. Set ${FOLDER_VARIABLE} to a folder.") from None
        self._database_url = database_url or os.environ.get(DATABASE_VARIABLE)

    @property
    def database_url(self) -> str:
        return self._database_url or f"sqlite:///{self.root / DATABASE_FILE}"

    @property
    def root(self) -> Path:
        """The folder itself, made if need be."""
        return self._made(self.folder)

    @property
    def trials(self) -> Path:
        """One folder a trial."""
        return self._made(self.folder / "trials")

    @property
    def corpora(self) -> Path:
        """The cache of loaded corpora (``load_corpus(..., cache=workspace.corpora)``)."""
        return self._made(self.folder / "corpora")

    @property
    def cache(self) -> Path:
        """What can be computed again: vectors, maps."""
        return self._made(self.folder / "cache")

    @property
    def uploads(self) -> Path:
        """Corpora as people handed them in."""
        return self._made(self.folder / "uploads")

    @property
    def trash(self) -> Path:
        """Deleted trials, until they are brought back or the folder is emptied by hand."""
        return self._made(self.folder / "trash")

    def __repr__(self) -> str:
        return f"Workspace({str(self.folder)!r})"

    @staticmethod
    def _made(folder: Path) -> Path:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(_unwritable(folder, error.strerror)) from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(_unwritable(folder, "permission denied"))
        return folder


def _unwritable(folder: Path, reason: str | None) -> str:
    return (
        f"The workspace folder {folder} cannot be written ({reason or 'unknown reason'}). "
        f"Make it writable, or set ${FOLDER_VARIABLE} to another folder."
    )
