"""Written negatives as a trial reads them: tokens behind the corpus's own, drawn each epoch, kept in the trial's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.written import COPIES, NEGATIVE, Written, read_written, write_lines
from core.sampling.context import MiningContext, Vectors
from core.sampling.mine import lowest_positive
from core.sampling.recipe import Recipe

if TYPE_CHECKING:
    from core.train.step import Stepper

FILE, USES = "synthetic.jsonl", "synthetic-uses.parquet"
#: Purpose of the random stream that draws an epoch's written negatives.
TAKE = 44
SCORES = ("score", "positive_score", "first_score", "first_positive_score")


def with_own_files(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe whose pieces read the trial's own copy of the file that they name, made at the first start.

    A trial thus goes on as it began even where the file was changed or is gone.
    """
    changed = {}
    for slot, name in COPIES.items():
        piece = getattr(recipe, slot)
        file, own = getattr(piece, "file", ""), folder / name
        if not file:
            continue
        if not own.exists():
            if not Path(file).is_file():
                continue  # what it lacks is told before training
            part = own.with_name(name + ".part")
            part.write_bytes(Path(file).read_bytes())
            part.replace(own)
        changed[slot] = piece.but(file=str(own))
    return replace(recipe, **changed) if changed else recipe


@dataclass(frozen=True, eq=False)
class WrittenUses:
    """What became of a trial's ``texts``. All arrays (T,): ``query_rows`` int64; ``times_used`` int32; ``weight_sum``, the sum of its
    pulls d l / d s; scores float32 by the model as it was last and before its first step, NaN where that is not known yet."""

    texts: list[Written]
    query_rows: np.ndarray
    times_used: np.ndarray
    weight_sum: np.ndarray
    score: np.ndarray
    positive_score: np.ndarray
    first_score: np.ndarray
    first_positive_score: np.ndarray

    def of_query(self, query_row: int) -> list[int]:
        """The places of the query's texts, most pulled first."""
        own = np.flatnonzero(self.query_rows == query_row)
        return own[np.argsort(-self.weight_sum[own], kind="stable")].tolist()


def read_uses(folder: Path) -> WrittenUses | None:
    """What the trial wrote of its written negatives; None where it has none, or was trained before they were counted."""
    import pyarrow.parquet as parquet

    if not (folder / USES).exists():
        return None
    table = parquet.read_table(folder / USES)
    texts = read_written(folder / FILE, NEGATIVE)
    if len(texts) != table.num_rows:  # a folder that somebody put together by hand
        return None
    return WrittenUses(texts, *(table[name].to_numpy() for name in ("query_row", "times_used", "weight_sum", *SCORES)))


