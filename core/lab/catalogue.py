"""The README's table of techniques, written from the pieces themselves."""

from __future__ import annotations

from pathlib import Path

from core.errors import UserError
from core.sampling.presets import FAMILY_TITLES, PRESETS

BEGIN, END = "<!-- techniques: begin (negspace recipes --markdown) -->", "<!-- techniques: end -->"


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
