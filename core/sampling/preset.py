"""What a preset is: a named recipe with its lesson."""

from __future__ import annotations

from dataclasses import dataclass

from core.params import Citation, Cost, Difficulty
from core.sampling.recipe import Recipe

FAMILY_TITLES = {
    "batch": "Free with the batch",
    "static": "Mined once",
    "dynamic": "Mined again while training",
    "denoised": "Guarded against false negatives",
    "synthetic": "Written, not mined",
    "positives": "Other positives than labels",
}


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named recipe with its lesson: first line the idea, then how it works and when it fails."""

    name: str
    title: str
    family: str
    lesson: str
    source: Citation
    recipe: Recipe
    cost: Cost
    difficulty: Difficulty
    is_seed_named: bool = True

    @property
    def idea(self) -> str:
        """The first sentence of the lesson."""
        return self.lesson.split("\n", 1)[0]

    def to_dict(self) -> dict:
        """JSON-ready, for ``negspace recipes --json``."""
        return {
            "key": self.name,
            "name": self.name,
            "title": self.title,
            "family": self.family,
            "family_title": FAMILY_TITLES[self.family],
            "idea": self.idea,
            "cost": self.cost,
            "difficulty": self.difficulty,
            "seed_named": self.is_seed_named,
            "source": str(self.source),
            "url": self.source.url,
            "pieces": list(dict.fromkeys(f"{piece.family}:{piece.key}" for piece in self.recipe.pieces())),
            "recipe": self.recipe.to_dict(),
        }
