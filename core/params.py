"""Pieces: parameters, ranges, lesson and citation declared once, in the class that does the work.

A piece is a frozen keyword-only dataclass. Its fields are declared with :func:`param`; ranges are
enforced when the piece is made. Forms, gallery cards, command-line flags, the README table and cache
keys are all derived from the class, so that adding a technique touches one file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import typing
from dataclasses import MISSING, dataclass, field
from functools import cache
from typing import Any, ClassVar, Literal, Self

from core.errors import ParameterError

Cost = Literal["free", "low", "medium", "high"]
Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Citation:
    """Where a technique comes from."""

    authors: str
    year: int
    title: str
    url: str

    def __str__(self) -> str:
        return f"{self.authors} {self.year}, {self.title}"


@dataclass(frozen=True)
class Param:
    """One declared parameter: what a form needs to draw it and a check needs to refuse a value."""

    name: str
    type: type
    default: Any
    help: str
    unit: str = ""
    ge: float | None = None
    le: float | None = None
    choices: tuple[str, ...] = ()
    is_late: bool = False

    @property
    def label(self) -> str:
        name = self.name.replace("_", " ")
        # "steps (steps)" says nothing twice.
        return name if not self.unit or self.unit.rstrip("s") in name else f"{name} ({self.unit})"

    def said(self, value: Any) -> str:
        """The value in words: "temperature .02", "no share mined"."""
        name = self.name.replace("_", " ")
        if self.type is bool:
            return name if value else f"no {name}"
        return f"{name} {value:g}" if self.type is float else f"{name} {value}"

    @property
    def rule(self) -> str:
        """The rule in words, as error messages print it."""
        if self.choices:
            return "must be one of " + ", ".join(map(repr, self.choices))
        kind = {int: "an int", float: "a number", bool: "true or false", str: "a text"}[self.type]
        if self.ge is None and self.le is None:
            return f"must be {kind}"
        low = "(-inf" if self.ge is None else f"[{self.ge:g}"
        high = "inf)" if self.le is None else f"{self.le:g}]"
        return f"must be {kind} in {low}, {high}"

    def check(self, owner: str, value: Any) -> Any:
        """Return the value in its declared type, or raise ParameterError."""
        ok = isinstance(value, self.type) and not (self.type is not bool and isinstance(value, bool))
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            value, ok = float(value), True
        if ok and self.type in (int, float):
            ok = (self.ge is None or value >= self.ge) and (self.le is None or value <= self.le)
            ok = ok and math.isfinite(value)
        if ok and self.choices:
            ok = value in self.choices
        if not ok:
            raise ParameterError(f"{owner}.{self.name} {self.rule}; got {value!r}.")
        return value

    def parse(self, owner: str, text: str) -> Any:
        """The value that a command line's or a link's text stands for; raises ParameterError."""
        try:
            if self.type is bool:
                value: Any = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                    text.lower()
                ]
            else:
                value = self.type(text)
        except (ValueError, KeyError):
            raise ParameterError(f"{owner}.{self.name} {self.rule}; got {text!r}.") from None
        return self.check(owner, value)


def param(
    default: Any,
    help: str,
    *,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    choices: tuple[str, ...] = (),
    is_late: bool = False,
) -> Any:
    """A dataclass field that is a declared parameter of a piece.

    ``is_late``: declared after pieces were stored; to_dict leaves it out at its default, so that older keys and trials stay.
    """
    declared = {"help": help, "unit": unit, "ge": ge, "le": le, "choices": choices, "is_late": is_late}
    return field(default=default, metadata=declared)


class Piece:
    """Base of every part of a recipe and of every encoder.

    Subclasses are ``@dataclass(frozen=True, kw_only=True)``; class variables are the metadata, the
    docstring is the lesson: its first line one sentence of idea, then how it works, then when it fails.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    family: ClassVar[str]
    source: ClassVar[Citation]
    cost: ClassVar[Cost] = "free"
    difficulty: ClassVar[Difficulty] = "easy"
    needs: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for spec in self.params():
            object.__setattr__(self, spec.name, spec.check(type(self).__name__, getattr(self, spec.name)))
        self.check()

    def check(self) -> None:
        """Rules that join two parameters; raises ParameterError."""

    def lacks(self, corpus: Any, recipe: Any = None) -> str:
        """Why this piece cannot work on the corpus or in the recipe, with the remedy; "" when it can. Told before training."""
        return ""

    @classmethod
    def params(cls) -> tuple[Param, ...]:
        """The declared parameters in order."""
        return _params(cls)

    @classmethod
    def idea(cls) -> str:
        """The first sentence of the lesson."""
        return cls.lesson().split("\n", 1)[0]

    @classmethod
    def lesson(cls) -> str:
        """The docstring, without its indentation."""
        import inspect

        return inspect.getdoc(cls) or ""

    def to_dict(self) -> dict[str, Any]:
        """``{"key": ..., field: value, ...}``, JSON-ready."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        absent = {p.name for p in self.params() if p.is_late and values[p.name] == p.default}
        return {"key": self.key, **{name: value for name, value in values.items() if name not in absent}}

    def but(self, **changes: Any) -> Self:
        """The same piece with some parameters changed; raises ParameterError."""
        names = {p.name for p in self.params()}
        for name in changes:
            if name not in names:
                known = ", ".join(sorted(names)) or "none"
                raise ParameterError(f"{type(self).__name__} has no parameter {name!r}. It has: {known}.")
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def summary(self) -> str:
        """Title and the values that differ from the defaults, for legends and tables."""
        changed = [p.said(getattr(self, p.name)) for p in self.params() if getattr(self, p.name) != p.default]
        return self.title + (f" ({', '.join(changed)})" if changed else "")


@cache
def _params(cls: type) -> tuple[Param, ...]:
    hints = typing.get_type_hints(cls)
    specs = []
    for f in dataclasses.fields(cls):
        if "help" not in f.metadata:
            raise TypeError(f"{cls.__name__}.{f.name} must be declared with param().")
        if f.default is MISSING:
            raise TypeError(f"{cls.__name__}.{f.name} needs a default.")
        specs.append(Param(name=f.name, type=hints[f.name], default=f.default, **f.metadata))
    return tuple(specs)


def make_piece(pieces: typing.Iterable[type[Piece]], data: dict[str, Any], slot: str) -> Piece:
    """The piece that ``data`` (as :meth:`Piece.to_dict` gives it) describes, out of one family's tuple."""
    by_key = {p.key: p for p in pieces}
    values = dict(data)
    key = values.pop("key", None)
    if key not in by_key:
        raise ParameterError(f"{slot}.key must be one of {', '.join(by_key)}; got {key!r}.")
    cls = by_key[key]
    unknown = set(values) - {p.name for p in cls.params()}
    if unknown:
        raise ParameterError(f"{cls.__name__} has no parameter {sorted(unknown)[0]!r}.")
    return cls(**values)


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of the value's canonical JSON: a cache key."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
