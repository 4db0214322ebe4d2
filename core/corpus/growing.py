"""Columns of strings that grow row by row, with no more than a chunk of them as Python objects."""

from __future__ import annotations

import pyarrow as pa

CHUNK_ROWS = 20_000
CHUNK_CHARACTERS = 64 * 1024 * 1024  # far below the 2 GiB of one Arrow chunk


class Growing:
    """A table of string columns: ``add`` a row, then ``table``."""

    def __init__(self, *names: str):
        self.names = names
        self.n_rows = 0
        self._rows: list[tuple[str, ...]] = []
        self._n_characters = 0
        self._chunks: list[pa.Table] = []

    def add(self, *values: str) -> None:
        self._rows.append(values)
        self.n_rows += 1
        self._n_characters += sum(map(len, values))
        if len(self._rows) == CHUNK_ROWS or self._n_characters > CHUNK_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in self.names)
        arrays = [pa.array(list(column), type=pa.string()) for column in columns]
        self._chunks.append(pa.table(dict(zip(self.names, arrays, strict=True))))
        self._rows, self._n_characters = [], 0

    def table(self) -> pa.Table:
        """All rows so far."""
        self._flush()
        self._chunks = [pa.concat_tables(self._chunks)]
        return self._chunks[0]
