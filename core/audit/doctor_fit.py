"""Whether a recipe fits a corpus: what cannot be trained, and what will do less than it looks."""

from __future__ import annotations

import numpy as np

from core.corpus.corpus import Corpus
from core.sampling.augmented import CrossAugmented, unlabelled_queries
from core.sampling.recipe import Recipe
from core.search.index_kinds import make_index


def check_recipe(corpus: Corpus, recipe: Recipe, batch_size: int | None = None) -> list[str]:
    """Everything of this recipe that does not fit this corpus, one sentence each, what forbids training first."""
    return obstacles(corpus, recipe) + warnings(corpus, recipe, batch_size)


def obstacles(corpus: Corpus, recipe: Recipe) -> list[str]:
    """Why this recipe cannot be trained and measured on this corpus; empty when it can."""
    found = []
    uses = (("train", "train on"), ("test", "measure with"))
    for split, use in uses if recipe.positives.uses_labels else uses[1:]:
        if not len(corpus.split_query_rows(split)):
            found.append(f"This corpus has no pairs to {use} (qrels/{split}.tsv). Choose another corpus or add them.")
    for i, lane in enumerate(recipe.mined, 1):
        why = make_index(lane.source.index).missing() if hasattr(lane.source, "index") else ""
        found += [f"Lane {i}: {why}"] if why else []
        if not lane.source.is_redrawn and lane.window.first > corpus.n_documents:
            found.append(
                f"Lane {i}: rank window {lane.window.first}-{lane.window.last} begins behind the last of this "
                f"corpus's {corpus.n_documents:,} documents. Lower its first rank."
            )
    return found + recipe.lacks(corpus)


def warnings(corpus: Corpus, recipe: Recipe, batch_size: int | None = None) -> list[str]:
    """What the person should know before training; ``batch_size``: pairs in a step, None = not chosen yet."""
    found = []
    n_pairs = corpus.splits["train"].only_positive().n_pairs if "train" in corpus.splits else 0
    n_answers = len(np.unique(corpus.splits["train"].only_positive().doc_rows)) if n_pairs else 0
    if not recipe.positives.uses_labels:
        n_pairs, n_answers = 0, corpus.n_documents  # how many pairs the texts give is told when they are made
    for i, lane in enumerate(recipe.mined, 1):
        if not lane.source.is_redrawn and lane.window.first <= corpus.n_documents < lane.window.last:
            found.append(
                f"Lane {i}: rank window {lane.window.first}-{lane.window.last} needs {lane.window.last:,} candidates, "
                f"this corpus has {corpus.n_documents:,}. What there is will be used."
            )
        n_others = max(corpus.n_documents - int(corpus.positives.n_per_query().max(initial=0)), 0)
        if lane.per_query > n_others:
            found.append(
                f"Lane {i}: {lane.per_query:,} negatives a query are asked for, but a query may have only {n_others:,} documents "
                "that are not its positives. Take fewer."
            )
    size = getattr(recipe.batch, "size", 0)
    if n_answers and size > n_answers:
        found.append(
            f"{recipe.batch.title}: {size:,} documents are kept, but training has only {n_answers:,} different positives, so the "
            "queue holds the same ones several times, each query's own among them (masked). Make it smaller than that."
        )
    parts, in_one_step = recipe.passes.parts, 0 if batch_size is None else recipe.passes.pairs(batch_size)
    if n_pairs and in_one_step > n_pairs and parts > 1:
        found.append(
            f"A step of {in_one_step:,} pairs ({recipe.passes.title.lower()}, {parts} times {batch_size:,}) is larger than the "
            f"{n_pairs:,} training pairs: an epoch is one step of {n_pairs:,}. Take fewer parts, or train for more epochs."
        )
    elif batch_size is not None and n_pairs and batch_size > n_pairs:
        found.append(
            f"The batch size {batch_size:,} is larger than the {n_pairs:,} training pairs: an epoch is one step of {n_pairs:,}. "
            f"Lower it to {n_pairs:,} or less."
        )
    asked = getattr(recipe.order, "clusters", 0)
    if n_pairs and asked * in_one_step > n_pairs:
        found.append(
            f"{recipe.order.title}: {asked:,} clusters of {n_pairs:,} training pairs hold {n_pairs / asked:.0f} each on average, less than "
            "a batch, so most batches mix clusters. Take fewer clusters (0 = chosen by the batch size) or a smaller batch."
        )
    if isinstance(recipe.positives, CrossAugmented) and recipe.positives.aside and not len(unlabelled_queries(corpus)):
        found.append(
            f"{recipe.positives.title}: this corpus has no unlabelled query, so the labels of {recipe.positives.aside:.0%} of the training "
            "queries are put aside to show what augmentation does. Set positives.aside to 0 to train on all labels."
        )
    composed = [piece.title.lower() for piece in (recipe.order, recipe.passes) if piece.key not in ("shuffled", "one")]
    if composed and not recipe.batch.gives_negatives:
        found.append(
            f"{recipe.batch.title}: each query meets its own mined negatives alone, so {' and '.join(composed)} gives it no other "
            "ones. Choose in-batch negatives to make use of the batch."
        )
    if recipe.schedule.key != "once" and not any(lane.source.is_dynamic for lane in recipe.mined):
        found.append(f"The schedule ({recipe.schedule.summary().lower()}) changes nothing: no lane asks the model in training.")
    return found
