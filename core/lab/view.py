"""What a trial's folder tells about it, read bit by bit: cheap enough to ask every second."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from core.lab import files
from core.train.events import read_events


class TrialView:
    """Everything that a page shows of one trial, from its folder alone: no database, no process.

    Keep the object between calls: each call reads only what was appended since the last.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)
        self._offset = 0
        self._events: list[dict[str, Any]] = []
        self._by_kind: dict[str, list[dict[str, Any]]] = {}
        self._files: dict[str, tuple[tuple[int, int, int], dict[str, Any] | None]] = {}

    @property
    def trial(self) -> dict[str, Any]:
        """The whole of ``trial.json``: name, config, owner, library versions; {} without one."""
        return self._file(files.TRIAL) or {}

    @property
    def config(self) -> dict[str, Any]:
        """The configuration as ``TrialConfig.from_dict`` reads it."""
        return self.trial.get("config") or {}

    @property
    def name(self) -> str:
        return self.trial.get("name") or self.folder.name

    @property
    def result(self) -> dict[str, Any] | None:
        """``result.json`` of a finished trial, else None."""
        return self._file(files.RESULT)

    @property
    def failure(self) -> dict[str, Any] | None:
        """``{"message", "is_user_error", ...}`` of a failed trial, else None."""
        return self._file(files.FAILURE)

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """All events so far in order, or those of one kind; each has ``t`` (seconds since the epoch)."""
        self._read()
        return list(self._events if kind is None else self._by_kind.get(kind, ()))

    def curve(self) -> list[dict[str, Any]]:
        """One ``{step, epoch, seconds, metrics}`` an evaluation, by step.

        A trial that resumed behind its last evaluation evaluates a step again: the later one counts.
        """
        points = {}
        for event in self.events("evaluation"):
            points[event.get("step")] = {
                "step": event.get("step"),
                "epoch": event.get("epoch"),
                "seconds": event.get("seconds"),
                "train_seconds": event.get("train_seconds"),
                "metrics": event.get("metrics") or {},
            }
        return sorted(points.values(), key=lambda point: point["step"] or 0)

    def baselines(self) -> dict[str, dict[str, float]]:
        """Metrics by baseline name (``untrained``, ``bm25``), for the lines beside the curve."""
        return {str(event.get("name")): event.get("metrics") or {} for event in self.events("baseline")}

    def progress(self) -> dict[str, Any]:
        """``{step, n_steps, epoch, n_epochs, loss, share, seconds_left}`` of the last progress event.

        ``share``: of all steps, in [0, 1]. ``seconds_left``: from the pace since the last start, None
        while that is unknown. Empty before the first progress event.
        """
        done = self.events("progress")
        if not done:
            return {}
        last = done[-1]
        step, n_steps = last.get("step") or 0, last.get("n_steps") or 0
        seconds_left = None
        since = next((e["t"] for e in reversed(self.events("state")) if e.get("state") == "running"), 0.0)
        first = next((e for e in done if e.get("t", 0.0) >= since), last)
        n_seen = step - (first.get("step") or 0)
        if n_seen > 0 and n_steps:
            seconds_left = (last["t"] - first["t"]) / n_seen * (n_steps - step)
        keep = {key: last.get(key) for key in ("step", "n_steps", "epoch", "n_epochs", "loss")}
        return {**keep, "share": min(1.0, step / n_steps) if n_steps else 0.0, "seconds_left": seconds_left}

    def log(self, n: int = 200) -> list[str]:
        """The last ``n`` lines that the trial logged."""
        return [str(event.get("text", "")) for event in self.events("log")[-n:]]

    def output(self, n: int = 50) -> list[str]:
        """The last ``n`` lines that the worker process printed (warnings, tracebacks of libraries)."""
        try:
            with open(self.folder / files.WORKER_LOG, "rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - 64 * 1024))
                text = stream.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return text.splitlines()[-n:]

    def stopped_since(self, t: float) -> bool:
        """True when the trial wrote its checkpoint and stopped at or after ``t``."""
        return any(e.get("state") == "stopped" and e.get("t", 0.0) >= t for e in self.events("state"))

    def state_from_folder(self) -> str:
        """finished, failed, stopped, running, interrupted, or queued (never started).

        What was written counts, then whether the worker's process lives.
        """
        if self.result is not None:
            return "finished"
        from core.lab.executor import live_worker

        if live_worker(self.folder) is not None:
            return "running"
        if self.failure is not None:
            return "failed"
        states = self.events("state")
        if not states:
            return "interrupted" if (self.folder / files.WORKER).exists() else "queued"
        return "stopped" if states[-1].get("state") == "stopped" else "interrupted"

    def _read(self) -> None:
        new, offset = read_events(self.folder / files.EVENTS, self._offset)
        if offset < self._offset:  # another file took its place: what was read of the old one is void
            self._events, self._by_kind = [], {}
        self._offset = offset
        self._events.extend(new)
        for event in new:
            self._by_kind.setdefault(str(event.get("kind")), []).append(event)

    def _file(self, name: str) -> dict[str, Any] | None:
        """The JSON file's content, read again only when the file changed."""
        path = self.folder / name
        try:
            status = path.stat()
        except OSError:
            self._files.pop(name, None)
            return None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if name not in self._files or self._files[name][0] != stamp:
            self._files[name] = (stamp, files.read_json(path))
        return self._files[name][1]
