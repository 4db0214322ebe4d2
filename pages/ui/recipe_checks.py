"""What cannot work together, and what will work less well than it looks, in one sentence each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.sampling.batch import BATCH

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.recipe import Recipe


def batch_reasons(encoder: dict[str, Any]) -> dict[str, str]:
    """By key, why a batch piece cannot be used with this encoder; the others are absent."""
    if encoder.get("towers", "shared") == "shared":
        return {}
    return {piece.key: "it needs shared towers, and this encoder has separate ones" for piece in BATCH if "shared towers" in piece.needs}


def obstacles(recipe: Recipe, encoder: dict[str, Any], corpus: Corpus) -> list[str]:
    """Why this recipe cannot be trained here; empty when it can."""
    found = []
    because = batch_reasons(encoder).get(recipe.batch.key)
    if because:
        found.append(f"{recipe.batch.title} cannot work: {because}. Choose shared towers or another piece.")
    for split, use in (("train", "train on"), ("test", "measure with")):
        if split not in corpus.splits or not len(corpus.split_query_rows(split)):
            found.append(f"This corpus has no pairs to {use} (qrels/{split}.tsv). Choose another corpus or add them.")
    for i, lane in enumerate(recipe.mined, 1):
        if not lane.source.is_redrawn and lane.window.first > corpus.n_documents:
            found.append(
                f"Lane {i}: rank window {lane.window.first}-{lane.window.last} begins behind the last of this "
                f"corpus's {corpus.n_documents:,} documents. Lower its first rank."
            )
    return found


def warnings(recipe: Recipe, corpus: Corpus) -> list[str]:
    """What the person should know before training it."""
    found = []
    for i, lane in enumerate(recipe.mined, 1):
        if not lane.source.is_redrawn and lane.window.first <= corpus.n_documents < lane.window.last:
            found.append(
                f"Lane {i}: rank window {lane.window.first}-{lane.window.last} needs {lane.window.last:,} candidates, "
                f"this corpus has {corpus.n_documents:,}. What there is will be used."
            )
    if recipe.schedule.key != "once" and not any(lane.source.is_dynamic for lane in recipe.mined):
        found.append(f"The schedule ({recipe.schedule.summary().lower()}) changes nothing: no lane asks the model in training.")
    return found
