"""Training every preset with several seeds, as ordinary trials of the workspace; a sweep that was cut off goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from core.audit.doctor_fit import obstacles
from core.corpus.corpus import Corpus
from core.errors import ParameterError, UserError
from core.lab import files
from core.lab.by_hand import new_trial
from core.lab.executor import Executor, Handle, LocalProcesses, live_worker
from core.lab.same_trial import trial_key, trials_by_key
from core.lab.view import TrialView
from core.lab.workspace import Workspace
from core.sampling.presets import PRESETS, preset
from core.train.config import TrialConfig

MARK = "sweep.json"  # in the folder of a trial that a sweep made: an unfinished one may be taken up by the next sweep
LOOK_SECONDS = 0.1
STILL_SECONDS = 30.0
GRACE_SECONDS = 60.0
ALL = "all"

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Planned:
    """One trial of the plan: the preset's name, the seed, the configuration and its key."""

    recipe: str
    seed: int
    config: TrialConfig
    key: str

    @property
    def title(self) -> str:
        return f"{self.recipe}, seed {self.seed}"


@dataclass
class Swept:
    """What became of a plan. ``folders``: preset -> seed -> folder of the finished trial; ``left_out``: preset -> why it cannot be
    trained here; ``failed``: title of the trial -> message; ``n_reused``: trials that were there before."""

    folders: dict[str, dict[int, Path]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    n_reused: int = 0
    is_complete: bool = False


def chosen_recipes(text: str) -> list[str]:
    """Names of presets: ``all``, or a list joined by commas, in the order of the gallery; raises ParameterError."""
    if text == ALL:
        return list(PRESETS)
    names = {preset(name.strip()).name for name in text.split(",") if name.strip()}
    if not names:
        raise ParameterError(f"--recipes must be {ALL} or names of recipes joined by commas; got {text!r}.")
    return [name for name in PRESETS if name in names]


def sweep_plan(spec: str, corpus: Corpus, recipes: Sequence[str], seeds: Sequence[int], **settings) -> list[Planned]:
    """The trials of every preset with every seed, seed by seed: after each seed the table is whole.

    ``settings``: encoder, epochs and the like, as TrialConfig takes them.
    """
    plan = []
    for seed in seeds:
        for name in recipes:
            config = TrialConfig(
                corpus=spec,
                corpus_name=corpus.name,
                corpus_fingerprint=corpus.fingerprint,
                recipe=PRESETS[name].recipe.to_dict(),
                recipe_name=PRESETS[name].title,
                name=f"{PRESETS[name].title}, seed {seed}",
                seed=seed,
                **settings,
            )
            plan.append(Planned(name, seed, config, trial_key(config)))
    return plan


class Sweep:
    """Works a plan off with ``jobs`` workers at once.

    Workers are processes of their own: they outlive a sweep that is killed, and the next one waits for them. ``threads``: of each
    worker (default: the processors shared out). ``run`` may be interrupted: the running trials then keep a checkpoint.
    """

    def __init__(
        self,
        workspace: Workspace,
        corpus: Corpus,
        plan: Sequence[Planned],
        *,
        jobs: int = 1,
        threads: int | None = None,
        executor: Executor | None = None,
        tell: Tell = print,
    ):
        self.workspace, self.corpus, self.plan, self.jobs, self.tell = workspace, corpus, list(plan), jobs, tell
        self.threads = threads or max(1, len(os.sched_getaffinity(0)) // jobs)
        self.executor = executor or LocalProcesses(workspace.root)
        self.swept = Swept()
        self._running: list[tuple[Planned, Path, Handle, float]] = []
        self._n_over, self._n_trained, self._said = 0, 0, time.monotonic()
        self._started = time.monotonic()

    def run(self) -> Swept:
        """Train what is not trained yet; raises KeyboardInterrupt after the workers have stopped."""
        waiting = self._untrained()
        self._started = time.monotonic()
        try:
            while waiting or self._running:
                while waiting and len(self._running) < self.jobs:
                    self._start(waiting.pop(0))
                self._look()
                self._say_still()
                if self._running:
                    time.sleep(LOOK_SECONDS)
        except KeyboardInterrupt:
            self._stop()
            raise
        finally:
            self.executor.close()
        self.swept.is_complete = not self.swept.failed
        return self.swept

    def _untrained(self) -> list[Planned]:
        """The plan without what cannot be trained here and what a finished trial answers already."""
        self._known = trials_by_key(self.workspace)
        waiting = []
        for planned in self.plan:
            stops = obstacles(self.corpus, PRESETS[planned.recipe].recipe)
            finished = [f for f in self._known.get(planned.key, ()) if (f / files.RESULT).exists()]
            if stops:
                self._leave_out(planned.recipe, " ".join(stops))
            elif finished:
                self.swept.folders.setdefault(planned.recipe, {})[planned.seed] = finished[0]
                self.swept.n_reused += 1
            else:
                waiting.append(planned)
        if self.swept.n_reused:
            self.tell(f"{self.swept.n_reused} of {len(self.plan)} trials are there already.")
        self._n_over = len(self.plan) - len(waiting)
        return waiting

    def _start(self, planned: Planned) -> None:
        if planned.recipe in self.swept.left_out:
            self._n_over += 1
            return
        folder = self._unfinished(planned)
        handle = live_worker(folder) if folder is not None else None
        if folder is None:
            folder = new_trial(self.workspace, planned.config, {MARK: b"{}\n"})
        if handle is None:
            for name in (files.STOP, files.FAILURE):
                (folder / name).unlink(missing_ok=True)
            handle = self.executor.start(folder, self.threads)
        self._running.append((planned, folder, handle, time.monotonic()))

    def _unfinished(self, planned: Planned) -> Path | None:
        """The trial that a sweep began and did not finish; what people began on a page is left to them."""
        return next((folder for folder in self._known.get(planned.key, ()) if (folder / MARK).exists()), None)

    def _look(self) -> None:
        for running in list(self._running):
            planned, folder, handle, started = running
            if self.executor.is_alive(handle):
                continue
            self._running.remove(running)
            self._n_over += 1
            self._settle(planned, folder, time.monotonic() - started)

    def _settle(self, planned: Planned, folder: Path, seconds: float) -> None:
        view = TrialView(folder)
        if view.result is not None:
            self._n_trained += 1
            self.swept.folders.setdefault(planned.recipe, {})[planned.seed] = folder
            value = view.result["metrics"].get("RR@10", float("nan"))
            self._say(f"{planned.title}: RR@10 {value:.4f} in {seconds:.1f} s{self._left()}")
            return
        failure = view.failure or {}
        message = str(failure.get("message") or f"its worker ended without saying why; see {folder / files.WORKER_LOG}")
        if failure.get("is_user_error"):
            self._leave_out(planned.recipe, message)
        else:
            self.swept.failed[planned.title] = message
            self._say(f"{planned.title} FAILED: {message} ({folder})")

    def _leave_out(self, recipe: str, why: str) -> None:
        if recipe not in self.swept.left_out:
            self.swept.left_out[recipe] = why
            self.tell(f"{recipe} is left out: {why}")

    def _left(self) -> str:
        n_left = len(self.plan) - self._n_over
        if not n_left:
            return ""
        seconds = (time.monotonic() - self._started) / self._n_trained * n_left
        return f", about {seconds / 60:.0f} min left" if seconds >= 90 else f", about {seconds:.0f} s left"

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        self.tell(f"[{self._n_over} of {len(self.plan)}] {line}")

    def _say_still(self) -> None:
        """A sign of life where a trial takes long."""
        if time.monotonic() - self._said < STILL_SECONDS:
            return
        for planned, folder, _, _ in self._running:
            now = TrialView(folder).progress()
            where = f"epoch {now['epoch']:.1f} of {now['n_epochs']}" if now else "starting"
            self._say(f"{planned.title}: {where}")

    def _stop(self) -> None:
        """Let every running worker write a checkpoint and end; by force after a grace or a second interrupt."""
        self.tell("Stopping: the running trials keep a checkpoint. The same command goes on from there.")
        for _, folder, _, _ in self._running:
            (folder / files.STOP).touch()
        deadline = time.monotonic() + GRACE_SECONDS
        try:
            while any(self.executor.is_alive(handle) for _, _, handle, _ in self._running) and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
        finally:
            for _, _, handle, _ in self._running:
                self.executor.end(handle, 1.0)


def need_some(swept: Swept) -> None:
    """Raises UserError where not one trial finished."""
    if not swept.folders:
        reasons = [f"{name}: {why}" for name, why in (*swept.left_out.items(), *swept.failed.items())]
        raise UserError("No trial of the sweep finished. " + " ".join(reasons[:3]))
