"""One trial from its folder: load, train, evaluate, write; stop and go on exactly where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.load import load_corpus
from core.encode.encoders import make_encoder
from core.errors import TrialError
from core.sampling.recipe import Recipe
from core.search.threads import thread_count
from core.train import checkpoint
from core.train.background import Background, Forked, fork
from core.train.config import TrialConfig, read_config
from core.train.events import EventWriter
from core.train.outcome import Outcome
from core.train.setup import Setup, prepare
from core.train.staleness import staleness

if TYPE_CHECKING:
    from core.train.distributed import Group

PROGRESS_SECONDS = 0.25
STEP_THREADS = 1
# A checkpoint copies every weight and the moments of Adam (tens of megabytes for the default encoder).
CHECKPOINT_SECONDS = 20.0


class Stopped(Exception):
    """The trial was asked to stop and wrote a checkpoint."""


def run_trial(
    folder: Path,
    *,
    should_stop: Callable[[], bool] = lambda: False,
    threads: int | None = None,
    corpus: Corpus | None = None,
    group: Group | None = None,
    may_fork: bool = False,
) -> dict[str, Any]:
    """Train the trial that ``folder/trial.json`` describes and return its result (also ``folder/result.json``).

    Goes on from ``folder/checkpoint`` where there is one, with the same bytes as if it had never stopped (for the same
    number of threads). ``threads``: torch's, at most STEP_THREADS for an encoder whose step is light; search and the compiled
    loops have their own (OMP_NUM_THREADS). ``corpus``: the loaded corpus, when the caller has it. ``group``: processes that
    encode each batch with this one, which leads them (core.train.distributed); they follow until the training ends or stops.
    ``may_fork``: the calling process has computed nothing yet, so it may be forked. Raises Stopped after ``should_stop()`` turned
    true, CorpusError, ParameterError or TrialError for what the user can mend.
    """
    import torch

    folder = Path(folder)
    config = read_config(folder)
    spare = fork(folder) if may_fork and corpus is None and _refreshes_beside(config.recipe_value) else None
    # A step over token vectors is too small to share: a second thread mostly waits, and on a busy machine it waits long.
    is_light = make_encoder(config.encoder).is_light
    torch.set_num_threads(min(threads or STEP_THREADS, STEP_THREADS) if is_light else thread_count(threads))
    events = EventWriter(folder / "events.jsonl")
    is_named = corpus is None
    if corpus is None:
        cache = folder.parent.parent / "corpora" if folder.parent.name == "trials" else None
        corpus = load_corpus(config.corpus, cache=cache)
    if config.corpus_fingerprint and config.corpus_fingerprint != corpus.fingerprint:
        raise TrialError(
            f"{config.corpus} has changed since this trial was made (fingerprint {corpus.fingerprint}, "
            f"not {config.corpus_fingerprint}). Start a new trial on the corpus as it is now."
        )
    loop = _Loop(folder, config, corpus, events, should_stop, group, is_named=is_named, spare=spare)
    try:
        return loop.run()
    finally:
        if loop.setup.negatives.background is not None:
            loop.setup.negatives.background.close()


def _refreshes_beside(recipe: Recipe) -> bool:
    return recipe.schedule.is_async and any(lane.source.is_dynamic for lane in recipe.mined)


class _Loop:
    def __init__(
        self,
        folder: Path,
        config: TrialConfig,
        corpus: Corpus,
        events: EventWriter,
        should_stop: Callable[[], bool],
        group: Group | None,
        *,
        is_named: bool,
        spare: tuple[Forked, socket] | None = None,
    ):
        self.started = time.perf_counter()
        self.folder, self.config, self.corpus = folder, config, corpus
        self.events, self.should_stop, self.group = events, should_stop, group
        self.step = 0
        self.seconds = {"train": 0.0, "mine": 0.0, "evaluate": 0.0, "encode": 0.0, "total": 0.0}
        self.losses: list[float] = []
        self.setup: Setup = prepare(config, corpus, folder, events, group)
        if _refreshes_beside(self.setup.recipe):
            self._start_background(None if is_named else corpus, spare)
        self.outcome = Outcome(folder, corpus, self.setup, events)
        self.n_steps = config.epochs * self.setup.steps_per_epoch
        self.last_checkpoint = time.monotonic()
        self.last_progress = 0.0
        self.weighing: dict[str, list[float]] = {"positive": [], "negative": [], "hard": []}

    def _start_background(self, corpus: Corpus | None, spare: tuple[Forked, socket] | None) -> None:
        setup = self.setup
        setup.negatives.background = Background(
            self.folder,
            setup.recipe.schedule.lag,
            setup.stepper.model.state,
            lambda text: self.events.write("log", text=text),
            corpus,
            spare,
        )

    def run(self) -> dict[str, Any]:
        stored = checkpoint.read_checkpoint(self.folder / "checkpoint")
        if stored is None:
            self.outcome.baselines()
            self._evaluate()
            self.outcome.snapshot(self.step)
        else:
            self._restore(*stored)
        if self.group is not None:
            self.group.wait()
        while self.step < self.n_steps:
            epoch, position = divmod(self.step, self.setup.steps_per_epoch)
            self._train_epoch(epoch, position)
            self._evaluate()
            if self.step in self.setup.snapshot_steps:
                self.outcome.snapshot(self.step)
            if time.monotonic() - self.last_checkpoint > CHECKPOINT_SECONDS and self.step < self.n_steps:
                self._checkpoint()
        return self._finish()

    def _train_epoch(self, epoch: int, position: int) -> None:
        setup = self.setup
        order = setup.order(epoch)
        setup.begin_epoch(epoch)
        for index in range(position, setup.steps_per_epoch):
            if self.should_stop():
                self._stop()
            mined = setup.negatives.prepare(self.step, epoch, index == 0, setup.steps_per_epoch)
            self._tell_refreshes(mined)
            started = time.perf_counter()
            chosen = order[index * setup.batch_size : (index + 1) * setup.batch_size]
            batch = setup.batch(chosen)
            if self.group is not None:
                self.group.send_batch(batch)
            report = setup.stepper.step(batch)
            if setup.negatives.recipe.mined:
                setup.negatives.note_use(setup.positions[chosen], report.mined_weights)
            if setup.extra is not None:
                setup.extra.note_use(setup.positions[chosen], report.mined_weights)
            if report.searched is not None and setup.negatives.found is not None:
                rows, scores, positive_scores = report.searched
                weights = report.mined_weights[:, -rows.shape[1] :]
                setup.negatives.found.note(setup.positions[chosen], batch.positive_rows, positive_scores, rows, scores, weights)
            self.seconds["train"] += time.perf_counter() - started
            self.step += 1
            self.losses.append(report.loss)
            self.weighing["positive"].append(report.positive_score)
            self.weighing["negative"].append(report.negative_score)
            self.weighing["hard"].append(report.hard_share)
            self._tell_progress()
        self._tell_refreshes(setup.negatives.close_epoch())

    def _staleness(self) -> dict[str, Any] | None:
        # A queue of texts that a recipe makes holds no documents to compare with.
        if self.setup.made is not None and self.setup.made.positive_texts is not None:
            return None
        return staleness(self.setup.stepper, self.setup.context.vectors("current").documents)

    def _evaluate(self) -> None:
        started = time.perf_counter()
        metrics = self.outcome.evaluate(self.step)
        stale = self._staleness()
        if self.setup.extra is not None:
            self.setup.extra.score(self.setup.context, self.setup.stepper)
        self.seconds["evaluate"] += time.perf_counter() - started
        vitals = {name: float(np.mean(values)) for name, values in self.weighing.items() if values}
        for values in self.weighing.values():
            values.clear()
        self.events.write(
            "evaluation",
            step=self.step,
            epoch=self.step / self.setup.steps_per_epoch,
            seconds=self._elapsed(),
            train_seconds=self.seconds["train"] + self.setup.negatives.seconds,
            metrics=metrics,
        )
        if stale is not None:
            self.events.write("staleness", step=self.step, **stale)
        if vitals:
            self.events.write("vital", step=self.step, **vitals)
        self._tell_progress(now=True)

    def _tell_progress(self, now: bool = False) -> None:
        if not now and time.monotonic() - self.last_progress < PROGRESS_SECONDS:
            return
        self.last_progress = time.monotonic()
        self.events.write(
            "progress",
            step=self.step,
            n_steps=self.n_steps,
            epoch=self.step / self.setup.steps_per_epoch,
            n_epochs=self.config.epochs,
            loss=float(np.mean(self.losses)) if self.losses else None,
            seconds=self._elapsed(),
        )
        self.losses.clear()

    def _tell_refreshes(self, mined: list[dict[str, Any]]) -> None:
        if not mined:
            return
        self.events.write("refresh", step=self.step, seconds=self._elapsed(), lanes=mined)
        for lane in mined:
            if lane["n_short"] and self.step == 0:
                self.events.write(
                    "log",
                    text=f"{lane['n_short']} of {len(self.setup.negatives.query_rows)} queries have fewer negatives than asked "
                    f"from {lane['source']} ({lane['n_none']} have none): the rest was refused or is not in the corpus.",
                )

    def _elapsed(self) -> float:
        """Seconds of work so far, those before a stop included."""
        return self.seconds["total"] + time.perf_counter() - self.started

    def _checkpoint(self) -> None:
        stepper, negatives = self.setup.stepper, self.setup.negatives
        negatives.flush()
        arrays, state = negatives.pack()
        arrays |= checkpoint.pack_stepper(stepper)
        if self.setup.extra is not None:
            self.setup.extra.write()
            arrays |= {f"written.{name}": values for name, values in self.setup.extra.arrays.items()}
        seconds = {**self.seconds, "total": self._elapsed()}
        checkpoint.write_checkpoint(
            self.folder / "checkpoint", arrays, {"step": self.step, "seconds": seconds, "negatives": state}
        )
        self.last_checkpoint = time.monotonic()

    def _restore(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        self.step, self.seconds = state["step"], state["seconds"]
        checkpoint.unpack_stepper(self.setup.stepper, arrays, self.step)
        self.setup.negatives.unpack(arrays, state["negatives"])
        if self.setup.extra is not None:  # a checkpoint of an earlier version has none
            self.setup.extra.arrays |= {k.split(".", 1)[1]: np.array(v) for k, v in arrays.items() if k.startswith("written.")}
        self.events.write("log", text=f"Goes on from the checkpoint at step {self.step} of {self.n_steps}.")
        self.events.write("resume", step=self.step)

    def _stop(self) -> None:
        self._checkpoint()
        if self.group is not None:
            self.group.send_batch(None)
        self._tell_progress(now=True)
        self.events.write("state", state="stopped", step=self.step)
        raise Stopped(f"stopped at step {self.step} of {self.n_steps}")

    def _finish(self) -> dict[str, Any]:
        if self.setup.negatives.background is not None:
            self.setup.negatives.background.close(is_finished=True)
        if self.group is not None:
            self.group.send_batch(None)
        self.setup.negatives.flush()
        self.setup.stepper.model.save(self.folder / "model", self.setup.recipe.signal.similarity)
        seconds = {
            "train": self.seconds["train"],
            "mine": self.setup.negatives.seconds,
            "evaluate": self.seconds["evaluate"],
            "total": self._elapsed(),
        }
        result = self.outcome.result(seconds, self.step)
        temporary = self.folder / "result.json.new"
        temporary.write_text(json.dumps(result, indent=2), encoding="utf-8")
        temporary.replace(self.folder / "result.json")
        checkpoint.delete_checkpoint(self.folder / "checkpoint")
        self.events.write("done", metrics=result["metrics"], seconds=seconds)
        return result
