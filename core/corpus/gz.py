"""Unpacking gzip in memory, bounded by size and by ratio."""

from __future__ import annotations

import gzip
import io

from core.corpus.limits import MIB, Limits, size_words


def unpacked(data: bytes, limits: Limits) -> bytes:
    """The unpacked bytes. Raises ValueError beyond the limits, and gzip's own OSError, EOFError or zlib.error when damaged."""
    parts, n_bytes = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
        while part := packed.read(16 * MIB):
            parts.append(part)
            n_bytes += len(part)
            if n_bytes > limits.file_bytes:
                raise ValueError(f"it unpacks to more than {size_words(limits.file_bytes)}")
            if n_bytes > MIB and n_bytes > limits.archive_ratio * len(data):
                raise ValueError(f"it unpacks to more than {limits.archive_ratio:g} times its size")
    return b"".join(parts)
