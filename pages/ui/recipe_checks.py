"""What cannot work together, and what will work less well than it looks, in one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.audit import doctor_fit
from core.encode.encoders import make_encoder
from core.sampling.recipe import FAMILIES

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.recipe import Recipe


def batch_reasons(encoder: dict[str, Any]) -> dict[str, str]:
    """By key, why a batch piece cannot be used with this encoder; the others are absent."""
    if encoder.get("towers", "shared") == "shared":
        return {}
    needing = (piece for piece in FAMILIES["batch"] if "shared towers" in piece.needs)
    return {piece.key: "it needs shared towers, and this encoder has separate ones" for piece in needing}


def obstacles(recipe: Recipe, encoder: dict[str, Any], corpus: Corpus) -> list[str]:
    """Why this recipe cannot be trained here; empty when it can."""
    found = []
    because = batch_reasons(encoder).get(recipe.batch.key)
    if because:
        found.append(f"{recipe.batch.title} cannot work: {because}. Choose shared towers or another piece.")
    lack = make_encoder(dict(encoder)).lacks(corpus)
    found += [lack] if lack else []
    return found + doctor_fit.obstacles(corpus, recipe)


def warnings(recipe: Recipe, corpus: Corpus, batch_size: int | None = None) -> list[str]:
    """What the person should know before training it."""
    return doctor_fit.warnings(corpus, recipe, batch_size)
