"""``torchrun ... negspace train``: one process leads and trains as ever, the others lend their work."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import ParameterError
from core.lab.workspace import Workspace
from core.sampling.passes import CrossBatch, OnePass
from core.sampling.recipe import Recipe

if TYPE_CHECKING:
    from core.train.distributed import Group


def n_processes() -> int:
    """How many processes torchrun started for this training, this one included; 1 without torchrun."""
    told = os.environ.get("WORLD_SIZE", "")
    return int(told) if told.isdigit() and int(told) else 1


def is_follower() -> bool:
    """Whether another process of torchrun's leads."""
    return n_processes() > 1 and os.environ.get("RANK", "0") != "0"


def with_processes(recipe: Recipe, say: Callable[[str], None]) -> tuple[Recipe, Group | None]:
    """(the recipe as these processes train it, the group that this process leads); the recipe alone without torchrun."""
    if n_processes() == 1:
        return recipe, None
    from core.train.distributed import join

    recipe, told = shared(recipe, n_processes())
    say(told)
    return recipe, join()


def shared(recipe: Recipe, n: int) -> tuple[Recipe, str]:
    """(the recipe whose batch ``n`` processes share, a sentence about it); raises ParameterError where they cannot.

    A recipe of one pass gets a worker for each process; one that is cross-batch keeps its workers, shared evenly.
    """
    passes = recipe.passes
    if isinstance(passes, OnePass):
        changed = dataclasses.replace(recipe, passes=CrossBatch(workers=n))
        return changed, f"{n} processes: the batch size is each one's, and their documents serve all queries (cross-batch)."
    if not isinstance(passes, CrossBatch):
        raise ParameterError(f"{passes.title} works in one process. Set passes=cross-batch for torchrun, or start negspace without it.")
    if passes.process_fault(n):
        raise ParameterError(passes.process_fault(n))
    return recipe, f"{n} processes share {passes.workers} workers."


def follow_training(workspace: Workspace) -> None:
    """Take part in the training that the first process leads, until it is over; prints and writes nothing."""
    from core.corpus.load import load_corpus
    from core.train.config import read_config
    from core.train.distributed import follow, join

    group = join()
    folder = Path(group.share_text())
    # From here a stop is the leader's to decide, who keeps a checkpoint first; when it is gone, so is the connection.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    follow(folder, load_corpus(read_config(folder).corpus, cache=workspace.corpora), group)
    group.leave()
