"""Trial folders: made for a new trial, found again without a database, moved to the trash."""

from __future__ import annotations

import math
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import TrialError, UserError
from core.lab import files
from core.lab.executor import live_worker
from core.lab.tables import TrialRow
from core.lab.view import TrialView
from core.lab.workspace import Workspace

FORMAT = 1
NO_FILES: Mapping[str, bytes] = {}
FOUND = {
    "queued": ("stopped", "Found by its folder; it had not started. Resume starts it."),
    "interrupted": ("interrupted", "Found by its folder without a worker. Resume goes on from its last checkpoint."),
}


def home_id(workspace: Workspace) -> str:
    """The workspace's own id, made once: it keeps workspaces apart that share a database."""
    path = workspace.root / ".home"
    with files.FileLock(workspace.root / ".setup.lock"):
        if not path.exists():
            path.write_text(uuid.uuid4().hex, encoding="ascii")
        return path.read_text(encoding="ascii").strip()


def new_id(workspace: Workspace, now: float) -> str:
    """An id like ``20261121-a1b2c3`` that no folder has: the day and a 5 ms tick of it, so ids sort by age.

    Call it inside the database's write transaction.
    """
    day, tick = int(now // 86400), int(now % 86400 / 86400 * 2**24)
    while True:
        trial_id = f"{time.strftime('%Y%m%d', time.gmtime(day * 86400))}-{tick:06x}"
        if not (workspace.trials / trial_id).exists() and not (workspace.trash / trial_id).exists():
            return trial_id
        tick += 1


def write_folder(workspace: Workspace, trial_id: str, about: Mapping[str, Any], more: Mapping[str, bytes] = NO_FILES) -> None:
    """Make the trial's folder with its ``trial.json`` and ``more`` files by name; it appears with all of them or not at all."""
    from core.train.config import library_versions

    part = workspace.trials / f".new-{trial_id}"
    try:
        part.mkdir(exist_ok=True)
        for name, data in more.items():
            (part / name).write_bytes(data)
        files.write_json(
            part / files.TRIAL, {"format": FORMAT, "id": trial_id, "libraries": library_versions(), **about}
        )
        part.rename(workspace.trials / trial_id)
    except OSError as error:
        raise UserError(
            f"The trial's folder cannot be written to {workspace.trials} ({error.strerror}). Free some space there, "
            "or choose another workspace."
        ) from error


def folders(workspace: Workspace) -> dict[str, Path]:
    """Trial folders by id: those that hold ``trial.json``."""
    return {
        path.name: path
        for path in workspace.trials.iterdir()
        if not path.name.startswith(".") and (path / files.TRIAL).is_file()
    }


def row_values(home: str, trial_id: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a trial, as far as ``trial.json`` tells."""
    config = about.get("config") if isinstance(about.get("config"), dict) else {}
    recipe = config.get("recipe")
    return {
        "home": home,
        "id": trial_id,
        "name": str(about.get("name") or trial_id),
        **{name: str(about.get(name) or "") for name in ("owner", "recipe_title")},
        **{name: str(config.get(name) or "") for name in ("corpus", "corpus_fingerprint", "corpus_name")},
        "config": config,
        "recipe": recipe if isinstance(recipe, dict) else {},
        "headline": {},
        "created": float(about.get("created") or 0.0),
    }


def values_from_folder(home: str, folder: Path) -> dict[str, Any] | None:
    """The row of a trial that is known only by its folder; None when its ``trial.json`` cannot be read."""
    view = TrialView(folder)
    if not view.trial:
        return None
    state = view.state_from_folder()
    state, message = FOUND.get(state, (state, (view.failure or {}).get("message", "")))
    values = row_values(home, folder.name, view.trial)
    values |= {"state": state, "message": message, **finished_values(view)}
    values["created"] = values["created"] or folder.stat().st_mtime
    events = view.events()
    if events:
        values["started"] = next((e["t"] for e in reversed(view.events("state")) if e.get("state") == "running"), None)
        values["ended"] = None if state == "running" else events[-1].get("t")
    worker = live_worker(folder)
    if state == "running" and worker is not None:
        values |= {"pid": worker.pid, "pid_started": worker.started}
    return values


def overtaken_values(row: TrialRow) -> dict[str, Any] | None:
    """What the folder of a trial that had ended says otherwise by now; None when it agrees.

    Somebody may train it by hand, without the queue: then it runs, and later is finished.
    """
    worker = live_worker(row.folder)
    if worker is not None:
        return {"state": "running", "message": "", "ended": None, "pid": worker.pid, "pid_started": worker.started}
    if not (row.folder / files.RESULT).exists():
        return None
    return {"state": "finished", "message": "", **finished_values(TrialView(row.folder))}


def finished_values(view: TrialView) -> dict[str, Any]:
    """What ``result.json`` adds to the row: the headline metrics, and the corpus where it names it."""
    result = view.result
    if result is None:
        return {}
    metrics = result.get("metrics")
    metrics = metrics if isinstance(metrics, dict) else {}
    values: dict[str, Any] = {
        "headline": {k: v for k, v in metrics.items() if isinstance(v, (int, float)) and math.isfinite(v)}
    }
    values |= {k: result[k] for k in ("corpus_fingerprint", "corpus_name") if isinstance(result.get(k), str)}
    return values


def move(source: Path, target: Path) -> None:
    """Move a trial's folder; raises TrialError when it is not there or its place is taken."""
    if not source.is_dir():
        raise TrialError(f"The folder {source} is gone; this trial cannot be moved.")
    if target.exists():
        raise TrialError(f"{target} is in the way. Move it elsewhere, then try again.")
    shutil.move(source, target)
