"""A corpus in a zip, read in memory: nothing is unpacked to disk and every size is bounded."""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from core.corpus.faults import Faults
from core.corpus.limits import MIB, Limits, size_words
from core.corpus.sources import MAIN_FILES, Member, Pick, pick_members


def zip_members(
    archive: BinaryIO, name: str, limits: Limits, faults: Faults, pick: Pick = pick_members
) -> dict[str, Member]:
    """The corpus files of a zip, at its root or in one folder, by path within the corpus.

    The whole archive is refused for a path that leads out of it, too many files, or a file that would
    unpack beyond the limits. Links are ignored, and so are the shadow files that macOS adds.
    """
    opened = open_zip(archive, name, limits, faults)
    if opened is None:
        return {}
    members: dict[str, Member] = {}
    infos: dict[str, zipfile.ZipInfo] = {}
    for info in opened.infolist():
        path = info.filename
        if is_link(info):
            faults.remark(f"{name}: {path[:100]!r} is a link and was ignored.")
        elif not info.is_dir() and not path.startswith("__MACOSX/"):
            if path in infos and path.rsplit("/", 1)[-1] in MAIN_FILES:
                faults.fatal(f"{name}: holds {path[:100]!r} twice. Pack it once.")
            infos[path] = info
            members[path] = Member(_reader(opened, info), info.file_size)
    if faults.is_fatal:
        return {}
    picked = pick(members, name, faults)
    wanted = {id(member) for member in picked.values()}
    check_sizes([infos[path] for path, m in members.items() if id(m) in wanted], name, limits, faults)
    return {} if faults.is_fatal else picked


def open_zip(archive: BinaryIO, name: str, limits: Limits, faults: Faults) -> zipfile.ZipFile | None:
    """The archive, or None after noting a fatal fault: no zip, too many files, or a path that leads out of it."""
    try:
        opened = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, EOFError) as error:
        faults.fatal(f"{name}: is not a zip that can be read ({error}). Pack the files again.")
        return None
    entries = opened.infolist()
    if len(entries) > limits.archive_entries:
        faults.fatal(f"{name}: holds {len(entries):,} files, more than {limits.archive_entries:,}. Pack fewer.")
    else:
        for path in (info.filename for info in entries if _leads_out(info.filename)):
            faults.fatal(f"{name}: the path {path[:100]!r} leads out of the archive. Pack the files again.")
    return None if faults.is_fatal else opened


def _reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        try:
            with archive.open(info) as file:
                return file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError) as error:
            raise ValueError(f"damaged: {error}") from None

    return read


def check_sizes(infos: list[zipfile.ZipInfo], name: str, limits: Limits, faults: Faults) -> None:
    """Note a fatal fault where these files would unpack beyond the limits, all together or one of them."""
    # The sizes are the archive's own claim; reading never goes beyond it, so the claim is a safe bound.
    total = sum(info.file_size for info in infos)
    if total > limits.archive_bytes:
        most = size_words(limits.archive_bytes)
        faults.fatal(f"{name}: unpacks to {size_words(total)}, more than {most}. Pack a smaller corpus.")
    for info in infos:
        ratio = info.file_size / max(info.compress_size, 1)
        if info.file_size > MIB and ratio > limits.archive_ratio:
            faults.fatal(
                f"{name}: {info.filename[:100]!r} unpacks to {ratio:,.0f} times its size, more than "
                f"{limits.archive_ratio:g}. Pack it without compression if it is meant so."
            )


def _leads_out(path: str) -> bool:
    parts = re.split(r"[/\\]", path)
    return path.startswith(("/", "\\")) or ".." in parts or bool(re.match(r"[A-Za-z]:", path))


def is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)
