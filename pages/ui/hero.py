"""The picture on the first page: a query, its answers, and the documents that look like answers."""

from __future__ import annotations

import math
import random

from pages.ui.looks import ROLE

_WIDTH, _HEIGHT = 520, 330
_CENTRE = (235.0, 170.0)


def hero_svg() -> str:
    """An SVG in the roles' colours and shapes, readable on light and dark; the same each time."""
    rng = random.Random(7)
    marks = [
        f"<circle cx='{_CENTRE[0]}' cy='{_CENTRE[1]}' r='{r}' fill='none' stroke='#8a94a3' stroke-opacity='{o}' "
        "stroke-dasharray='3 5'/>" for r, o in ((58, 0.75), (108, 0.5), (160, 0.3))
    ]  # fmt: skip
    for _ in range(74):
        angle, radius = rng.uniform(0, 2 * math.pi), 118 + 190 * rng.random() ** 0.8
        x, y = _CENTRE[0] + radius * math.cos(angle) * 1.25, _CENTRE[1] + radius * math.sin(angle)
        if 8 < x < _WIDTH - 8 and 8 < y < _HEIGHT - 8:
            marks.append(f"<circle cx='{x:.0f}' cy='{y:.0f}' r='3.2' fill='{ROLE['other'].colour}' fill-opacity='.42'/>")
    for degrees, radius in ((20, 92), (75, 100), (118, 88), (160, 98), (205, 86), (248, 99), (290, 90), (335, 101)):
        marks.append(_cross(*_at(degrees, radius)))
    for degrees, radius in ((40, 40), (185, 34), (300, 46)):
        x, y = _at(degrees, radius)
        marks.append(f"<circle cx='{x:.0f}' cy='{y:.0f}' r='7.5' fill='{ROLE['positive'].colour}'/>")
    x, y = _at(100, 50)
    marks.append(f"<path d='M{x:.0f} {y - 9:.0f}l8 9-8 9-8-9z' fill='{ROLE['suspect'].colour}'/>")
    marks.append(_star(*_CENTRE, 15))
    return f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' width='{_WIDTH}'>{''.join(marks)}</svg>"


def _at(degrees: float, radius: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return _CENTRE[0] + radius * math.cos(angle), _CENTRE[1] + radius * math.sin(angle)


def _cross(x: float, y: float) -> str:
    return (f"<path d='M{x - 6:.0f} {y - 6:.0f}l12 12m0-12l-12 12' stroke='{ROLE['negative'].colour}' "
            "stroke-width='3.2' stroke-linecap='round'/>")  # fmt: skip


def _star(x: float, y: float, size: float) -> str:
    corners = []
    for i in range(10):
        radius = size if i % 2 == 0 else size * 0.42
        angle = math.radians(36 * i - 90)
        corners.append(f"{x + radius * math.cos(angle):.1f},{y + radius * math.sin(angle):.1f}")
    return f"<polygon points='{' '.join(corners)}' fill='{ROLE['query'].colour}'/>"
