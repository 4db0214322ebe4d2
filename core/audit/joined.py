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


def choose_weight(base: Vectors, more: Vectors, corpus: Corpus, weights: Sequence[float] = WEIGHTS) -> tuple[float, str, list[float]]:
    """(the weight with the best mean RR@10, the split it was chosen on, RR@10 of each); ties: the smaller weight.

    Chosen on ``dev`` where the corpus has it, else on ``train``, whose labels a base may have been trained on: it then looks better
    there than it is, and the weight comes out too small. Never on the queries that evaluate. Raises ParameterError without either.
    """
    split = next((name for name in ("dev", "train") if len(corpus.split_query_rows(name))), "")
    if not split:
        raise ParameterError("The weight is chosen on a dev split or on training labels, and this corpus has neither. Add qrels/dev.tsv.")
    found = [means(measure(joined(base, more, weight), corpus, split))[CHOSEN_BY] for weight in weights]
    return weights[int(np.argmax(found))], split, found


def joined_answer(trials: Sequence[TrialResults], corpus: Corpus, say: Callable[[str], None]) -> dict[str, Any]:
    """``negspace compare BASE LAMBDA --joined``: the weight, the joined measures on held-out queries, and what they gain on the base."""
    if len(trials) != 2:
        raise ParameterError(f"--joined takes two trials, the base and the one that joins it; got {len(trials)}.")
    base, more = (trial.vectors(corpus) for trial in trials)
    weight, split, found = choose_weight(base, more, corpus)
    both, alone = measure(joined(base, more, weight), corpus, "test"), measure(base, corpus, "test")
    gain = paired_randomisation(both[CHOSEN_BY], alone[CHOSEN_BY], rng=np.random.default_rng(SEED))
    values = {name: float(means(both)[name]) for name in MEASURES}
    say(f"\nJoined vectors [first; w x second], w = {weight:g} chosen by {CHOSEN_BY} on the {split} queries:")
    say("  ".join(f"{name} {value:.4f}" for name, value in values.items()))
    say(f"joined - first: {CHOSEN_BY} {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], p = {gain.p:.4f}, n = {gain.n_queries}")
    tried = dict(zip(map(str, WEIGHTS), map(float, found), strict=True))
    difference = {"mean": gain.mean, "low": gain.low, "high": gain.high, "p": gain.p, "n_queries": gain.n_queries}
    return {"weight": weight, "chosen_on": split, "tried": tried, "metrics": values, "difference": difference}
