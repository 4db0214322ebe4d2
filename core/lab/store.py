"""Trials of a workspace: one row in the database and one folder each."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from core.errors import ParameterError, TrialError
from core.lab import adoption, files
from core.lab.queue import RECENT_SECONDS, next_trial, recent_starts, turns
from core.lab.tables import ACTIVE, RESUMABLE, TRIAL, Database, TrialRow
from core.lab.workspace import Workspace

LONGEST_NAME = 120


class Store:
    """What a workspace knows of its trials; every method is one transaction, rows are plain data.

    Opening it brings back trials whose folders the database does not know. Raises TrialError for an id
    that is unknown, or in a state in which the request makes no sense.
    """

    def __init__(self, workspace: Workspace | None = None):
        self.workspace = workspace or Workspace()
        self.database = Database(self.workspace)
        self.home = adoption.home_id(self.workspace)
        self.adopt()
        self.correct()

    def submit(
        self,
        config: Mapping[str, Any],
        name: str,
        owner: str = "",
        *,
        recipe_title: str = "",
        files: Mapping[str, bytes] = adoption.NO_FILES,
    ) -> TrialRow:
        """The new trial, queued; its folder holds ``trial.json`` and ``files`` by name.

        ``config``: ``TrialConfig.to_dict()``, JSON-ready. ``recipe_title`` is for lists only, ``recipe_name``
        of the configuration unless given. Raises ParameterError for a name that is empty or too long.
        """
        now = time.time()
        with self.database.write() as connection:
            trial_id = adoption.new_id(self.workspace, now)
            about = {"name": _checked_name(name), "owner": owner, "created": now, "config": dict(config)}
            about["recipe_title"] = recipe_title or str(config.get("recipe_name") or "")
            adoption.write_folder(self.workspace, trial_id, about, files)
            values = adoption.row_values(self.home, trial_id, about)
            values |= {"state": "queued", "queued": now, "position": self._last_position(connection) + 1}
            return self._row(connection.execute(sa.insert(TRIAL).values(values).returning(TRIAL)).one())

    def adopt(self) -> list[TrialRow]:
        """The trials whose folders were under ``trials/`` without a row, now with one.

        So trials come back when the database is lost, and a folder copied there becomes a trial. A queued
        one comes back stopped: nothing starts to train that nobody asked for.
        """
        folders = adoption.folders(self.workspace)
        with self.database.read() as connection:
            known = set(connection.scalars(sa.select(TRIAL.c.id).where(TRIAL.c.home == self.home)))
        if not set(folders) - known:
            return []
        found = []
        with self.database.write() as connection:
            known = set(connection.scalars(sa.select(TRIAL.c.id).where(TRIAL.c.home == self.home)))
            for trial_id in sorted(set(folders) - known):
                values = adoption.values_from_folder(self.home, folders[trial_id])
                if values is not None:
                    found.append(connection.execute(sa.insert(TRIAL).values(values).returning(TRIAL)).one())
        return [self._row(row) for row in found]

    def correct(self) -> list[str]:
        """Ids of ended trials that were trained by hand since, now running or finished as their folders say."""
        corrected = []
        for row in self.list(states=RESUMABLE):
            values = adoption.overtaken_values(row)
            if values is None:
                continue
            statement = self._mine(sa.update(TRIAL), TRIAL.c.id == row.id, TRIAL.c.state == row.state)
            with self.database.write() as connection:
                if connection.execute(statement.values(values)).rowcount:
                    corrected.append(row.id)
        return corrected

    def take_next(self, max_running: int = 1) -> TrialRow | None:
        """The queued trial whose turn it is, now running; None when none waits or all places are taken.

        One statement, so that two schedulers never take the same trial or one place too many. Its turn:
        the owner with the fewest recent starts first, then the oldest.
        """
        with self.database.read() as connection:  # an idle tick must not take the writers' lock
            if not connection.scalar(self._mine(sa.select(sa.func.count()), TRIAL.c.state == "queued")):
                return None
        now = time.time()
        values = {"state": "running", "started": now, "ended": None, "pid": None, "pid_started": None, "message": ""}
        chosen = next_trial(self.home, now - RECENT_SECONDS, max_running)
        statement = self._mine(sa.update(TRIAL), TRIAL.c.id == chosen, TRIAL.c.state == "queued")
        with self.database.write() as connection:
            row = connection.execute(statement.values(values).returning(TRIAL)).one_or_none()
        return None if row is None else self._row(row)

    def record_worker(self, trial_id: str, pid: int, started: float) -> None:
        """Remember which process trains the trial."""
        statement = self._mine(sa.update(TRIAL), TRIAL.c.id == trial_id, TRIAL.c.state.in_(ACTIVE))
        with self.database.write() as connection:
            connection.execute(statement.values(pid=pid, pid_started=started))

    def settle(self, row: TrialRow, state: str, message: str = "", **values: Any) -> bool:
        """True when ``row``, as it was read, was still the running trial and now is in ``state``."""
        same = TRIAL.c.pid.is_(None) if row.pid is None else TRIAL.c.pid == row.pid
        statement = self._mine(sa.update(TRIAL), TRIAL.c.id == row.id, TRIAL.c.state.in_(ACTIVE), same)
        values |= {"state": state, "message": message, "ended": time.time(), "pid": None, "pid_started": None}
        with self.database.write() as connection:
            return connection.execute(statement.values(values)).rowcount == 1

    def request_stop(self, trial_id: str) -> TrialRow:
        """The trial, stopped if it waited, stopping if it ran; a trial that has ended is left as it is."""
        now = time.time()
        with self.database.write() as connection:
            row = self._get(connection, trial_id)
            if row.state == "queued":
                values = {"state": "stopped", "ended": now, "message": "Stopped before it started."}
            elif row.state == "running":
                # Before the row, and under its lock: a stop that is seen was asked of this very worker.
                (row.folder / files.STOP).touch()
                values = {"state": "stopping", "stop_asked": now}
            else:
                return row
            return self._set(connection, trial_id, **values)

    def resume(self, trial_id: str) -> TrialRow:
        """The trial, queued again with its folder and checkpoint; raises TrialError unless it had ended."""
        with self.database.write() as connection:
            row = self._get(connection, trial_id)
            if row.state in ("queued", "running"):  # the button was pressed twice
                return row
            if row.state not in RESUMABLE or row.deleted is not None:
                raise TrialError(
                    f"Trial {trial_id} is {'deleted' if row.deleted else row.state}; only a trial that is "
                    f"{', '.join(RESUMABLE)} can be resumed."
                )
            for name in (files.STOP, files.FAILURE):
                (row.folder / name).unlink(missing_ok=True)
            position = self._last_position(connection) + 1
            values = {"state": "queued", "queued": time.time(), "position": position, "stop_asked": None}
            return self._set(connection, trial_id, message="", ended=None, **values)

    def rename(self, trial_id: str, name: str) -> TrialRow:
        """The trial under its new name, in the folder too; raises ParameterError for an empty name."""
        name = _checked_name(name)
        with self.database.write() as connection:
            row = self._get(connection, trial_id)
            about = files.read_json(row.folder / files.TRIAL)
            if about is not None:
                files.write_json(row.folder / files.TRIAL, about | {"name": name})
            return self._set(connection, trial_id, name=name)

    def delete(self, trial_id: str) -> TrialRow:
        """The trial, its folder moved to the workspace's trash; raises TrialError while it runs."""
        with self.database.write() as connection:
            row = self._get(connection, trial_id)
            if row.deleted is not None:
                return row
            if row.state in ACTIVE:
                raise TrialError(f"Trial {trial_id} is {row.state}. Stop it, then delete it.")
            values: dict[str, Any] = {"deleted": time.time()}
            if row.state == "queued":
                values |= {"state": "stopped", "ended": time.time()}
            changed = self._set(connection, trial_id, **values)
            if row.folder.exists():  # a folder that somebody removed by hand must not keep its row alive
                adoption.move(row.folder, changed.folder)
            return changed

    def undelete(self, trial_id: str) -> TrialRow:
        """The trial, back from the trash."""
        with self.database.write() as connection:
            row = self._get(connection, trial_id)
            if row.deleted is None:
                return row
            changed = self._set(connection, trial_id, deleted=None)
            adoption.move(row.folder, changed.folder)
            return changed

    def get(self, trial_id: str) -> TrialRow:
        """The trial with this id, also when it is in the trash."""
        with self.database.read() as connection:
            return self._get(connection, trial_id)

    def list(
        self,
        owner: str | None = None,
        states: Iterable[str] | None = None,
        fingerprint: str | None = None,
        *,
        is_deleted: bool = False,
    ) -> Sequence[TrialRow]:
        """Trials, newest first; those in the trash only when ``is_deleted``."""
        rules = [TRIAL.c.deleted.is_not(None) if is_deleted else TRIAL.c.deleted.is_(None)]
        rules += [] if owner is None else [TRIAL.c.owner == owner]
        rules += [] if states is None else [TRIAL.c.state.in_(tuple(states))]
        rules += [] if fingerprint is None else [TRIAL.c.corpus_fingerprint == fingerprint]
        query = self._mine(sa.select(TRIAL), *rules).order_by(TRIAL.c.created.desc(), TRIAL.c.id.desc())
        with self.database.read() as connection:
            return [self._row(row) for row in connection.execute(query)]

    def queue(self) -> Sequence[str]:
        """Ids of the waiting trials in the order in which they will start, were no others to come."""
        waiting = self._mine(sa.select(TRIAL.c.id, TRIAL.c.owner), TRIAL.c.state == "queued")
        with self.database.read() as connection:
            starts = connection.execute(recent_starts(self.home, time.time() - RECENT_SECONDS)).all()
            rows = connection.execute(waiting.order_by(TRIAL.c.position, TRIAL.c.id)).all()
        return turns([tuple(row) for row in rows], dict(map(tuple, starts)))

    def position(self, trial_id: str) -> int:
        """Place in the queue, 1 = next; 0 when the trial does not wait."""
        waiting = self.queue()
        return waiting.index(trial_id) + 1 if trial_id in waiting else 0

    def close(self) -> None:
        self.database.close()

    def _mine(self, statement: Any, *rules: Any) -> Any:
        """The statement, kept to this workspace's trials."""
        return statement.where(TRIAL.c.home == self.home, *rules)

    def _last_position(self, connection: sa.Connection) -> int:
        return connection.scalar(self._mine(sa.select(sa.func.max(TRIAL.c.position)))) or 0

    def _get(self, connection: sa.Connection, trial_id: str) -> TrialRow:
        row = connection.execute(self._mine(sa.select(TRIAL), TRIAL.c.id == trial_id)).one_or_none()
        if row is None:
            raise TrialError(f"There is no trial {trial_id!r} in {self.workspace.folder}. Choose one from the list.")
        return self._row(row)

    def _set(self, connection: sa.Connection, trial_id: str, **values: Any) -> TrialRow:
        statement = self._mine(sa.update(TRIAL), TRIAL.c.id == trial_id)
        return self._row(connection.execute(statement.values(values).returning(TRIAL)).one())

    def _row(self, row: Any) -> TrialRow:
        values = dict(row._mapping)
        del values["home"]
        parent = self.workspace.trials if values["deleted"] is None else self.workspace.trash
        return TrialRow(folder=Path(parent) / values["id"], **values)


def _checked_name(name: str) -> str:
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not name or len(name) > LONGEST_NAME:
        raise ParameterError(f"Trial name must have 1 to {LONGEST_NAME} characters; got {len(name)}.")
    return name
