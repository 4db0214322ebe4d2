"""A trial's candidates over all queries and refreshes as flat arrays, and the figures that are counted from them.

One row is one candidate of one query in one mining: looked at, with its fate. Scores are those of the model at
that moment, so hardness and doubts say what the training saw, not what the finished model thinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.audit.suspects import EASY, HARD, SEMI_HARD, doubts, hardness
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.errors import TrialError
from core.sampling.candidates import base_rules
from core.train.results import TableInfo, TrialResults

HARDNESS = (EASY, SEMI_HARD, HARD)
KEPT_RULE = "kept"
COLUMNS = (
    "query_row", "doc_row", "rank", "score", "positive_row", "kept", "rule", "verdicts", "times_used", "weight",
    "model_score", "model_positive_score",
)  # fmt: skip


@dataclass(frozen=True)
class TrialTable:
    """Arrays of one length N, in the order of the tables, then query, then rank.

    ``place`` int16: index into ``tables``; ``rank`` 1-based in the source's own list; ``source_score`` on the source's
    scale; ``score``, ``positive_score`` float32 by the model of that moment (NaN where it was not asked); ``rule`` int8:
    index into ``rules``; ``weight`` float32: mean d loss / d score over its uses, 0 = unused; ``hardness`` int8:
    index into HARDNESS; ``reasons`` title -> bool; ``grade`` int16 by the corpus's truth (0 = not known), None without.
    """

    tables: tuple[TableInfo, ...]
    rules: tuple[str, ...]
    place: np.ndarray
    query_row: np.ndarray
    doc_row: np.ndarray
    rank: np.ndarray
    source_score: np.ndarray
    score: np.ndarray
    positive_row: np.ndarray
    positive_score: np.ndarray
    is_kept: np.ndarray
    rule: np.ndarray
    verdicts: np.ndarray
    times_used: np.ndarray
    weight: np.ndarray
    hardness: np.ndarray
    reasons: dict[str, np.ndarray]
    grade: np.ndarray | None

    def __len__(self) -> int:
        return len(self.query_row)

    @property
    def margin(self) -> np.ndarray:
        """float32 (N,): s+ - s-; negative where the candidate scores above the query's lowest positive."""
        return self.positive_score - self.score

    @property
    def pull(self) -> np.ndarray:
        """float64 (N,): uses x mean weight, the total force with which the training pushed the pair apart."""
        return self.times_used * self.weight.astype(np.float64)

    @property
    def is_suspect(self) -> np.ndarray:
        """bool (N,): at least one reason to doubt it."""
        return np.logical_or.reduce(list(self.reasons.values())) if self.reasons else np.zeros(len(self), bool)

    @property
    def is_used(self) -> np.ndarray:
        return self.times_used > 0

    def take(self, rows: np.ndarray) -> TrialTable:
        """The rows of a mask or of positions; the tables and rules stay."""
        picked = {name: value[rows] for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        reasons = {title: value[rows] for title, value in self.reasons.items()}
        return TrialTable(**{**vars(self), **picked, "reasons": reasons})

    def of_tables(self, numbers: Sequence[int] | None) -> TrialTable:
        """Only the tables with these numbers; None = all."""
        if numbers is None:
            return self
        places = [i for i, info in enumerate(self.tables) if info.number in set(numbers)]
        return self.take(np.isin(self.place, places))

    def of_query(self, query_row: int) -> TrialTable:
        return self.take(self.query_row == query_row)


def read_trial_table(
    results: TrialResults,
    corpus: Corpus,
    twins: Judgements,
    tables: list[TableInfo] | None = None,
    *,
    query_row: int | None = None,
) -> TrialTable:
    """Every candidate of the tables (default: all on disk), or those of one query.

    ``twins``: near copies of each query's positives. A known positive is no suspect, whatever its score. Raises
    TrialError when there is no table, or one was mined on another corpus.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    tables = results.tables() if tables is None else tables
    if not tables:
        raise TrialError("This trial has no table of mined candidates: its recipe mines none, or it has not mined yet.")
    filters = None if query_row is None else [("query_row", "=", int(query_row))]
    parts, n_each = [], []
    for info in tables:
        present = set(parquet.read_schema(info.path).names)
        part = parquet.read_table(info.path, columns=[name for name in COLUMNS if name in present], filters=filters)
        parts.append(part.replace_schema_metadata())
        n_each.append(part.num_rows)
    whole = pa.concat_tables(parts, promote_options="default").unify_dictionaries().combine_chunks()
    plain = {name: _numpy(whole, name) for name in COLUMNS if name != "rule"}
    rule = whole["rule"].combine_chunks()
    rule = rule.chunk(0) if isinstance(rule, pa.ChunkedArray) else rule
    scores, positives = plain["model_score"], plain["model_positive_score"]
    query_rows, doc_rows = plain["query_row"], plain["doc_row"]
    if len(doc_rows) and (doc_rows.max() >= corpus.n_documents or query_rows.max() >= corpus.n_queries):
        raise TrialError("This trial was trained on another corpus: its tables name documents that this one does not have.")
    with np.errstate(invalid="ignore"):
        kinds = hardness(scores, positives)
        reasons = doubts(scores, positives, twins.contains(query_rows, doc_rows))
    is_known = corpus.positives.contains(query_rows, doc_rows)
    reasons = {title: found & ~is_known for title, found in reasons.items()}
    return TrialTable(
        tables=tuple(tables),
        rules=tuple(rule.dictionary.to_pylist()),
        place=np.repeat(np.arange(len(tables), dtype=np.int16), n_each),
        query_row=query_rows,
        doc_row=doc_rows,
        rank=plain["rank"],
        source_score=plain["score"],
        score=scores,
        positive_row=plain["positive_row"],
        positive_score=positives,
        is_kept=plain["kept"].astype(bool),
        rule=rule.indices.to_numpy(zero_copy_only=False).astype(np.int8),
        verdicts=plain["verdicts"],
        times_used=plain["times_used"],
        weight=np.nan_to_num(plain["weight"]).astype(np.float32),
        hardness=np.select([kinds == HARD, kinds == SEMI_HARD], [2, 1], 0).astype(np.int8),
        reasons=reasons,
        grade=None if corpus.truth is None else corpus.truth.grade_of(query_rows, doc_rows),
    )


def rules_of_lanes(results: TrialResults) -> list[tuple[str, ...]]:
    """For each lane the keys of its rules, in the order in which they decide: bit i of ``verdicts`` is rule i.

    A batch piece that searches the corpus at each step stands behind the lanes, as one of its own.
    """
    recipe = results.config.recipe_value
    rules = [(*base_rules(results.config.refuses_judged), *(piece.key for piece in lane.filters)) for lane in recipe.mined]
    return [*rules, base_rules(False)] if recipe.batch.fixes_documents else rules


def titles_of_lanes(results: TrialResults) -> list[str]:
    """What each lane's negatives come from, in words; numbered as :func:`rules_of_lanes`."""
    recipe = results.config.recipe_value
    titles = [lane.source.title for lane in recipe.mined]
    return [*titles, recipe.batch.title] if recipe.batch.fixes_documents else titles


def _numpy(table, name: str) -> np.ndarray:
    if name not in table.column_names:  # mined without asking the model
        return np.full(table.num_rows, np.nan, np.float32)
    return table[name].to_numpy()
