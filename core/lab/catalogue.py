"""Every technique, listed from the presets and pieces themselves: as data, and as the README's table."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.lab.code_lines import piece_lines, recipe_lines
from core.params import Piece
from core.sampling.presets import FAMILY_TITLES, PRESETS
from core.sampling.recipe import FAMILIES

BEGIN, END = "<!-- techniques: begin (negspace recipes --markdown) -->", "<!-- techniques: end -->"


#: Tuples of pieces that are no slot of a recipe. A module that this version does not have is passed over.
MORE_PIECES = (
    ("core.encode.encoders", "ENCODERS"),
    ("core.search.cross_encoder", "CROSS_ENCODERS"),
    ("core.search.index_kinds", "INDEXES"),
    ("core.audit.reasons", "REASONS"),
    ("core.audit.combine", "COMBINATIONS"),
)


def families() -> dict[str, tuple[type[Piece], ...]]:
    """Every piece of the product by family: those of a recipe slot by slot, then the others."""
    more = (getattr(import_module(module), name) for module, name in MORE_PIECES if find_spec(module) is not None)
    return {pieces[0].family: pieces for pieces in (*FAMILIES.values(), *more)}


def as_data() -> dict[str, Any]:
    """What ``negspace recipes --json`` answers: ``recipes`` (every preset), ``pieces`` (every piece of every family), ``families``."""
    return {
        "recipes": [{**preset.to_dict(), "lines": recipe_lines(preset.recipe)} for preset in PRESETS.values()],
        "pieces": [_about(piece) for pieces in families().values() for piece in pieces],
        "families": dict(FAMILY_TITLES),
    }


def _about(piece: type[Piece]) -> dict[str, Any]:
    return {
        "family": piece.family,
        "key": piece.key,
        "title": piece.title,
        "idea": piece.idea(),
        "cost": piece.cost,
        "difficulty": piece.difficulty,
        "source": str(piece.source),
        "url": piece.source.url,
        "needs": list(piece.needs),
        "parameters": [
            {"name": p.name, "type": p.type.__name__, "default": p.default, "help": p.help, "rule": p.rule, "unit": p.unit}
            for p in piece.params()
        ],
        "lines": piece_lines(piece),
    }


def as_text() -> str:
    """The presets for a terminal, by family."""
    lines = []
    for family, title in FAMILY_TITLES.items():
        lines += ["", title]
        for preset in (preset for preset in PRESETS.values() if preset.family == family):
            source = f"{preset.source.authors} {preset.source.year}"
            lines.append(f"  {preset.name:18} {preset.idea}  [{preset.cost} cost, {preset.difficulty}; {source}]")
    return "\n".join(lines)


def as_markdown() -> str:
    """A Markdown table of every preset: name, family, idea, cost, difficulty, source."""
    lines = ["| recipe | family | idea | cost | difficulty | source |", "|---|---|---|---|---|---|"]
    for preset in PRESETS.values():
        source = f"[{preset.source.authors} {preset.source.year}]({preset.source.url})"
        lines.append(
            f"| `{preset.name}` | {FAMILY_TITLES[preset.family]} | {preset.idea} | {preset.cost} | {preset.difficulty} | {source} |"
        )
    return "\n".join(lines)


def write_into(readme: Path, table: str) -> None:
    """Replace what stands between the two marks; raises UserError where they are missing."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise UserError(f"{readme} has no lines '{BEGIN}' and '{END}'. Put them where the table belongs.")
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    readme.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
