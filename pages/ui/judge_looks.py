"""The keys of the four verdicts, and their names where there is little room."""

from __future__ import annotations

from core.lab.verdicts import KINDS

KEYS = dict(zip(KINDS, "1234", strict=True))
SHORT = dict(zip(KINDS, ("False", "True", "Copy", "Unsure"), strict=True))
