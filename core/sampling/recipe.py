"""The recipe: a sampling strategy as a small value - composed, serialisable, hashable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ParameterError
from core.params import Param, Piece, digest, make_piece, param
from core.sampling.batch import BATCH, BatchNegatives, InBatch
from core.sampling.batch_mined import BATCH_MINED
from core.sampling.filters import FILTERS, Filter
from core.sampling.pickers import PICKERS, Picker, Top
from core.sampling.positives import POSITIVES, Labelled, Positives
from core.sampling.schedule import SCHEDULES, Once, Schedule
from core.sampling.signal import SIGNALS, InfoNCE, Signal
from core.sampling.sources import SOURCES, RandomCorpus, Source
from core.sampling.windows import WINDOWS, RankWindow

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus

#: Every piece of every family, by the slot of a recipe that it fits.
FAMILIES: dict[str, tuple[type[Piece], ...]] = {
    "positives": POSITIVES,
    "batch": (*BATCH, *BATCH_MINED),
    "source": SOURCES,
    "window": WINDOWS,
    "filters": FILTERS,
    "picker": PICKERS,
    "schedule": SCHEDULES,
    "signal": SIGNALS,
}


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One stream of mined negatives: source -> window -> filters -> picker, how many, how heavy."""

    source: Source = dataclasses.field(default_factory=RandomCorpus)
    window: RankWindow = dataclasses.field(default_factory=RankWindow)
    filters: tuple[Filter, ...] = ()
    picker: Picker = dataclasses.field(default_factory=Top)
    per_query: int = param(1, "negatives taken for each query", ge=1, le=1000)
    weight: float = param(1.0, "loss weight of each of these negatives", ge=0.0, le=1000.0)

    def __post_init__(self) -> None:
        for spec in lane_params():
            object.__setattr__(self, spec.name, spec.check("Lane", getattr(self, spec.name)))
        keys = [f.key for f in self.filters]
        if len(set(keys)) < len(keys):
            raise ParameterError("Lane.filters may hold each filter once.")
        if not self.source.is_redrawn and self.per_query > self.window.last - self.window.first + 1:
            raise ParameterError(
                f"Lane.per_query must be <= the ranks in its window ({self.window.last - self.window.first + 1}); "
                f"got {self.per_query}. Widen RankWindow.last or take fewer."
            )

    @property
    def depth(self) -> int:
        """Candidates looked at for each query. A redrawn source has no ranks: some more than needed are drawn, for the filters."""
        if self.source.is_redrawn:
            return 2 * self.per_query + 2 if self.filters else self.per_query
        return self.window.depth

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "source": self.source.to_dict(),
            "window": self.window.to_dict(),
            "filters": [f.to_dict() for f in self.filters],
            "picker": self.picker.to_dict(),
            "per_query": self.per_query,
            "weight": self.weight,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Lane:
        """The lane that :meth:`to_dict` wrote; raises ParameterError."""
        known = {"source", "window", "filters", "picker", "per_query", "weight"}
        _refuse_unknown("Lane", data, known)
        made: dict[str, Any] = {
            slot: make_piece(FAMILIES[slot], data[slot], slot) for slot in ("source", "window", "picker") if slot in data
        }
        made["filters"] = tuple(make_piece(FILTERS, f, "filters") for f in data.get("filters", ()))
        made |= {name: data[name] for name in ("per_query", "weight") if name in data}
        return cls(**made)

    def summary(self) -> str:
        """"2 x BM25 (ranks 1-50), Top", for legends."""
        window = "" if self.source.is_redrawn else f" ranks {self.window.first}-{self.window.last}"
        rules = "".join(f", {f.title.lower()}" for f in self.filters)
        return f"{self.per_query} x {self.source.title}{window}{rules}, {self.picker.summary()}"


def lane_params() -> tuple[Param, ...]:
    """The declared parameters of a lane itself: per_query and weight."""
    hints = {"per_query": int, "weight": float}
    return tuple(
        Param(name=f.name, type=hints[f.name], default=f.default, **f.metadata)
        for f in dataclasses.fields(Lane)
        if f.name in hints
    )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """positives + batch + mined lanes + schedule + signal."""

    positives: Positives = dataclasses.field(default_factory=Labelled)
    batch: BatchNegatives = dataclasses.field(default_factory=InBatch)
    mined: tuple[Lane, ...] = ()
    schedule: Schedule = dataclasses.field(default_factory=Once)
    signal: Signal = dataclasses.field(default_factory=InfoNCE)

    def __post_init__(self) -> None:
        if not self.mined and not self.batch.gives_negatives:
            raise ParameterError("Recipe has no negatives. Add a mined lane, or batch negatives such as in-batch.")

    @property
    def key(self) -> str:
        """16 hexadecimal digits: equal recipes have equal keys."""
        return digest(self.to_dict())

    @property
    def per_query(self) -> int:
        """Mined negatives asked for each query, all lanes together."""
        return sum(lane.per_query for lane in self.mined)

    @property
    def depth(self) -> int:
        """Deepest rank that any lane looks at; 0 without ranked lanes."""
        return max((lane.depth for lane in self.mined), default=0)

    def pieces(self) -> list[Piece]:
        """All pieces, slot by slot."""
        found: list[Piece] = [self.positives, self.batch]
        for lane in self.mined:
            found += [lane.source, *([] if lane.source.is_redrawn else [lane.window]), *lane.filters, lane.picker]
        return [*found, self.schedule, self.signal]

    def lacks(self, corpus: Corpus) -> list[str]:
        """Why pieces of the recipe cannot work on this corpus or together, one sentence each with its remedy."""
        return list(dict.fromkeys(why for piece in self.pieces() if (why := piece.lacks(corpus, self))))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` gives the same recipe back."""
        return {
            "positives": self.positives.to_dict(),
            "batch": self.batch.to_dict(),
            "mined": [lane.to_dict() for lane in self.mined],
            "schedule": self.schedule.to_dict(),
            "signal": self.signal.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """The recipe that :meth:`to_dict` wrote; raises ParameterError."""
        slots = ("positives", "batch", "schedule", "signal")
        _refuse_unknown("Recipe", data, {*slots, "mined"})
        made: dict[str, Any] = {slot: make_piece(FAMILIES[slot], data[slot], slot) for slot in slots if slot in data}
        return cls(mined=tuple(Lane.from_dict(lane) for lane in data.get("mined", ())), **made)

    def summary(self) -> str:
        """One line in words, for tables."""
        parts = [self.batch.summary(), *(lane.summary() for lane in self.mined)]
        if any(lane.source.is_dynamic for lane in self.mined):
            parts.append(self.schedule.summary().lower())
        return " + ".join(parts) + f"; {self.signal.summary()}"


def _refuse_unknown(owner: str, data: Any, known: set[str]) -> None:
    if not isinstance(data, dict):
        raise ParameterError(f"{owner} must be an object with {', '.join(sorted(known))}; got {data!r}.")
    unknown = sorted(set(data) - known)
    if unknown:
        raise ParameterError(f"{owner} has no part {unknown[0]!r}. It has: {', '.join(sorted(known))}.")
