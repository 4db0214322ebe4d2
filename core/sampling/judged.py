"""How one trial uses the verdicts that it was given: never a negative, a lighter one, or a positive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.corpus.judgements import Judgements
from core.sampling.context import CorpusIndex
from core.sampling.decisions import DOWN_WEIGHT, DROP, PROMOTE, Decisions


@dataclass(frozen=True)
class Judged:
    """Verdicts as one trial uses them; a document with exactly a judged one's text is meant too, except for promotion.

    ``refused``: pairs that never serve as a negative. ``light``: pairs that do, with their loss weight multiplied by
    ``weight``. ``promoted``: judged false negatives that become positives to train on, where their query has training pairs.
    """

    decisions: Decisions
    use: str
    weight: float
    refused: Judgements
    light: Judgements
    promoted: Judgements

    @property
    def refuses(self) -> bool:
        """Whether mining has the rule that refuses judged pairs."""
        return self.use != DOWN_WEIGHT

    def with_promoted(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The training pairs and the promoted ones of the same queries, int64, ordered by query then document."""
        more_queries, more_docs, _ = self.promoted.only_queries(np.unique(query_rows)).pairs()
        if not len(more_queries):
            return query_rows, doc_rows
        query_rows, doc_rows = np.concatenate([query_rows, more_queries]), np.concatenate([doc_rows, more_docs])
        order = np.lexsort((doc_rows, query_rows))
        return query_rows[order], doc_rows[order]

    def sentence(self, training_queries: np.ndarray) -> str:
        """What the verdicts do in a training on these queries."""
        tables = (self.decisions.relevant(), self.decisions.near_duplicates())
        relevant, copies = (table.only_queries(training_queries).n_pairs for table in tables)
        n_promoted = self.promoted.only_queries(training_queries).n_pairs
        ways = {
            DROP: "never used as negatives",
            DOWN_WEIGHT: f"kept as negatives with {self.weight:g} of their weight in the loss",
            PROMOTE: f"never used as negatives, and {n_promoted} of the pairs are positives to train on",
        }
        text = f"Verdicts on training queries: {relevant} false negatives and {copies} near-duplicates are {ways[self.use]}."
        elsewhere = sum(table.n_pairs for table in tables) - relevant - copies
        if elsewhere:
            text += f" {elsewhere} more are on queries that are not trained on and have no effect."
        if self.decisions.n_unknown:
            text += f" {self.decisions.n_unknown} name a query or a document that this corpus does not have."
        return text


def use_verdicts(decisions: Decisions, index: CorpusIndex, use: str, weight: float) -> Judged:
    """The verdicts in the way ``use`` (of decisions.USES) says.

    Known positives of every split are not in question any more: they are protected as ever, and a held-out label is never
    promoted, so that what is evaluated stays what it was.
    """
    none = Judgements.empty(index.corpus.n_queries)
    meant = _unlabelled(index.with_copies(decisions.refused()), index.corpus.positives)
    is_light = use == DOWN_WEIGHT
    promoted = _unlabelled(decisions.relevant(), index.corpus.positives) if use == PROMOTE else none
    return Judged(decisions, use, weight, none if is_light else meant, meant if is_light else none, promoted)


def _unlabelled(table: Judgements, positives: Judgements) -> Judgements:
    query_rows, doc_rows, grades = table.pairs()
    is_open = ~positives.contains(query_rows, doc_rows)
    return Judgements.from_pairs(query_rows[is_open], doc_rows[is_open], grades[is_open], table.n_queries)
