"""What the sweeps that are kept in docs/ say about the literature's orders, for the lesson of each named recipe.

``orders_seen.json`` is written by ``python -m core.audit.orders_seen FOLDER/sweep.json ...``, one file a sweep.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from core.audit.expectations import APPEARS, OPPOSITE

FILE = Path(__file__).with_name("orders_seen.json")


@dataclass(frozen=True)
class Seen:
    """One order on one collection: ``better`` should do better than ``worse``. ``judged_by``: labels or truth; ``verdict``: one of
    core.audit.expectations; ``sentence``: the figures in words."""

    corpus: str
    n_seeds: int
    better: str
    worse: str
    judged_by: str
    verdict: str
    sentence: str


@cache
def orders_seen() -> tuple[Seen, ...]:
    """Every order of every kept sweep, in the order of the file."""
    return tuple(Seen(**entry) for entry in json.loads(FILE.read_text(encoding="utf-8")))


def seen_of(preset: str) -> tuple[Seen, ...]:
    """The orders in which the preset takes part; those that could be told come first."""
    own = [seen for seen in orders_seen() if preset in (seen.better, seen.worse)]
    return tuple(sorted(own, key=lambda seen: seen.verdict not in (APPEARS, OPPOSITE)))


def collected(paths: Sequence[Path]) -> list[dict[str, object]]:
    """The orders of these files of ``negspace sweep --out``, JSON-ready."""
    entries = []
    for path in paths:
        data = json.loads(path.read_text(encoding="utf-8"))
        for found in data["findings"]:
            kept = {name: found[name] for name in ("better", "worse", "judged_by", "verdict", "sentence")}
            entries.append({"corpus": data["corpus"], "n_seeds": len(data["seeds"]), **kept})
    return entries


if __name__ == "__main__":
    FILE.write_text(json.dumps(collected([Path(path) for path in sys.argv[1:]]), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
