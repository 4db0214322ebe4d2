"""Training a trial without a server: the command line's own worker, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ParameterError, TrialError, UserError
from core.lab import adoption, worker
from core.lab.view import TrialView
from core.lab.workspace import Workspace
from core.train.config import TrialConfig, library_versions

if TYPE_CHECKING:
    from core.train.distributed import Group

LOOK_SECONDS = 0.2


def new_trial(workspace: Workspace, config: TrialConfig, more: Mapping[str, bytes] = adoption.NO_FILES) -> Path:
    """The folder of a new trial under the workspace, with its trial.json and ``more`` files; the pages' store adopts it."""
    now = time.time()
    trial_id = adoption.new_id(workspace, now)
    about = {
        "name": config.name,
        "owner": "",
        "created": now,
        "recipe_title": config.recipe_name,
        "config": config.to_dict(),
        "libraries": library_versions(),
    }
    adoption.write_folder(workspace, trial_id, about, more)
    return workspace.trials / trial_id


def train_here(folder: Path, *, print_line: Callable[[str], None], group: Group | None = None) -> None:
    """Train the trial in this process, printing a line for each evaluation and log entry.

    ``group``: processes that share the work and follow this one. Raises UserError for what the user can mend and for a stop
    (Ctrl-C or SIGTERM), after which a checkpoint is there; an exception of the training itself comes through as it is.
    """
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(TrialView(folder), print_line, done), daemon=True)
    teller.start()
    try:
        code = worker.main(folder) if group is None else _lead(folder, group)
    finally:
        done.set()
        teller.join()
    if code == worker.FINISHED:
        return
    if code == worker.STOPPED:
        raise TrialError(f"Stopped; {folder} keeps a checkpoint. Resume it on the Train page.")
    failure = TrialView(folder).failure or {}
    message = str(failure.get("message", "the worker ended without saying why"))
    if code == worker.USER_ERROR:
        raise ParameterError(message)
    if code == worker.TAKEN:
        raise TrialError(f"Another process trains {folder}. Wait for it, or stop it on the Train page.")
    raise UserError(f"Training failed, which is a bug: {message}. The traceback is in {folder / 'failure.json'}.")


def _lead(folder: Path, group: Group) -> int:
    from core.train.trial import Stopped, run_trial

    group.share_text(str(folder))
    code = worker.main(folder, partial(run_trial, group=group), Stopped)
    if code in (worker.FINISHED, worker.STOPPED):
        group.leave()
    return code


def _tell(view: TrialView, print_line: Callable[[str], None], done: threading.Event) -> None:
    n_told = 0
    while True:
        is_last = done.wait(LOOK_SECONDS)
        events = view.events()
        for event in events[n_told:]:
            if event["kind"] == "evaluation":
                metrics = "  ".join(f"{name} {value:.4f}" for name, value in event["metrics"].items())
                print_line(f"epoch {event['epoch']:5.2f}  {event['seconds']:6.1f} s  {metrics}")
            elif event["kind"] == "log":
                print_line(f"note: {event['text']}")
        n_told = len(events)
        if is_last:
            return
