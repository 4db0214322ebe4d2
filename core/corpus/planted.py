"""Planted truth: labels hidden on purpose, so that false negatives can be counted on anybody's corpus."""

from __future__ import annotations

import math

import numpy as np

from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.errors import CorpusError, ParameterError

PREFIX = "planted:"
FORM = "planted:SHARE:SEED:CORPUS, such as planted:0.3:0:sample:lab"


def hide_positives(corpus: Corpus, share: float, seed: int = 0) -> Corpus:
    """The corpus with a share of its training positives hidden and everything that was known kept as truth.

    Only queries with two and more positives in the train split lose any, and each keeps at least one, so the share is of
    *their* positives and may fall short of what was asked (the note says). What is hidden is unlabelled for every sampler,
    filter and loss, and a positive for every audit: the false-negative rate against it is measured, not guessed. For the same
    seed a larger share hides everything that a smaller one hides. The other splits stay as they are.

    ``truth`` of the result: all judgements of the splits, joined with the corpus's own truth. Raises ParameterError for a
    share outside (0, 1] or a seed outside [0, 2**31), CorpusError where no training query has two positives.
    """
    share, seed = _checked(share, seed)
    train = corpus.splits.get("train", Judgements.empty(corpus.n_queries))
    hidden, n_possible = _choose(train.only_positive(), share, seed)
    if not n_possible:
        raise CorpusError(
            f"{corpus.name}: no training query has two positives, so none can be hidden. "
            "Take a corpus with several labels a query; its own truth, if it has one, needs no planting."
        )
    truth = corpus.truth or Judgements.empty(corpus.n_queries)
    for table in corpus.splits.values():
        truth = truth.union(table)
    is_kept = ~hidden.contains(*train.pairs()[:2])
    kept = Judgements.from_pairs(*(column[is_kept] for column in train.pairs()), corpus.n_queries)
    n_queries = len(hidden.query_rows_with_positives())
    note = (
        f"Planted truth: {hidden.n_pairs:,} of the {n_possible:,} training positives of queries with several are hidden "
        f"({hidden.n_pairs / n_possible:.0%}; asked: {share:.0%}) in {n_queries:,} queries, chosen by seed {seed}. "
        "Each query keeps one; truth holds them all."
    )
    name = f"{corpus.name}, {share:.0%} of positives hidden" + (f" (seed {seed})" if seed else "")
    return Corpus(
        name,
        corpus.documents,
        corpus.queries,
        {**corpus.splits, "train": kept},
        truth,
        (*corpus.notes, note),
        facts=corpus.facts,
        imported=corpus.imported,
        impressions=corpus.impressions,
    )


def _choose(positives: Judgements, share: float, seed: int) -> tuple[Judgements, int]:
    """``(hidden, n_possible)``: what to hide, and how many positives the queries with several have."""
    query_rows, doc_rows, grades = positives.pairs()
    several = np.flatnonzero(positives.n_per_query()[query_rows] > 1)
    order = np.random.default_rng([seed, 17]).permutation(several)
    # The first of each query in this order is the one that stays; the others go in this order, so that shares nest.
    is_first = np.zeros(len(order), bool)
    is_first[np.unique(query_rows[order], return_index=True)[1]] = True
    hidden = order[~is_first][: max(1, round(share * len(several)))]
    chosen = Judgements.from_pairs(query_rows[hidden], doc_rows[hidden], grades[hidden], positives.n_queries)
    return chosen, len(several)


def n_hideable(corpus: Corpus) -> tuple[int, int]:
    """``(most, of)``: how many training positives can be hidden at most, and how many the queries with several have."""
    if "train" not in corpus.splits:
        return 0, 0
    counts = corpus.splits["train"].only_positive().n_per_query()
    counts = counts[counts > 1]
    return int((counts - 1).sum()), int(counts.sum())


def planted_spec(spec: str, share: float, seed: int = 0) -> str:
    """What :func:`core.corpus.load.load_corpus` takes for ``spec`` with this share hidden; raises ParameterError."""
    share, seed = _checked(share, seed)
    return f"{PREFIX}{share:g}:{seed}:{spec}"


def read_spec(spec: str) -> tuple[float, int, str]:
    """``(share, seed, spec of the corpus itself)``; raises ParameterError for another form."""
    try:
        share, seed, inner = spec.removeprefix(PREFIX).split(":", 2)
        values = float(share), int(seed)
    except ValueError:
        raise ParameterError(f"{spec[:80]!r} is not of the form {FORM}.") from None
    if not inner:
        raise ParameterError(f"{spec[:80]!r} names no corpus. The form is {FORM}.")
    return (*_checked(*values), inner)


def _checked(share: float, seed: int) -> tuple[float, int]:
    if not (math.isfinite(share) and 0 < share <= 1):
        raise ParameterError(f"The share of positives to hide must be a number in (0, 1]; got {share!r}.")
    if not 0 <= seed < 2**31:
        raise ParameterError(f"The seed of hidden positives must be an int in [0, 2147483647]; got {seed!r}.")
    return float(share), int(seed)
