"""Written negatives as a trial reads them: tokens behind the corpus's own, drawn each epoch, kept in the trial's folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from core.corpus.written import COPIES, Written, write_lines
from core.sampling.context import MiningContext
from core.sampling.recipe import Recipe
from core.train.step import Stepper

FILE = "synthetic.jsonl"
#: Purpose of the random stream that draws an epoch's written negatives.
TAKE = 44


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

    def sentence(self) -> str:
        """What there is, for the trial's log."""
        n_served = sum(len(own) > 0 for own in self.own)
        origins = sorted({own.origin or "unknown" for own in self.texts})
        written = f", written by {', '.join(origins[:5])}" if origins else ""
        return (
            f"{len(self.texts):,} synthetic negatives for {n_served:,} of {len(self.own):,} training queries{written}. They are kept in "
            f"{FILE}, trained against, and never searched."
        )
