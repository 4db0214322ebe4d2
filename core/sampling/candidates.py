"""The why-card table: every candidate that was looked at, kept or rejected, with the rule that decided."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

KEPT = -1
#: Rules of the base, before any filter of the lane; their order is the order in which they decide.
BASE_RULES = ("known-positive", "identical-to-positive", "outside-window")
#: The rule of verdicts, before the window; only tables of a trial with verdicts have it, so that older ones keep their bits.
JUDGED = "judged"


def base_rules(has_verdicts: bool) -> tuple[str, ...]:
    """The rules before a lane's filters, in the order in which they decide."""
    return (*BASE_RULES[:2], JUDGED, *BASE_RULES[2:]) if has_verdicts else BASE_RULES


@dataclass
class Candidates:
    """One lane's candidates at one refresh, for Q queries and at most C candidates each.

    ``doc_rows`` int64 (Q, C), -1 = none; ``ranks`` int32 (Q, C): 1-based rank in the source's own list; ``scores``
    float32 (Q, C) on the source's scale; ``positive_rows`` int64 (Q,) and ``positive_scores`` float32 (Q,): the query's
    lowest-scored positive; ``decided_by`` int8 (Q, C): index into ``rules`` of the first rule that refused, -1 = kept;
    ``verdicts`` uint32 (Q, C): bit i set where rule i refuses, whether or not an earlier one did. ``times_used`` int32
    and ``weight_sum`` float64 grow while training: weight is d loss / d score of the query's own loss, p_i / t for InfoNCE; below
    0 where a teacher has the candidate drawn closer.
    ``model_scores``, ``model_positive_scores``: the same pairs scored by the model of that moment. ``likeness`` float32 (Q, C): score of
    each candidate with ``positive_rows`` by the source, where the picker asks for it. ``log_weights`` float32 (Q, C):
    log of each kept candidate's own share of its loss weight; None where the lane weighs all alike.
    """

    lane: int
    source: str
    query_rows: np.ndarray
    doc_rows: np.ndarray
    ranks: np.ndarray
    scores: np.ndarray
    positive_rows: np.ndarray
    positive_scores: np.ndarray
    decided_by: np.ndarray
    verdicts: np.ndarray
    rules: tuple[str, ...]
    model_scores: np.ndarray | None = None
    model_positive_scores: np.ndarray | None = None
    likeness: np.ndarray | None = None
    log_weights: np.ndarray | None = None
    times_used: np.ndarray = field(init=False)
    weight_sum: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.times_used = np.zeros(self.doc_rows.shape, np.int32)
        self.weight_sum = np.zeros(self.doc_rows.shape, np.float64)

    @property
    def is_kept(self) -> np.ndarray:
        """bool (Q, C): real candidates that no rule refused."""
        return (self.decided_by == KEPT) & (self.doc_rows >= 0)

    def funnel(self) -> list[tuple[str, int]]:
        """How many candidates were looked at and how many each rule refused: [("looked at", n), (rule, n) ..., ("kept", n)]."""
        is_real = self.doc_rows >= 0
        counts = np.bincount(self.decided_by[is_real] + 1, minlength=len(self.rules) + 1)
        refused = [(rule, int(counts[i + 1])) for i, rule in enumerate(self.rules)]
        return [("looked at", int(is_real.sum())), *refused, ("kept", int(counts[0]))]

    def note_use(self, queries: np.ndarray, columns: np.ndarray, weights: np.ndarray) -> None:
        """Count one training use. ``queries`` int64 (B,): positions in this table; ``columns`` int64 (B, m), -1 = none."""
        rows = np.broadcast_to(queries[:, None], columns.shape)
        is_real = columns >= 0
        np.add.at(self.times_used, (rows[is_real], columns[is_real]), 1)
        np.add.at(self.weight_sum, (rows[is_real], columns[is_real]), weights[is_real])

    def table(self):
        """An Arrow table with a row for each candidate, in query then rank order; rows are row numbers, not ids.

        Columns: lane int8, source, query_row, doc_row int32, rank int32, score, positive_row, positive_score, kept, rule
        ("kept" or the refusing rule), verdicts uint32, model_score, model_positive_score, times_used, weight (mean over
        uses, null if unused); model_score and model_positive_score, likeness where they were asked for, and, where
        the lane weighs each candidate, loss_weight (its share of the full weight).
        """
        import pyarrow as pa

        is_real = self.doc_rows >= 0
        n_each = is_real.sum(1)

        def spread(values: np.ndarray) -> np.ndarray:
            return np.repeat(values, n_each)

        used = self.times_used[is_real]
        with np.errstate(invalid="ignore"):
            weight = (self.weight_sum[is_real] / used).astype(np.float32)
        n = int(is_real.sum())
        names = pa.array([*self.rules, "kept"])
        rule_index = np.where(self.decided_by[is_real] == KEPT, len(self.rules), self.decided_by[is_real])
        columns = {
            "lane": pa.array(np.full(n, self.lane, np.int8)),
            "source": pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), pa.array([self.source])),
            "query_row": spread(self.query_rows).astype(np.int32),
            "doc_row": self.doc_rows[is_real].astype(np.int32),
            "rank": self.ranks[is_real],
            "score": self.scores[is_real],
            "positive_row": spread(self.positive_rows).astype(np.int32),
            "positive_score": spread(self.positive_scores),
            "kept": self.decided_by[is_real] == KEPT,
            "rule": pa.DictionaryArray.from_arrays(rule_index.astype(np.int8), names),
            "verdicts": self.verdicts[is_real],
            "times_used": used,
            "weight": pa.array(weight, mask=used == 0),
        }
        if self.model_scores is not None:
            columns["model_score"] = self.model_scores[is_real]
            columns["model_positive_score"] = spread(self.model_positive_scores)
        if self.likeness is not None:
            columns["likeness"] = self.likeness[is_real]
        if self.log_weights is not None:
            columns["loss_weight"] = np.exp(self.log_weights[is_real])
        return pa.table(columns).replace_schema_metadata({"rules": ",".join(self.rules)})
