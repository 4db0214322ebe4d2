"""``negspace sweep``: every technique with several seeds on one corpus, and the table of what came out."""

from __future__ import annotations

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.corpus.corpus import Corpus
from core.encode.encoders import encoder_of_text
from core.errors import ParameterError
from core.lab.executor import Executor
from core.lab.sweep import Sweep, Tell, chosen_recipes, need_some, sweep_plan
from core.lab.sweep_figures import measure_trials
from core.lab.sweep_table import as_markdown, as_text, as_tsv, sweep_data
from core.lab.workspace import Workspace
from core.params import digest
from core.train.config import TrialConfig

FILES = {"sweep.json": lambda data: json.dumps(data, indent=1, ensure_ascii=False) + "\n", "sweep.md": as_markdown, "sweep.tsv": as_tsv}


def sweep_command(
    workspace: Workspace, spec: str, corpus: Corpus, options: Any, *, tell: Tell = print, executor: Executor | None = None
) -> dict[str, Any]:
    """Train what is missing, write the table and return it JSON-ready; raises ParameterError for options out of range."""
    for name in ("seeds", "jobs"):
        if getattr(options, name) < 1:
            raise ParameterError(f"--{name} must be an int in [1, inf); got {getattr(options, name)}.")
    recipes = chosen_recipes(options.recipes)
    encoder = encoder_of_text(options.encoder)
    # An encoder may declare the rate that it learns well with.
    settings = {"encoder": encoder.to_dict(), "learning_rate": getattr(encoder, "learning_rate", TrialConfig.learning_rate)}
    settings |= {} if options.epochs is None else {"epochs": options.epochs}
    plan = sweep_plan(spec, corpus, recipes, range(options.seeds), **settings)
    out = _out(options.out, workspace, corpus, [p.key for p in plan])
    asked = f"{_count(len(recipes), 'recipe')}, {_count(options.seeds, 'seed')}: {_count(len(plan), 'trial')}"
    tell(f"{asked} of {corpus.name} in {workspace.folder}")
    sweep = Sweep(workspace, corpus, plan, jobs=options.jobs, executor=executor, tell=tell)
    try:
        with _ending_is_an_interrupt():
            sweep.run()
    except KeyboardInterrupt:
        if sweep.swept.folders:
            _write(sweep, out)
        raise
    need_some(sweep.swept)
    data = _write(sweep, out)
    tell("\n" + (as_markdown if options.markdown else as_text)(data))
    return data | {"out": str(out), "n_reused": sweep.swept.n_reused}


@contextmanager
def _ending_is_an_interrupt() -> Iterator[None]:
    """SIGTERM, by which queues of clusters and containers end a process, as Ctrl-C: the running trials keep a checkpoint."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _out(given: str | None, workspace: Workspace, corpus: Corpus, keys: list[str]) -> Path:
    """The folder for the table, made before anything is trained."""
    name = re.sub(r"[^\w.-]+", "-", corpus.name)[:60].strip("-.") or "corpus"
    folder = Path(given) if given else workspace.root / "sweeps" / f"{name}-{digest(sorted(keys))[:8]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ParameterError(f"--out: {folder} cannot be made ({error.strerror}). Name another folder.") from None
    return folder


def _write(sweep: Sweep, out: Path) -> dict[str, Any]:
    """Write the table of what has finished, each file whole or not at all."""
    swept, corpus = sweep.swept, sweep.corpus
    measured = measure_trials(swept.folders, corpus, cache=sweep.workspace.cache / "sweep")
    data = sweep_data(measured, corpus, left_out=swept.left_out, failed=swept.failed, jobs=sweep.jobs, is_complete=swept.is_complete)
    for name, text in FILES.items():
        part = out / f".{name}.part"
        part.write_text(text(data), encoding="utf-8")
        part.replace(out / name)
    sweep.tell(f"{', '.join(FILES)} -> {out}")
    return data


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
