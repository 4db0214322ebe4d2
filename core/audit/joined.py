"""Two models' vectors joined into one: [base; w Lambda], as SPAR puts a lexical student beside a dense model (Chen et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import ParameterError
from core.evaluate.metrics import MEASURES, evaluate_vectors, means
from core.evaluate.significance import paired_randomisation
from core.sampling.context import Vectors
from core.train.results import TrialResults

WEIGHTS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
CHOSEN_BY = "RR@10"
SEED = 20_202


def joined(base: Vectors, more: Vectors, weight: float) -> Vectors:
    """Vectors whose dot product is ``s_base + weight * s_more`` for every pair, each s on its own model's scale.

    Cosine and dot only: minus the squared distance of joined vectors is no such sum. Raises ParameterError otherwise.
    """
    for vectors in (base, more):
        if vectors.similarity == "l2":
            raise ParameterError("Vectors compared by l2 cannot be joined to add their scores. Train with signal.similarity=cosine or dot.")
    (base_queries, base_documents), (queries, documents) = (_compared(vectors) for vectors in (base, more))
    return Vectors(
        np.concatenate([base_queries, np.float32(weight) * queries], 1),
        np.concatenate([base_documents, documents], 1),
        "dot",
        f"{base.label} + {weight:g} x {more.label}",
    )


def _compared(vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
    if vectors.similarity == "dot":
        return vectors.queries, vectors.documents
    sides = (vectors.queries, vectors.documents)
    queries, documents = (side / np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9) for side in sides)
    return queries, documents


def measure(vectors: Vectors, corpus: Corpus, split: str) -> dict[str, np.ndarray]:
    """Every measure of every query of the split that has a positive there."""
    rows = corpus.split_query_rows(split)
    return evaluate_vectors(vectors.queries[rows], vectors.documents, corpus.splits[split], rows, vectors.similarity, 0)[0]


def best_weight(values: np.ndarray) -> int:
    """The place of the weight with the best mean; ``values``: (weights, queries); ties: the smaller weight."""
    return int(np.nanmean(values, axis=1).argmax())


def cross_fitted(values: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """(places of the queries, the place of the weight that serves each, the weights chosen) for held-out queries in two halves.

    ``values``: (weights, queries). Each half is served with the weight that is best on the other, so no query chooses for itself.
    A model's own training queries would not do: a base that has learned them looks better there than it is, and w comes out too small.
    """
    order = rng.permutation(values.shape[1])
    halves = order[: len(order) // 2], order[len(order) // 2 :]
    chosen = [best_weight(values[:, halves[1]]), best_weight(values[:, halves[0]])]
    served = np.empty(values.shape[1], np.int64)
    for half, place in zip(halves, chosen, strict=True):
        served[half] = place
    return np.arange(values.shape[1]), served, chosen


def joined_answer(trials: Sequence[TrialResults], corpus: Corpus, say: Callable[[str], None]) -> dict[str, Any]:
    """``negspace compare BASE LAMBDA --joined``: the weight, the joined measures on held-out queries, and what they gain on the base.

    The weight is chosen on a dev split where the corpus has one, else on one half of the held-out queries for the other.
    """
    if len(trials) != 2:
        raise ParameterError(f"--joined takes two trials, the base and the one that joins it; got {len(trials)}.")
    base, more = (trial.vectors(corpus) for trial in trials)
    tried = [measure(joined(base, more, weight), corpus, "test") for weight in WEIGHTS]
    alone = measure(base, corpus, "test")
    if alone[CHOSEN_BY].size < 2:
        raise ParameterError("Choosing a weight takes two held-out queries or more. Add judged pairs to qrels/test.tsv.")
    if len(corpus.split_query_rows("dev")):
        on_dev = np.stack([measure(joined(base, more, weight), corpus, "dev")[CHOSEN_BY] for weight in WEIGHTS])
        chosen, by = [best_weight(on_dev)], "the dev queries"
        queries, served = np.arange(alone[CHOSEN_BY].size), np.full(alone[CHOSEN_BY].size, chosen[0])
    else:
        queries, served, chosen = cross_fitted(np.stack([each[CHOSEN_BY] for each in tried]), np.random.default_rng(SEED))
        by = "the other half of the held-out queries"
    both = {name: np.stack([each[name] for each in tried])[served, queries] for name in MEASURES}
    gain = paired_randomisation(both[CHOSEN_BY], alone[CHOSEN_BY], rng=np.random.default_rng(SEED))
    values = {name: float(means(both)[name]) for name in MEASURES}
    weights = [WEIGHTS[place] for place in chosen]
    shown = " and ".join(f"{weight:g}" for weight in dict.fromkeys(weights))
    say(f"\nJoined vectors [first; w x second], w = {shown}, chosen by {CHOSEN_BY} on {by}:")
    say("  ".join(f"{name} {value:.4f}" for name, value in values.items()))
    say(f"joined - first: {CHOSEN_BY} {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], p = {gain.p:.4f}, n = {gain.n_queries}")
    of_each = {f"{weight:g}": float(means(each)[CHOSEN_BY]) for weight, each in zip(WEIGHTS, tried, strict=True)}
    difference = {"mean": gain.mean, "low": gain.low, "high": gain.high, "p": gain.p, "n_queries": gain.n_queries}
    return {"weights": weights, "chosen_on": by, "of_each_weight": of_each, "metrics": values, "difference": difference}
