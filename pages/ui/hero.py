"""The picture on the first page: a query, its answers, and the documents that look like answers."""

from __future__ import annotations

import math
import random

from pages.ui.looks import ROLE

_WIDTH, _HEIGHT = 560, 340
_CENTRE = (205.0, 172.0)
_GREY = "#8a94a3"
_FONT = "system-ui,-apple-system,Segoe UI,Roboto,Helvetica,Arial,sans-serif"
_LEGEND = (
    ("query", "the query"),
    ("positive", "a labelled answer"),
    ("suspect", "an answer without a label"),
    ("negative", "a hard negative"),
    ("other", "the rest of the corpus"),
)


def hero_svg() -> str:
    """An SVG in the roles' colours and shapes, readable on light and dark; the same each time."""
    rng = random.Random(5)
    parts = [
        f"<circle cx='{_CENTRE[0]}' cy='{_CENTRE[1]}' r='{radius}' fill='none' stroke='{_GREY}' "
        f"stroke-opacity='{opacity}' stroke-dasharray='3 5'/>"
        for radius, opacity in ((58, 0.8), (110, 0.5), (162, 0.28))
    ]
    for _ in range(130):
        x, y = _at(rng.uniform(0, 360), 122 + 120 * rng.random())
        if 6 < x < 372 and 6 < y < _HEIGHT - 6:
            parts.append(_mark("other", x, y))
    for degrees, radius in ((14, 92), (70, 100), (112, 86), (152, 98), (204, 86), (246, 99), (286, 88), (330, 101)):
        parts.append(_mark("negative", *_at(degrees, radius)))
    for degrees, radius in ((40, 40), (180, 35), (305, 46)):
        parts.append(_mark("positive", *_at(degrees, radius)))
    parts += [_mark("suspect", *_at(100, 50)), _mark("query", *_CENTRE)]
    for i, (role, words) in enumerate(_LEGEND):
        y = 104 + 34 * i
        parts.append(_mark(role, 394, y))
        parts.append(
            f"<text x='412' y='{y + 4.5}' font-family='{_FONT}' font-size='14.5' fill='{_GREY}'>{words}</text>"
        )
    size = f"viewBox='0 0 {_WIDTH + 40} {_HEIGHT}' width='{_WIDTH + 40}' height='{_HEIGHT}'"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{''.join(parts)}</svg>"


def _at(degrees: float, radius: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return _CENTRE[0] + radius * math.cos(angle), _CENTRE[1] + radius * math.sin(angle)


def _mark(role: str, x: float, y: float) -> str:
    colour = ROLE[role].colour
    if role == "query":
        return f"<polygon points='{_star(x, y, 14)}' fill='{colour}'/>"
    if role == "positive":
        return f"<circle cx='{x:.0f}' cy='{y:.0f}' r='7.5' fill='{colour}'/>"
    if role == "suspect":
        return f"<path d='M{x:.0f} {y - 9.5:.0f}l8.5 9.5-8.5 9.5-8.5-9.5z' fill='{colour}'/>"
    if role == "negative":
        cross = f"M{x - 6:.0f} {y - 6:.0f}l12 12m0-12l-12 12"
        return f"<path d='{cross}' stroke='{colour}' stroke-width='3.2' stroke-linecap='round'/>"
    return f"<circle cx='{x:.0f}' cy='{y:.0f}' r='3' fill='{colour}' fill-opacity='.5'/>"


def _star(x: float, y: float, size: float) -> str:
    corners = []
    for i in range(10):
        radius = size if i % 2 == 0 else size * 0.42
        angle = math.radians(36 * i - 90)
        corners.append(f"{x + radius * math.cos(angle):.1f},{y + radius * math.sin(angle):.1f}")
    return " ".join(corners)
