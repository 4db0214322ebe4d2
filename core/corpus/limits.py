"""What a corpus may weigh: the bounds that keep one bad file from taking the machine."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one corpus; a file beyond them is refused with a message that names the bound.

    ``file_bytes``: one file, unpacked. Above 2 GiB the texts would no longer fit one Arrow column.
    ``line_bytes``: one line; longer lines are skipped and counted as broken.
    ``broken_share``: a file with a larger share of broken lines than this is refused whole.
    ``fields``: further columns of a document (place, language, ...); later ones are left out.
    ``archive_entries``: files in a zip. ``archive_bytes``: all its files that are read, unpacked.
    ``archive_ratio``: unpacked bytes for each packed byte of one file; text packs about 3 to 10 times.
    """

    file_bytes: int = 2047 * MIB
    line_bytes: int = 16 * MIB
    documents: int = 5_000_000
    queries: int = 1_000_000
    judgements: int = 20_000_000
    broken_share: float = 0.10
    fields: int = 32
    archive_entries: int = 10_000
    archive_bytes: int = 4096 * MIB
    archive_ratio: float = 200.0


def size_words(n_bytes: int) -> str:
    """``n_bytes`` as people write it: '17 bytes', '1.5 MiB'."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if n_bytes >= 1024**power:
            return f"{n_bytes / 1024**power:.4g} {unit}"
    return f"{n_bytes} bytes"
