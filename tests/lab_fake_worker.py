"""A worker whose trial only counts: real process, real files, no training. Run as a program with a folder."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.errors import CorpusError
from core.lab import worker
from core.train.events import EventWriter


class FakeStopped(Exception):
    """As ``core.train.trial.Stopped``."""


def count(folder: Path, *, should_stop: Callable[[], bool], threads: int | None) -> None:
    """Count to ``n_steps``, ``pause`` seconds a step, with a checkpoint at each; ``fault`` says how to go wrong."""
    config = json.loads((folder / "trial.json").read_text())["config"]
    events = EventWriter(folder / "events.jsonl")
    with open(folder / "starts.txt", "a") as starts:
        starts.write(f"{os.getpid()} {threads} {os.getcwd()}\n")
    checkpoint = folder / "checkpoint"
    first = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(first + 1, config.get("n_steps", 3) + 1):
        if should_stop() and not config.get("deaf"):
            events.write("state", state="stopped")
            raise FakeStopped
        time.sleep(config.get("pause", 0.01))
        if config.get("fault") == "user":
            raise CorpusError("docs.jsonl:3: missing 'text'. Each line needs _id and text.")
        if config.get("fault") == "bug":
            raise ZeroDivisionError("division by zero")
        if config.get("fault") == "die":
            print("about to die", flush=True)
            os._exit(77)
        with open(folder / "steps.txt", "a") as steps:
            steps.write(f"{step}\n")
        # Whole or not at all: tests kill this process at any moment.
        (folder / "checkpoint.part").write_text(str(step))
        (folder / "checkpoint.part").replace(checkpoint)
        events.write("progress", step=step, n_steps=config.get("n_steps", 3))
    (folder / "result.json").write_text(json.dumps({"metrics": {"RR@10": 0.5}, "corpus_fingerprint": "f" * 16}))


if __name__ == "__main__":
    worker.leave(worker.main(sys.argv[1], run=count, stopped=FakeStopped))
