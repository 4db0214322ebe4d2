"""Training pairs that a recipe made with a model, kept with the trial: what reads them later has no model of that moment."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FILE = "pairs.parquet"


def write_pairs(folder: Path, query_rows: np.ndarray, doc_rows: np.ndarray) -> None:
    """``pairs.parquet`` in the trial's folder: query_row and doc_row int32, whole or not at all."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    part = folder / f"{FILE}.part"
    parquet.write_table(pa.table({"query_row": query_rows.astype(np.int32), "doc_row": doc_rows.astype(np.int32)}), part)
    part.replace(folder / FILE)


def read_pairs(folder: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """(query_rows, doc_rows) int64 as they were written; None for a trial whose pairs are its labels."""
    import pyarrow.parquet as parquet

    if not (folder / FILE).is_file():
        return None
    table = parquet.read_table(folder / FILE)
    return table["query_row"].to_numpy().astype(np.int64), table["doc_row"].to_numpy().astype(np.int64)
