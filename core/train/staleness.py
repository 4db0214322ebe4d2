"""How far the documents in a queue have drifted from what the model makes of them now, by their age."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.train.step import Stepper

# Entries that are encoded again at most, and points of the curve at most.
MOST_ENTRIES, MOST_AGES = 4096, 40


def staleness(stepper: Stepper, documents: np.ndarray) -> dict[str, Any] | None:
    """Mean cosine of the queue's vectors with fresh ones of the same documents, by age in steps; None without a queue.

    ``documents`` float32 (C, D): the corpus by the model as it is now. Returns ``n_entries``, ``ages`` (ascending; the mean age of a
    stretch where there are many), ``cosine``: with the encoder that fills the queue, as it is now, and ``counts``: entries
    measured. With a key encoder also ``to_model``: with the encoder in training, which asks the queue.
    """
    kept = stepper.recipe.batch.kept(stepper.state)
    if kept is None or not len(kept[1]):
        return None
    vectors, rows, ages = (part.numpy() for part in kept)
    order = np.argsort(ages, kind="stable")
    if len(order) > MOST_ENTRIES:
        order = order[np.linspace(0, len(order) - 1, MOST_ENTRIES).round().astype(int)]
    of_each = {"cosine": cosine(vectors[order], documents[rows[order]])}
    if stepper.key_model is not None:
        fresh = stepper.key_model.encode(stepper.doc_tokens.take(rows[order]), "document")
        of_each = {"cosine": cosine(vectors[order], fresh), "to_model": of_each["cosine"]}
    stretches = _stretches(ages[order])
    told: dict[str, Any] = {
        "n_entries": len(rows),
        "ages": [float(ages[order][stretch].mean()) for stretch in stretches],
        "counts": [stretch.stop - stretch.start for stretch in stretches],
    }
    return told | {name: [float(values[stretch].mean()) for stretch in stretches] for name, values in of_each.items()}


def _stretches(ages: np.ndarray) -> list[slice]:
    """The ascending ages in stretches of one age each; of several where there are more than MOST_AGES of them."""
    distinct, starts = np.unique(ages, return_index=True)
    starts = starts[np.linspace(0, len(distinct), min(len(distinct), MOST_AGES), endpoint=False).astype(int)]
    return [slice(int(a), int(b)) for a, b in zip(starts, [*starts[1:], len(ages)], strict=True)]


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row of ``a`` with its row of ``b``; 0 where one of them is the zero vector."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.maximum(lengths, 1e-12)
