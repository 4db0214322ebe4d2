"""The append-only event log of a trial: one JSON object a line, written whole, read bit by bit."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class EventWriter:
    """Appends events to one file; every event reaches the file in one ``write`` call.

    ``path``: the file, made with its folder when it is first written.
    """

    def __init__(self, path: Path | str):
        self.path = Path(path)

    def write(self, kind: str, **data: Any) -> None:
        """Append ``{"t": seconds since the epoch, "kind": kind, **data}`` as one line.

        NaN and infinities become null (JSON has neither), numpy scalars and arrays plain numbers and
        lists, paths and other objects their text.
        """
        line = json.dumps(_plain({"t": round(time.time(), 3), "kind": kind, **data}), ensure_ascii=False)
        payload = line.encode("utf-8", "backslashreplace") + b"\n"
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # A worker killed inside a write leaves half a line: close it, or it would swallow this event.
            size = os.fstat(handle).st_size
            if size and os.pread(handle, 1, size - 1) != b"\n":
                payload = b"\n" + payload
            while payload:  # a full disk writes a part; the next call then raises the reason
                payload = payload[os.write(handle, payload) :]
        finally:
            os.close(handle)


class EventReader:
    """Reads what was appended since the last call; remembers its place.

    ``offset``: bytes read so far, always at the start of a line.
    """

    def __init__(self, path: Path | str, offset: int = 0):
        self.path = Path(path)
        self.offset = offset

    def read(self) -> list[dict[str, Any]]:
        """The whole events that are new since the last call, in order; ``[]`` while there is no file."""
        events, self.offset = read_events(self.path, self.offset)
        return events


def read_events(path: Path | str, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The whole events after byte ``offset`` and the offset to go on from.

    A last line without its line end is left for the next call; a line that is no JSON object (the rest
    of a write that was cut off) is passed over. A file shorter than ``offset`` was replaced: it is read
    from its start, which the caller knows by a returned offset that is smaller than its own. No file:
    ``([], 0)``.
    """
    try:
        with open(path, "rb") as stream:
            if os.fstat(stream.fileno()).st_size < offset:
                offset = 0
            stream.seek(offset)
            block = stream.read()
    except FileNotFoundError:
        return [], 0
    whole = block[: block.rfind(b"\n") + 1]
    events = []
    for line in whole.split(b"\n"):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:  # also covers text that is not UTF-8
            continue
        if isinstance(event, dict):
            events.append(event)
    return events, offset + len(whole)


def _plain(value: Any) -> Any:
    """The value in JSON's own types."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    if hasattr(value, "tolist"):  # numpy scalars and arrays, tensors, without importing either
        return _plain(value.tolist())
    return str(value)