class Extra:
    """The written negatives of the training queries.

    Text ``i`` is read as row ``n_documents + i`` of the stepper's documents, so it is no document of the corpus and in no search.
    """

    def __init__(self, recipe: Recipe, context: MiningContext, stepper: Stepper, query_rows: np.ndarray, seed: int, folder: Path):
        self.per_query, self.seed = recipe.written.per_query, seed
        self.texts: list[Written] = recipe.written.write(context, query_rows, seed)
        corpus = context.corpus
        n_documents = corpus.n_documents
        write_lines(folder / FILE, self.texts)
        stepper.doc_tokens = stepper.doc_tokens.followed_by(stepper.model.tokenize([own.text for own in self.texts]))
        place_of = {row: place for place, row in enumerate(query_rows.tolist())}
        places = np.array([place_of[row] for row in corpus.query_rows([own.query_id for own in self.texts]).tolist()], np.int64)
        self.own: list[np.ndarray] = [np.empty(0, np.int64)] * len(query_rows)
        order = np.argsort(places, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(places[order])) + 1) if len(order) else ():
            self.own[int(places[rows[0]])] = n_documents + rows
        self.foreign = self._foreign(context, query_rows, places, n_documents)
        self._epoch = -1
        self.rows = np.full((len(query_rows), self.per_query), -1, np.int64)
        # In a batch they stand behind what the lanes mined.
        self.first, self.n_documents, self.folder = recipe.per_query, n_documents, folder
        self.query_rows = query_rows[places]
        n = len(self.texts)
        scores = {name: np.full(n, np.nan, np.float32) for name in SCORES}
        self.arrays = {"times_used": np.zeros(n, np.int32), "weight_sum": np.zeros(n, np.float64), **scores}
        self.begin(0)

    def _foreign(self, context: MiningContext, query_rows: np.ndarray, places: np.ndarray, n_documents: int) -> np.ndarray:
        """Rows (Q, L), -1 padded, of texts made from a query's positive for another query: for this one they may be answers."""
        sources = context.corpus.doc_rows([own.doc_id for own in self.texts])
        made_of: dict[int, list[int]] = {}
        for i, row in enumerate(sources.tolist()):
            if row >= 0:
                made_of.setdefault(row, []).append(i)
        found = []
        for place, query in enumerate(query_rows.tolist()):
            positives = context.corpus.positives.positives(query).tolist()
            found.append([n_documents + i for doc in positives for i in made_of.get(doc, ()) if places[i] != place])
        padded = np.full((len(query_rows), max(map(len, found), default=0)), -1, np.int64)
        for place, rows in enumerate(found):
            padded[place, : len(rows)] = rows
        return padded

    def begin(self, epoch: int) -> None:
        """Draw the epoch's texts for each query, without repeats; all of them where there are not more than asked."""
        if epoch == self._epoch:
            return
        self._epoch = epoch
        rng = np.random.default_rng([self.seed, TAKE, epoch])
        self.rows = np.full_like(self.rows, -1)
        for place, own in enumerate(self.own):
            taken = rng.permutation(own)[: self.per_query] if len(own) > self.per_query else own
            self.rows[place, : len(taken)] = taken

    def note_use(self, positions: np.ndarray, weights: np.ndarray) -> None:
        """Record one step: ``positions`` int64 (B,) into the training queries, ``weights`` (B, m) of all their own negatives."""
        rows = self.rows[positions]
        is_real = rows >= 0
        texts = rows[is_real] - self.n_documents
        np.add.at(self.arrays["times_used"], texts, 1)
        np.add.at(self.arrays["weight_sum"], texts, weights[:, self.first : self.first + self.per_query][is_real])

    def score(self, context: MiningContext, stepper: Stepper) -> None:
        """Score each text and its query's lowest positive by the model as it is now, and write the figures down."""
        now = context.vectors("current")
        tokens = stepper.doc_tokens.part(self.n_documents, self.n_documents + len(self.texts))
        own = Vectors(now.queries, stepper.model.encode(tokens, "document"), now.similarity, now.label)
        scores = own.score_pairs(self.query_rows, np.arange(len(self.texts)))
        distinct, places = np.unique(self.query_rows, return_inverse=True)
        positive = lowest_positive(lambda _, rows, docs: now.score_pairs(rows, docs), context, distinct)[1][places]
        self.arrays |= {"score": scores, "positive_score": positive}
        if np.isnan(self.arrays["first_score"]).all():
            self.arrays |= {"first_score": scores.copy(), "first_positive_score": positive.copy()}
        self.write()

    def write(self) -> None:
        """Write the figures so far; row ``i`` is line ``i`` of the texts."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        part = self.folder / f"{USES}.part"
        parquet.write_table(pa.table({"query_row": self.query_rows, **self.arrays}), part)
        part.replace(self.folder / USES)

    def sentence(self) -> str:
        """What there is, for the trial's log."""
        n_served = sum(len(own) > 0 for own in self.own)
        origins = sorted({own.origin or "unknown" for own in self.texts})
        written = f", written by {', '.join(origins[:5])}" if origins else ""
        return (
            f"{len(self.texts):,} synthetic negatives for {n_served:,} of {len(self.own):,} training queries{written}. They are kept in "
            f"{FILE}, trained against, and never searched."
        )
