"""The catalogue of techniques (catalogue.tsv) beside what the product lists: what is there, what is missing.

    python -m tests.catalogue            every row with what provides it, and what is not there
    python -m tests.catalogue --write    set the column ``provided`` to what is there

A row names its providers in ``by``, separated by commas: ``preset:NAME``, ``FAMILY:KEY`` of a piece, ``FAMILY:KEY.FIELD`` of its
parameter, ``FAMILY:KEY.FIELD=CHOICE``, or ``code:MODULE[.NAME[=ITEM]]`` where no piece does it; of several with ``|`` between them
one is enough. ``seed``: whether the row is marked S, which is what ``seed_named`` of its presets says. ``also``: presets that belong
to the row without being it.
"""

from __future__ import annotations

import csv
import importlib
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

FILE = Path(__file__).with_name("catalogue.tsv")
PRESET = "preset:"


@dataclass(frozen=True)
class Row:
    """One row of the catalogue; ``section``: 1 to 6 of the catalogue."""

    section: int
    technique: str
    seed: bool
    provided: bool
    by: tuple[str, ...]
    also: tuple[str, ...] = ()
    note: str = ""

    @property
    def named(self) -> str:
        return f"{self.section}. {self.technique}"

    def presets(self) -> tuple[str, ...]:
        """Names of the presets that provide the row."""
        named = [name for names in self.by for name in names.split("|")]
        return tuple(name.removeprefix(PRESET) for name in named if name.startswith(PRESET))

    def missing(self, answer: Mapping) -> list[str]:
        """Providers that ``negspace recipes --json`` (or the code) does not have."""
        return [provider for provider in self.by if not is_there(provider, answer)]


def read_rows(path: Path = FILE) -> list[Row]:
    """The rows in the order of the catalogue; raises ValueError for a line that is none."""
    with open(path, encoding="utf-8", newline="") as stream:
        found = []
        for line in csv.DictReader(stream, delimiter="\t"):
            if {line["seed"], line["provided"]} - {"yes", "no"}:
                raise ValueError(f"{line['technique']}: seed and provided are yes or no")
            found.append(
                Row(
                    section=int(line["section"]),
                    technique=line["technique"],
                    seed=line["seed"] == "yes",
                    provided=line["provided"] == "yes",
                    by=_names(line["by"]),
                    also=_names(line["also"]),
                    note=line["note"] or "",
                )
            )
    return found


def write_rows(rows: list[Row], path: Path = FILE) -> None:
    """Write what :func:`read_rows` reads."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow([f.name for f in fields(Row)])
    for row in rows:
        flags = ["yes" if flag else "no" for flag in (row.seed, row.provided)]
        writer.writerow([row.section, row.technique, *flags, ", ".join(row.by), ", ".join(row.also), row.note])
    path.write_text(out.getvalue(), encoding="utf-8")


def is_there(provider: str, answer: Mapping) -> bool:
    """Whether the product has this provider; see the module."""
    if "|" in provider:
        return any(is_there(name, answer) for name in provider.split("|"))
    family, _, rest = provider.partition(":")
    if family == "preset":
        return any(recipe["key"] == rest for recipe in answer["recipes"])
    if family == "code":
        return _code(rest)
    path, _, choice = rest.partition("=")
    key, _, field = path.partition(".")
    pieces = [p for p in answer["pieces"] if (p["family"], p["key"]) == (family, key)]
    if not pieces or not field:
        return bool(pieces)
    rules = [p["rule"] for p in pieces[0]["parameters"] if p["name"] == field]
    return bool(rules) and (not choice or repr(choice) in rules[0])


def _code(path: str) -> bool:
    path, _, item = path.partition("=")
    try:
        importlib.import_module(path)
        return True
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError):
        return False
    return not item or item in found


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def main() -> None:
    from core.lab.catalogue import as_data

    answer, rows = as_data(), read_rows()
    for row in rows:
        missing = row.missing(answer)
        print(f"{'there  ' if not missing else 'MISSING'} {'S' if row.seed else ' '} {row.named}: {', '.join(missing or row.by)}")
    if "--write" in sys.argv:
        write_rows([replace(row, provided=not row.missing(answer)) for row in rows])


if __name__ == "__main__":
    main()
