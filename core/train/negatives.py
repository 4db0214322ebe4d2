"""The mined negatives of a trial: when each lane is mined, what was picked, what became of it."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.corpus.judgements import Judgements
from core.sampling.candidates import Candidates
from core.sampling.context import MiningContext
from core.sampling.mine import mine_lane, pick, rows_at
from core.sampling.recipe import Lane, Recipe
from core.train.found import Found

if TYPE_CHECKING:
    from core.train.background import Background

# Purposes of the random streams: every draw has a stream of its own, so that resuming needs no generator state.
ORDER, MINE, PICK, GROUP = 1, 2, 3, 21


class Negatives:
    """Candidates and picks of every lane, for the training queries.

    ``query_rows`` int64 (Q,): the training queries, ascending. Tables are numbered in the order in which they were mined and
    written to ``folder`` as ``NNN-laneL.parquet``: at once when mined, again with their uses when they are replaced.
    """

    def __init__(self, recipe: Recipe, context: MiningContext, query_rows: np.ndarray, seed: int, folder: Path):
        self.recipe, self.context, self.query_rows = recipe, context, query_rows
        self.seed, self.folder = seed, folder
        self.tables: list[Candidates | None] = [None] * len(recipe.mined)
        self.numbers = [-1] * len(recipe.mined)
        self.columns: list[np.ndarray] = [np.empty((len(query_rows), 0), np.int64)] * len(recipe.mined)
        self.rows = np.full((len(query_rows), recipe.per_query), -1, np.int64)
        #: float32 (Q, m): the teacher's scores of the picked documents, NaN = none; None where the signal has no teacher.
        self.teacher: np.ndarray | None = None
        #: float32 (Q, m): log of the picked documents' own loss weights; None where all weigh alike.
        self.log_weights: np.ndarray | None = None
        self.n_tables = 0
        self.seconds = 0.0
        #: The process that mines the model-dependent lanes, where the schedule asks for one.
        self.background: Background | None = None
        #: What each step's search found, where the batch piece searches the corpus at each step.
        self.found = None
        if recipe.batch.fixes_documents:
            self.found = Found(query_rows, recipe.batch.depth, len(recipe.mined), recipe.batch.key)
        self._writer = ThreadPoolExecutor(1)
        self._writing: list[Future[None]] = []

    def is_due(self, lane: Lane, step: int, epoch_starts: bool, steps_per_epoch: int) -> bool:
        """Whether the lane is mined before this step."""
        if step == 0:
            return True
        if lane.source.is_redrawn:
            return epoch_starts
        return lane.source.is_dynamic and not self.recipe.schedule.is_async and self.recipe.schedule.is_due(step, steps_per_epoch)

    def prepare(self, step: int, epoch: int, epoch_starts: bool, steps_per_epoch: int) -> list[dict[str, Any]]:
        """Mine and pick whatever is due before this step; returns a summary of each table that was mined."""
        started = time.perf_counter()
        mined, is_changed = [], False
        earlier = self._earlier()
        arrived, of = self._from_background(step, steps_per_epoch, earlier)
        for index, lane in enumerate(self.recipe.mined):
            if index in arrived:
                mined.append(self._take(index, arrived[index]) | {"weights_step": of, "staleness": step - of})
            elif self.is_due(lane, step, epoch_starts, steps_per_epoch):
                self.context.earlier = earlier
                mined.append(self._mine(index, lane, step))
            elif not (epoch_starts and lane.picker.is_random):
                continue
            table = self.tables[index]
            assert table is not None  # every lane is mined at step 0
            rng = np.random.default_rng([self.seed, PICK, step, index])
            self.columns[index] = pick(lane, table, rng)
            is_changed = True
        if is_changed:
            self._gather()
        for summary in mined:
            summary["n_short"] = int((self.columns[summary["lane"]] < 0).any(1).sum())
            summary["n_none"] = int((self.columns[summary["lane"]] < 0).all(1).sum())
        self.seconds += time.perf_counter() - started
        return mined

    def _earlier(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By source, the candidates as they stand now; of several lanes with one source the first counts."""
        found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for lane, table in zip(self.recipe.mined, self.tables, strict=True):
            if table is not None and not lane.source.is_redrawn:
                found.setdefault(lane.source.key, (table.query_rows, table.doc_rows))
        return found

    def _from_background(self, step: int, steps_per_epoch: int, earlier) -> tuple[dict[int, Candidates], int]:
        if self.background is None:
            return {}, step
        lanes = [index for index, lane in enumerate(self.recipe.mined) if lane.source.is_dynamic and not lane.source.is_redrawn]
        # Step 0 is mined here: training must begin with negatives.
        is_due = step > 0 and self.recipe.schedule.is_due(step, steps_per_epoch)
        return self.background.exchange(step, is_due, lanes, earlier)

    def _gather(self) -> None:
        """Put the picks of all lanes side by side, and beside them what a step needs to know of each."""
        picked = [(t, c) for t, c in zip(self.tables, self.columns, strict=True) if t is not None]
        self.rows = np.concatenate([rows_at(t, c) for t, c in picked], axis=1)
        if any(table.log_weights is not None for table, _ in picked):
            self.log_weights = np.concatenate([_weights_at(t, c) for t, c in picked], axis=1)
        if self.recipe.signal.needs_teacher:
            self.teacher = self.recipe.signal.teach(self.context, self.query_rows, self.rows)

    def _mine(self, index: int, lane: Lane, step: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, MINE, step, index])
        return self._take(index, mine_lane(lane, self.context, self.query_rows, rng, index=index))

    def _take(self, index: int, table: Candidates) -> dict[str, Any]:
        lane = self.recipe.mined[index]
        self._write(index)
        self.tables[index], self.numbers[index] = table, self.n_tables
        self.n_tables += 1
        self._write(index)
        return {"lane": index, "table": self.numbers[index], "source": lane.source.key, **self._vitals(table)}

    def _vitals(self, table: Candidates) -> dict[str, Any]:
        kept = table.is_kept
        vitals: dict[str, Any] = {"funnel": table.funnel(), "kept_per_query": float(kept.sum(1).mean())}
        if table.model_scores is not None and kept.any():
            harder = table.model_scores >= table.model_positive_scores[:, None]
            vitals["hard_share"] = float(harder[kept].mean())
        if self.context.corpus.truth is not None and kept.any():
            vitals["false_negative_rate"] = float(
                is_true_positive(self.context.corpus.truth, table.query_rows, table.doc_rows)[kept].mean()
            )
        return vitals

    def note_use(self, positions: np.ndarray, weights: np.ndarray) -> None:
        """Record one step: ``positions`` int64 (B,) into query_rows, ``weights`` (B, m) of all lanes side by side, m may be more."""
        first = 0
        for table, columns in zip(self.tables, self.columns, strict=True):
            last = first + columns.shape[1]
            table.note_use(positions, columns[positions], weights[:, first:last])
            first = last

    def close_epoch(self) -> list[dict[str, Any]]:
        """Write down what the searches of the epoch that ends found; a summary as of a mining, [] where no step searches."""
        if self.found is None:
            return []
        table, number = self.found.take(), self.n_tables
        self.n_tables += 1
        self._write_table(table, number)
        short = (table.doc_rows < 0).any(1)
        counts = {"n_short": int(short.sum()), "n_none": int((table.doc_rows < 0).all(1).sum())}
        return [{"lane": table.lane, "table": number, "source": table.source, **self._vitals(table), **counts}]

    def _write(self, index: int) -> None:
        table = self.tables[index]
        if table is not None:
            self._write_table(table, self.numbers[index])

    def _write_table(self, table: Candidates, number: int) -> None:
        import pyarrow.parquet as parquet

        # The Arrow table is a copy of the counts at this moment; compressing and writing it runs beside the training.
        arrow = table.table()
        path = self.folder / f"{number:04d}-lane{table.lane}.parquet"

        def write() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            # Only words repeat enough: a dictionary of scores and rows costs twice the time and more room.
            parquet.write_table(arrow, part, compression="zstd", use_dictionary=["source", "rule"])
            part.replace(path)

        self._writing.append(self._writer.submit(write))

    def flush(self) -> None:
        """Write all tables with their uses so far and wait until they are on disk; raises what writing raised."""
        for index in range(len(self.tables)):
            self._write(index)
        for future in self._writing:
            future.result()
        self._writing.clear()

    def pack(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """(arrays, state) for a checkpoint."""
        arrays: dict[str, np.ndarray] = {}
        for index, (table, columns) in enumerate(zip(self.tables, self.columns, strict=True)):
            if table is None:
                continue
            arrays[f"lane.{index}.columns"] = columns
            for name, value in vars(table).items():
                if isinstance(value, np.ndarray):
                    arrays[f"lane.{index}.{name}"] = value
        if self.found is not None:
            arrays |= {f"found.{name}": value for name, value in self.found.arrays.items()}
        rules = [list(t.rules) if t else [] for t in self.tables]
        if self.background is not None and self.background.sent is not None:
            # The refresh under way is begun again from the same weights, so that a stop changes nothing.
            arrays |= {f"refresh.{name}": value for name, value in self.background.sent.items()}
        asked = None if self.background is None else self.background.asked
        more = {} if asked is None else {"refresh_asked": asked}
        return arrays, {**more, "numbers": self.numbers, "n_tables": self.n_tables, "rules": rules, "seconds": self.seconds}

    def unpack(self, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        """Restore what :meth:`pack` gave."""
        self.numbers, self.n_tables, self.seconds = list(state["numbers"]), state["n_tables"], state["seconds"]
        if self.background is not None and state.get("refresh_asked") is not None:
            self.background.asked = state["refresh_asked"]
            self.background.sent = {k.split(".", 1)[1]: v for k, v in arrays.items() if k.startswith("refresh.")}
        if self.found is not None:  # a checkpoint of an earlier version has none
            self.found.arrays |= {k.split(".", 1)[1]: np.array(v) for k, v in arrays.items() if k.startswith("found.")}
        for index, lane in enumerate(self.recipe.mined):
            own = {k.split(".", 2)[2]: v for k, v in arrays.items() if k.startswith(f"lane.{index}.")}
            if not own:
                continue
            self.columns[index] = own.pop("columns")
            times_used, weight_sum = own.pop("times_used"), own.pop("weight_sum")
            table = Candidates(lane=index, source=lane.source.key, rules=tuple(state["rules"][index]), **own)
            table.times_used, table.weight_sum = times_used, weight_sum
            self.tables[index] = table
        if all(table is not None for table in self.tables) and self.tables:
            self._gather()


def _weights_at(table: Candidates, columns: np.ndarray) -> np.ndarray:
    if table.log_weights is None or not table.log_weights.shape[1]:
        return np.zeros(columns.shape, np.float32)
    return np.where(columns >= 0, np.take_along_axis(table.log_weights, np.maximum(columns, 0), 1), 0).astype(np.float32)


def is_true_positive(truth: Judgements, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    """bool (Q, C): the fuller judgements call the candidate relevant. Unjudged counts as not known, so False."""
    return truth.grade_of(query_rows[:, None], doc_rows) >= 1
