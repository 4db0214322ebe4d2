"""``piece.field=value`` as the command line and links write it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from core.errors import ParameterError
from core.params import Piece
from core.sampling.recipe import FAMILIES, Lane, Recipe, lane_params


def apply_settings(recipe: Recipe, settings: Iterable[str]) -> Recipe:
    """The recipe with each ``piece.field=value`` applied in order; raises ParameterError.

    ``piece`` is a slot (``signal``, ``batch``, ``schedule``, ``positives``, ``written``; ``source``, ``window``, ``filters``, ``picker``,
    ``mined`` for every lane, ``mined.0.picker`` for one) or a piece's key (``simans.a=20``). A slot set to a key replaces the piece:
    ``signal=triplet``.
    """
    for setting in settings:
        path, is_set, text = setting.partition("=")
        if not is_set or not path:
            raise ParameterError(f"--set needs piece.field=value, such as signal.temperature=0.02; got {setting!r}.")
        recipe = _apply(recipe, path.strip(), text.strip())
    return recipe


def _apply(recipe: Recipe, path: str, text: str) -> Recipe:
    parts = path.split(".")
    if parts[0] in ("positives", "batch", "schedule", "signal", "written"):
        piece = _changed(getattr(recipe, parts[0]), parts[0], parts[1:], text)
        return dataclasses.replace(recipe, **{parts[0]: piece})
    if parts[0] == "mined" and len(parts) > 1 and parts[1].isdigit():
        index = int(parts[1])
        if index >= len(recipe.mined):
            raise ParameterError(f"--set {path}: the recipe has {len(recipe.mined)} mined lanes, counted from 0.")
        lanes = [_lane(lane, parts[2:], text, path) if i == index else lane for i, lane in enumerate(recipe.mined)]
        return dataclasses.replace(recipe, mined=tuple(lanes))
    if parts[0] in ("mined", "source", "window", "filters", "picker"):
        rest = parts[1:] if parts[0] == "mined" else parts
        if not recipe.mined:
            raise ParameterError(f"--set {path}: this recipe mines nothing, so it has no {parts[0]}.")
        return dataclasses.replace(recipe, mined=tuple(_lane(lane, rest, text, path) for lane in recipe.mined))
    return _by_key(recipe, parts, text, path)


def _by_key(recipe: Recipe, parts: list[str], text: str, path: str) -> Recipe:
    found = False

    def change(piece: Piece) -> Piece:
        nonlocal found
        if piece.key != parts[0]:
            return piece
        found = True
        return _changed(piece, parts[0], parts[1:], text)

    lanes = tuple(
        dataclasses.replace(
            lane,
            source=change(lane.source),
            window=change(lane.window),
            filters=tuple(change(f) for f in lane.filters),
            picker=change(lane.picker),
        )
        for lane in recipe.mined
    )
    slots = {slot: change(getattr(recipe, slot)) for slot in ("positives", "batch", "schedule", "signal", "written")}
    if not found:
        keys = ", ".join(sorted({p.key for p in recipe.pieces()}))
        raise ParameterError(f"--set {path}: the recipe has no piece {parts[0]!r}. It has: {keys}.")
    return dataclasses.replace(recipe, mined=lanes, **slots)  # type: ignore[arg-type]


def _lane(lane: Lane, parts: list[str], text: str, path: str) -> Lane:
    own = {spec.name: spec for spec in lane_params()}
    if len(parts) == 1 and parts[0] in own:
        return dataclasses.replace(lane, **{parts[0]: own[parts[0]].parse("Lane", text)})
    if parts and parts[0] in ("source", "window", "picker"):
        return dataclasses.replace(lane, **{parts[0]: _changed(getattr(lane, parts[0]), parts[0], parts[1:], text)})
    if parts == ["filters"]:
        by_key = {p.key: p for p in FAMILIES["filters"]}
        keys = [key for key in text.split(",") if key]
        for key in keys:
            if key not in by_key:
                raise ParameterError(f"--set {path}: filters must be of {', '.join(by_key)}; got {key!r}.")
        return dataclasses.replace(lane, filters=tuple(by_key[key]() for key in keys))  # type: ignore[arg-type]
    raise ParameterError(f"--set {path}: a lane has source, window, filters, picker, {', '.join(own)}.")


def _changed(piece: Piece, slot: str, parts: list[str], text: str) -> Piece:
    if not parts:
        by_key = {p.key: p for p in FAMILIES[slot]} if slot in FAMILIES else {}
        if text not in by_key:
            raise ParameterError(f"--set {slot} must be one of {', '.join(by_key)}; got {text!r}.")
        return by_key[text]()
    specs = {spec.name: spec for spec in piece.params()}
    if len(parts) != 1 or parts[0] not in specs:
        known = ", ".join(specs) or "none"
        raise ParameterError(f"{type(piece).__name__} has no parameter {'.'.join(parts)!r}. It has: {known}.")
    return piece.but(**{parts[0]: specs[parts[0]].parse(type(piece).__name__, text)})
