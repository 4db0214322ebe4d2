"""Zips whose bytes depend on nothing but what is in them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

# The oldest moment that a zip can name: when a file was written must not change the bytes.
MOMENT = (1980, 1, 1, 0, 0, 0)
# Already packed, or numbers that do not pack: deflating them costs time and saves nothing.
PACKED = (".parquet", ".npy", ".npz", ".safetensors", ".zip", ".gz")
CHUNK = 1 << 20


def pack(
    out: Path,
    members: Mapping[str, Path | bytes],
    *,
    on_chunk: Callable[[str, bytes], None] = lambda name, data: None,
    last: Callable[[], Mapping[str, bytes]] = dict,
) -> None:
    """Write the zip, members in the order of their names; nothing is held whole in memory but what comes as bytes.

    ``on_chunk`` sees every byte that is packed. ``last``: further members, asked for when all others are written.
    """
    with zipfile.ZipFile(out, "w", allowZip64=True) as archive:
        for name in sorted(members):
            _add(archive, name, members[name], on_chunk)
        for name, data in sorted(last().items()):
            _add(archive, name, data, on_chunk)


def pack_folder(folder: Path, out: Path) -> None:
    """All files of the folder, named by their path within it."""
    pack(out, {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()})


def _add(archive: zipfile.ZipFile, name: str, content: Path | bytes, on_chunk) -> None:
    info = zipfile.ZipInfo(name, MOMENT)
    info.compress_type = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
    info.external_attr, info.create_system = 0o100644 << 16, 3
    if isinstance(content, bytes):
        on_chunk(name, content)
        archive.writestr(info, content)
        return
    info.file_size = content.stat().st_size  # known beforehand, so that only files beyond 2 GiB get the long header
    with content.open("rb") as source, archive.open(info, "w", force_zip64=info.file_size > zipfile.ZIP64_LIMIT) as sink:
        while data := source.read(CHUNK):
            on_chunk(name, data)
            sink.write(data)
