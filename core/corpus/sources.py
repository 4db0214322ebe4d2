"""Where the files of a corpus come from: a folder or uploads. Zips are in core/corpus/archive.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from core.corpus.faults import Faults
from core.corpus.limits import Limits, size_words

MAIN_FILES = ("corpus.jsonl", "queries.jsonl")
IMPRESSIONS = "impressions.tsv"  # what was shown and clicked; never a table of judgements
LAYOUT = "A corpus holds corpus.jsonl, queries.jsonl and qrels/*.tsv."


@dataclass(frozen=True)
class Member:
    """One file of a corpus, read when asked; ``read(limit)`` gives at most ``limit + 1`` bytes.

    ``stamp``: what tells this state of a file on disk from any other without reading it.
    """

    read: Callable[[int], bytes]
    size: int
    stamp: tuple[int, ...] = ()


#: Chooses a corpus's files: (files by path, name for messages, faults) -> files by path within the corpus.
Pick = Callable[[Mapping[str, Member], str, Faults], dict[str, Member]]


def read_member(member: Member, file: str, limits: Limits, faults: Faults) -> bytes | None:
    """The file's bytes, or None after noting a fatal fault: too large or unreadable."""
    data = b""
    try:
        if member.size <= limits.file_bytes:
            data = member.read(limits.file_bytes)
    except (OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        # zipfile tells of encrypted, damaged and oddly packed files by these types
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        faults.fatal(f"{file}: cannot be read ({reason}). Check the file and its permissions.")
        return None
    if max(len(data), member.size) > limits.file_bytes:
        found = size_words(max(len(data), member.size))
        faults.fatal(f"{file}: {found}, more than {size_words(limits.file_bytes)}. Cut the file.")
        return None
    return data


def folder_members(folder: Path, faults: Faults) -> dict[str, Member]:
    """The files of a folder in BEIR's layout, or of its only subfolder in it, by path within it."""
    try:
        root = _corpus_root(folder, faults)
        paths = sorted(root.glob("*.jsonl"))
        log = root / IMPRESSIONS
        paths += sorted(root.glob("qrels/*.tsv")) or [path for path in sorted(root.glob("*.tsv")) if path != log]
        paths += [log] if log.is_file() else []
        return {p.relative_to(root).as_posix(): path_member(p) for p in paths if p.is_file()}
    except OSError as error:
        faults.fatal(f"{folder}: cannot be read ({error.strerror}). Check the folder and its permissions.")
        return {}


def all_members(folder: Path, limits: Limits, faults: Faults) -> dict[str, Member]:
    """Every file of a folder and of the folders in it, hidden ones aside, by path within it."""
    members: dict[str, Member] = {}
    try:
        for pattern in ("*", "*/*", "*/*/*"):
            for path in sorted(folder.glob(pattern)):
                name = path.relative_to(folder).as_posix()
                if path.is_file() and not any(part.startswith(".") for part in name.split("/")):
                    members[name] = path_member(path)
                if len(members) > limits.archive_entries:
                    faults.fatal(f"{folder}: holds more than {limits.archive_entries:,} files. Name a folder with the corpus alone.")
                    return {}
    except OSError as error:
        faults.fatal(f"{folder}: cannot be read ({error.strerror}). Check the folder and its permissions.")
        return {}
    return members


def _corpus_root(folder: Path, faults: Faults) -> Path:
    if any((folder / name).is_file() for name in MAIN_FILES):
        return folder
    nested = sorted(p.parent for p in folder.glob("*/corpus.jsonl"))
    if len(nested) > 1:
        faults.fatal(several(folder.name, [p.name for p in nested]))
    return nested[0] if len(nested) == 1 else folder


def several(name: str, found: list[str]) -> str:
    """The fault of a folder or zip with several corpora."""
    return f"{name}: holds several corpora ({', '.join(found[:5])}). Name one of them."


def path_member(path: Path) -> Member:
    """A file on disk."""

    def read(limit: int) -> bytes:
        with path.open("rb") as file:
            return file.read(limit + 1)

    stat = path.stat()
    return Member(read, stat.st_size, (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))


def upload_members(
    files: Mapping[str, bytes | BinaryIO], limits: Limits, faults: Faults, pick: Pick | None = None
) -> dict[str, Member]:
    """The corpus files among uploaded ones, by path within the corpus."""
    members = {}
    for name, content in files.items():
        data = content if isinstance(content, bytes) else read_stream(content, limits.file_bytes)
        path = str(PurePosixPath(name.replace("\\", "/")))
        members[path] = Member(lambda limit, data=data: data[: limit + 1], len(data))
    return (pick or pick_members)(members, "upload", faults)


def read_stream(stream: BinaryIO, limit: int) -> bytes:
    """The whole stream from its beginning, but at most ``limit + 1`` bytes."""
    if stream.seekable():
        stream.seek(0)
    return stream.read(limit + 1)


def pick_members(members: Mapping[str, Member], name: str, faults: Faults) -> dict[str, Member]:
    """The JSON lines and tables at the root or in one folder, by path within that folder.

    JSON lines of other names are never read, but a message about a missing file can name them.
    """
    roots = sorted({_root_of(path) for path in members if path.rsplit("/", 1)[-1] in MAIN_FILES})
    roots = [root for root in roots if root.count("/") <= 1]
    if "" in roots:
        roots = [""]
    if len(roots) > 1:
        faults.fatal(several(name, [root.rstrip("/") for root in roots]))
    root = roots[0] if roots else ""
    inside = {path[len(root) :]: member for path, member in members.items() if path.startswith(root)}
    judged = _tables(inside, "qrels/") or _tables(inside, "")
    lines = sorted(p for p in inside if not _root_of(p) and p.endswith(".jsonl"))
    return {path: inside[path] for path in [*lines, *judged, *([IMPRESSIONS] if IMPRESSIONS in inside else [])]}


def _root_of(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _tables(paths: Iterable[str], folder: str) -> list[str]:
    return sorted(p for p in paths if _root_of(p) == folder and p.endswith(".tsv") and p != IMPRESSIONS)
