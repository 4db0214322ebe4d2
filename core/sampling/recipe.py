"""The recipe: a sampling strategy as a small value - composed, serialisable, hashable."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.errors import ParameterError
from core.params import Param, Piece, digest, make_piece, param
from core.sampling.augmented import AUGMENTED
from core.sampling.batch import BATCH, BatchNegatives, InBatch
from core.sampling.batch_mined import BATCH_MINED
from core.sampling.distilled import DISTILLED
from core.sampling.filters import FILTERS, Filter
from core.sampling.guided import GUIDED
from core.sampling.order import ORDERS, Order, Shuffled
from core.sampling.passes import PASSES, OnePass, Passes
from core.sampling.perturbation import PERTURBATIONS, Perturbation, Unperturbed
from core.sampling.pickers import PICKERS, Picker, Top
from core.sampling.positives import POSITIVES, Labelled, Positives
from core.sampling.queues import QUEUES
from core.sampling.schedule import SCHEDULES, Once, Schedule
from core.sampling.signal import SIGNALS, InfoNCE, Signal
from core.sampling.sources import SOURCES, RandomCorpus, Source
from core.sampling.weighting import WEIGHTINGS, Equal, Weighting
from core.sampling.windows import WINDOWS, RankWindow
from core.sampling.written import WRITTEN, NoWritten, WrittenNegatives

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus

#: Every piece of every family, by the slot of a recipe that it fits.
FAMILIES: dict[str, tuple[type[Piece], ...]] = {
    "positives": (*POSITIVES, *AUGMENTED),
    "order": ORDERS,
    "batch": (*BATCH, *QUEUES, *BATCH_MINED, *GUIDED),
    "passes": PASSES,
    "source": SOURCES,
    "window": WINDOWS,
    "filters": FILTERS,
    "picker": PICKERS,
    "weighting": WEIGHTINGS,
    "schedule": SCHEDULES,
    "signal": (*SIGNALS, *DISTILLED),
    "perturbation": PERTURBATIONS,
    "written": WRITTEN,
}
#: The slots of a recipe that hold one piece each, in the order in which a page shows them.
SLOTS = ("positives", "order", "batch", "passes", "schedule", "signal", "perturbation", "written")
#: Slots that came later: left out of a recipe's dict while they hold their default, so that older keys and trials stay equal.
LATER_SLOTS = ("order", "passes", "perturbation", "written")


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One stream of mined negatives: source -> window -> filters -> picker, how many, how heavy.

    ``weighting`` is left out of dictionaries where all weigh alike, so recipes keep the keys that they had before there was one.
    """

    source: Source = dataclasses.field(default_factory=RandomCorpus)
    window: RankWindow = dataclasses.field(default_factory=RankWindow)
    filters: tuple[Filter, ...] = ()
    picker: Picker = dataclasses.field(default_factory=Top)
    per_query: int = param(1, "negatives taken for each query", ge=1, le=1000)
    weight: float = param(1.0, "loss weight of each of these negatives", ge=0.0, le=1000.0)
    weighting: Weighting = dataclasses.field(default_factory=Equal)

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
            **({} if self.weighting == Equal() else {"weighting": self.weighting.to_dict()}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Lane:
        """The lane that :meth:`to_dict` wrote; raises ParameterError."""
        known = {"source", "window", "filters", "picker", "per_query", "weight", "weighting"}
        _refuse_unknown("Lane", data, known)
        made: dict[str, Any] = {
            slot: make_piece(FAMILIES[slot], data[slot], slot) for slot in ("source", "window", "picker", "weighting") if slot in data
        }
        made["filters"] = tuple(make_piece(FILTERS, f, "filters") for f in data.get("filters", ()))
        made |= {name: data[name] for name in ("per_query", "weight") if name in data}
        return cls(**made)

    def summary(self) -> str:
        """"2 x BM25 (ranks 1-50), Top", for legends."""
        window = "" if self.source.is_redrawn else f" ranks {self.window.first}-{self.window.last}"
        rules = "".join(f", {f.title.lower()}" for f in self.filters)
        weights = "" if self.weighting == Equal() else f", {self.weighting.summary().lower()}"
        return f"{self.per_query} x {self.source.title}{window}{rules}, {self.picker.summary()}{weights}"


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
    """positives + batch + mined lanes + schedule + signal; which pairs share a batch, how it is encoded, what moves its vectors, and
    perhaps written negatives."""

    positives: Positives = dataclasses.field(default_factory=Labelled)
    order: Order = dataclasses.field(default_factory=Shuffled)
    batch: BatchNegatives = dataclasses.field(default_factory=InBatch)
    passes: Passes = dataclasses.field(default_factory=OnePass)
    mined: tuple[Lane, ...] = ()
    schedule: Schedule = dataclasses.field(default_factory=Once)
    signal: Signal = dataclasses.field(default_factory=InfoNCE)
    perturbation: Perturbation = dataclasses.field(default_factory=Unperturbed)
    written: WrittenNegatives = dataclasses.field(default_factory=NoWritten)

    def __post_init__(self) -> None:
        if not self.mined and not self.batch.gives_negatives and not self.written.gives_negatives:
            raise ParameterError("Recipe has no negatives. Add a mined lane, or batch negatives such as in-batch.")
        if self.signal.needs_teacher and not self.mined:
            raise ParameterError(
                f"{self.signal.title}: the teacher scores each query's own mined negatives, and the recipe mines none. Add a mined lane."
            )

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

    @property
    def weighs(self) -> bool:
        """Whether each mined negative has a teacher's score or a weight of its own."""
        return self.signal.needs_teacher or any(lane.weighting != Equal() for lane in self.mined)

    def misfit(self) -> str:
        """Why these pieces cannot work together, with the remedy; "" where they can."""
        made, written, batch = self.positives.makes_queries, self.written.gives_negatives, self.batch
        if made and written:
            return (
                f"{self.positives.title} makes its own queries, and the written negatives ({self.written.title}) belong to the corpus's. "
                "Leave them out, or choose labelled positives."
            )
        if made and self.mined:
            named = ", ".join(lane.source.title for lane in self.mined)
            return (
                f"{self.positives.title} makes its own queries, and the mined lanes ({named}) search for the corpus's. "
                "Remove the lanes, so that the negatives come with the batch, or choose labelled positives."
            )
        if made and (self.order != Shuffled() or batch.guided_by is not None or batch.fixes_documents):
            own = self.order if self.order != Shuffled() else batch
            return (
                f"{self.positives.title} makes its own queries, and {own.title} knows the corpus's alone. "
                "Choose shuffled batches with in-batch negatives, or labelled positives."
            )
        if batch.fixes_documents and (self.weighs or written):
            return (
                f"{batch.title} finds its negatives at each step among the corpus's documents, so none has a teacher's score, a weight "
                "of its own or a written text. Choose another signal and weighting, or another batch piece."
            )
        if batch.guided_by is not None and written:
            return f"{batch.title} knows no written text. Leave the written negatives out, or choose in-batch negatives."
        return ""

    def pieces(self) -> list[Piece]:
        """All pieces, slot by slot."""
        found: list[Piece] = [self.positives, self.order, self.batch, self.passes]
        for lane in self.mined:
            found += [lane.source, *([] if lane.source.is_redrawn else [lane.window]), *lane.filters, lane.picker]
            found += [] if lane.weighting == Equal() else [lane.weighting]
        later = (getattr(self, slot) for slot in ("perturbation", "written") if not self._is_left_out(slot))
        return [*found, self.schedule, self.signal, *later]

    def lacks(self, corpus: Corpus) -> list[str]:
        """Why pieces of the recipe cannot work on this corpus or together, one sentence each with its remedy."""
        return list(dict.fromkeys(why for why in (self.misfit(), *(piece.lacks(corpus, self) for piece in self.pieces())) if why))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; :meth:`from_dict` gives the same recipe back."""
        data: dict[str, Any] = {}
        for slot in SLOTS:
            if slot == "schedule":
                data["mined"] = [lane.to_dict() for lane in self.mined]
            if not self._is_left_out(slot):
                data[slot] = getattr(self, slot).to_dict()
        return data

    def _is_left_out(self, slot: str) -> bool:
        return slot in LATER_SLOTS and getattr(self, slot) == default_piece(slot)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Recipe:
        """The recipe that :meth:`to_dict` wrote; raises ParameterError."""
        _refuse_unknown("Recipe", data, {*SLOTS, "mined"})
        made: dict[str, Any] = {slot: make_piece(FAMILIES[slot], data[slot], slot) for slot in SLOTS if slot in data}
        return cls(mined=tuple(Lane.from_dict(lane) for lane in data.get("mined", ())), **made)

    def summary(self) -> str:
        """One line in words, for tables."""
        own = [] if isinstance(self.positives, Labelled) else [self.positives.summary()]
        later = [getattr(self, slot).summary() for slot in LATER_SLOTS if slot != "written" and not self._is_left_out(slot)]
        parts = [*own, self.batch.summary(), *later, *(lane.summary() for lane in self.mined)]
        if any(lane.source.is_dynamic for lane in self.mined):
            parts.append(self.schedule.summary().lower())
        if self.written.gives_negatives:
            parts.append(f"{self.written.per_query} x {self.written.summary()}")
        return " + ".join(parts) + f"; {self.signal.summary()}"


def default_piece(slot: str) -> Piece:
    """What a recipe has in a slot unless it says otherwise."""
    made = next(f for f in dataclasses.fields(Recipe) if f.name == slot).default_factory
    return made()  # type: ignore[operator, misc]


def _refuse_unknown(owner: str, data: Any, known: set[str]) -> None:
    if not isinstance(data, dict):
        raise ParameterError(f"{owner} must be an object with {', '.join(sorted(known))}; got {data!r}.")
    unknown = sorted(set(data) - known)
    if unknown:
        raise ParameterError(f"{owner} has no part {unknown[0]!r}. It has: {', '.join(sorted(known))}.")
