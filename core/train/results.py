"""Reading what a trial wrote: candidate tables, per-query measures, the run, snapshots, the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import TrialError
from core.sampling.context import Vectors
from core.train.config import TrialConfig, read_config
from core.train.events import read_events
from core.train.written import WrittenUses, read_uses

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TableInfo:
    """One candidate table: the ``number``-th that the trial mined, by ``lane`` at ``step``."""

    number: int
    lane: int
    source: str
    step: int
    path: Path

    @property
    def label(self) -> str:
        return f"step {self.step}: lane {self.lane + 1}, {self.source}"


class TrialResults:
    """A trial's folder as tables and arrays; rows are the corpus's row numbers.

    Reads files when asked; a trial that is still training gives what it has written so far. Raises TrialError where a part is
    not there yet.
    """

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    @cached_property
    def config(self) -> TrialConfig:
        """The trial's configuration."""
        return read_config(self.folder)

    @property
    def result(self) -> dict[str, Any] | None:
        """result.json; None until the trial has finished."""
        path = self.folder / "result.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def tables(self) -> list[TableInfo]:
        """Every candidate table on disk, in the order in which they were mined."""
        found: dict[int, TableInfo] = {}
        events, _ = read_events(self.folder / "events.jsonl")
        for event in events:
            if event.get("kind") != "refresh":
                continue
            for lane in event["lanes"]:
                path = self.folder / "candidates" / f"{lane['table']:04d}-lane{lane['lane']}.parquet"
                if path.exists():
                    found[lane["table"]] = TableInfo(lane["table"], lane["lane"], lane["source"], event["step"], path)
        return [found[number] for number in sorted(found)]

    def candidates(self, tables: list[TableInfo], query_row: int | None = None) -> pa.Table:
        """The tables' candidates as Candidates.table() wrote them, with ``table`` and ``step`` columns in front.

        ``query_row``: only that query's, which reads only the row groups that hold it.
        """
        import pyarrow as pa
        import pyarrow.parquet as parquet

        parts = []
        for info in tables:
            filters = None if query_row is None else [("query_row", "=", int(query_row))]
            part = parquet.read_table(info.path, filters=filters)
            for name in ("rule", "source"):  # dictionaries differ from file to file
                part = part.set_column(part.schema.get_field_index(name), name, part[name].cast(pa.string()))
            n = part.num_rows
            part = part.add_column(0, "step", pa.array(np.full(n, info.step, np.int32)))
            parts.append(part.add_column(0, "table", pa.array(np.full(n, info.number, np.int32))).replace_schema_metadata())
        if not parts:
            raise TrialError("This trial has no table of mined candidates: its recipe mines none, or it has not mined yet.")
        return pa.concat_tables(parts, promote_options="default")

    def written(self) -> WrittenUses | None:
        """The trial's written negatives and what became of them; None where there are none."""
        return read_uses(self.folder)

    def per_query(self) -> pa.Table:
        """query_row and each measure of ``trial``, ``untrained``, ``bm25`` and, with truth, ``truth``: columns ``trial.RR@10`` ..."""
        return self._parquet("per_query.parquet")

    def run(self, query_row: int | None = None) -> pa.Table:
        """query_row, rank, doc_row, score of the final model's first 100 documents for each held-out query."""
        return self._parquet("run.parquet", None if query_row is None else [("query_row", "=", int(query_row))])

    def _parquet(self, name: str, filters=None) -> pa.Table:
        import pyarrow.parquet as parquet

        path = self.folder / name
        if not path.exists():
            raise TrialError(f"{self.config.name or self.folder.name} has not finished, so it has no {path.stem} table yet.")
        return parquet.read_table(path, filters=filters)

    def snapshots(self) -> list[int]:
        """Steps whose vectors were kept, ascending."""
        return sorted(
            int(path.name.split("-")[0])
            for path in (self.folder / "snapshots").glob("*-documents.npy")
            if not path.name.endswith(".part.npy") and path.with_name(path.name.replace("documents", "queries")).exists()
        )

    def snapshot(self, step: int) -> Vectors:
        """Vectors kept at ``step`` (float16 on disk, memory-mapped)."""
        folder = self.folder / "snapshots"
        if step not in self.snapshots():
            raise TrialError(f"No snapshot of step {step}. There are: {', '.join(map(str, self.snapshots())) or 'none'}.")
        arrays = [np.load(folder / f"{step:07d}-{name}.npy", mmap_mode="r") for name in ("queries", "documents")]
        return Vectors(*arrays, self.config.recipe_value.signal.similarity, f"step {step}")

    def vectors(self, corpus: Corpus) -> Vectors:
        """Exact vectors of the finished model for a corpus; raises TrialError while there is no model."""
        from core.train.vectors import trial_vectors  # torch: a page that lists trials must not wait for it

        return trial_vectors(self.folder, corpus)
