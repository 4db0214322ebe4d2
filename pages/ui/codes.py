"""Values as short texts for the address, and back with checks."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from typing import TYPE_CHECKING, Any

from core.errors import ParameterError, UserError
from core.params import Param

if TYPE_CHECKING:
    from core.sampling.recipe import Recipe

_MAX_RECIPE_BYTES = 64_000


def to_text(value: Any) -> str:
    """``true``/``false``, a number, a text, a list joined by commas, a pair of numbers joined by ``~``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return "~".join(to_text(part) for part in value)
    if isinstance(value, (list, set, frozenset)):
        return ",".join(to_text(part) for part in value)
    return str(value)


def from_text(
    text: str, kind: type, default: Any, options: list[Any] | None, ge: float | None, le: float | None
) -> Any:
    """The value that :func:`to_text` wrote, of type ``kind``; raises ParameterError when it is not allowed."""
    if kind is list:
        parts = [part for part in text.split(",") if part]
        return parts if options is None else [_option(part, options) for part in parts]
    if options is not None:
        return _option(text, options)
    if kind is tuple:
        parts = text.split("~")
        if len(parts) != 2:
            raise ParameterError(f"must be two numbers joined by ~; got {text!r}.")
        low, high = (_scalar(part, type(default[0]), ge, le) for part in parts)
        if low > high:
            raise ParameterError(f"must be two rising numbers; got {text!r}.")
        return low, high
    return _scalar(text, kind, ge, le)


def _scalar(text: str, kind: type, ge: float | None, le: float | None) -> Any:
    rule = Param(name="value", type=kind if kind in (bool, int, float) else str, default=None, help="", ge=ge, le=le)
    return rule.parse("link", text)


def _option(text: str, options: list[Any]) -> Any:
    for option in options:
        if to_text(option) == text:
            return option
    shown = ", ".join(to_text(option) for option in options[:8])
    raise ParameterError(f"must be one of {shown or 'nothing (there is no choice here)'}; got {text!r}.")


def encode_recipe(recipe: Recipe) -> str:
    """A preset's name when the recipe is that preset, else its JSON, compressed, in URL-safe base64."""
    from core.sampling.presets import PRESETS

    for name, preset in PRESETS.items():
        if preset.recipe == recipe:
            return name
    packed = zlib.compress(json.dumps(recipe.to_dict(), separators=(",", ":"), sort_keys=True).encode(), 9)
    return "z." + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_recipe(text: str) -> Recipe:
    """The recipe that :func:`encode_recipe` wrote; raises a UserError for anything else."""
    from core.sampling.presets import PRESETS
    from core.sampling.recipe import Recipe

    if not text.startswith("z."):
        if text not in PRESETS:
            raise ParameterError(f"there is no preset {text!r}.")
        return PRESETS[text].recipe
    code = text[2:]
    try:
        packed = base64.urlsafe_b64decode(code + "=" * (-len(code) % 4))
        # A bound on the output: a few bytes of a hostile link could otherwise unpack to gigabytes.
        data = json.loads(zlib.decompressobj().decompress(packed, _MAX_RECIPE_BYTES))
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise ParameterError("the code is cut or damaged; copy the whole link.") from error
    if not isinstance(data, dict):
        raise ParameterError("the code is not a recipe.")
    try:
        return Recipe.from_dict(data)
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Valid JSON of another shape, written by hand or by another version.
        raise ParameterError("the code was not written by this version.") from error
