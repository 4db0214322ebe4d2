"""Which layout a corpus's files are in, and the reader for it."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from core.corpus.beir import read_beir
from core.corpus.cells import HEAD, KINDS, kind_of, peek, plain_bytes, read_records
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.limits import Limits
from core.corpus.records import WHOLE, RecordReader
from core.corpus.roles import Roles, guess_mapping
from core.corpus.sources import MAIN_FILES, Member, pick_members
from core.corpus.tables import read_tables, split_in, table_files
from core.corpus.trec import DOCUMENTS, ENDINGS, QRELS, TOPICS, read_trec, role_of
from core.errors import CorpusError

#: Descriptions that lie beside data and are none.
ABOUT_FILES = {"about.json", "dataset_info.json", "dataset_infos.json", "state.json", "config.json", "metadata.json", "readme.txt"}
DEPTH = 2  # folders below the one that is named


@dataclass(frozen=True)
class Layout:
    """What the user says about the files: ``format`` '' = told by content; ``options``: columns and settings."""

    format: str = ""
    options: Mapping[str, str] = field(default_factory=dict)

    def pick(self, members: Mapping[str, Member], name: str, faults: Faults) -> dict[str, Member]:
        """The files to read, by path within the corpus's folder."""
        if self.format == "beir" or (not self.format and is_beir(members)):
            return pick_members(members, name, faults)
        found = {path: member for path, member in members.items() if _may_be_data(path)}
        roots = {PurePosixPath(path).parts[0] for path in found if "/" in path}
        if len(roots) == 1 and all("/" in path for path in found):
            found = {path.split("/", 1)[1]: member for path, member in found.items()}
        return dict(sorted(found.items()))

    def stamp(self) -> list:
        """What of this belongs to the key of a cache; nothing where nothing is said, as before there were layouts."""
        return [self.format, dict(self.options)] if self.format or self.options else []

    def read(self, members: Mapping[str, Member], name: str, limits: Limits, faults: Faults) -> Corpus:
        """The corpus in these files. Raises CorpusError with all faults when it cannot be used."""
        layout = self.format if self.format in ("beir", "trec") else self._told(members)
        if layout == "trec":
            return read_trec(members, name, limits, faults, self.options)
        if layout == "tables":
            return read_tables(members, name, limits, faults, self.options)
        if layout == "records":
            return self._read_records(members, name, limits, faults)
        return read_beir(members, name, limits, faults)

    def _told(self, members: Mapping[str, Member]) -> str:
        if not self.format and is_beir(members):
            return "beir"
        if table_files(members):
            return "tables"
        if not self.format:
            roles = {role_of(path, head_of(member)) for path, member in members.items()}
            if {DOCUMENTS, TOPICS, QRELS} <= roles:
                return "trec"
        return "records" if len(members) == 1 or any(_kind_in_name(path) for path in members) else "beir"

    def _read_records(self, members: Mapping[str, Member], name: str, limits: Limits, faults: Faults) -> Corpus:
        reader = RecordReader(limits, faults)
        forced = self.format if len(members) == 1 else ""
        for file, member in members.items():
            if len(members) > 1 and _kind_in_name(file) != (self.format or _kind_in_name(file) or None):
                continue
            data = plain_bytes(member, file, limits, faults)
            if data is None:
                continue
            kind = forced or kind_of(file, data)
            try:
                columns, rows = peek(data, file, kind, self.options)
                roles = Roles.from_options(self.options, guess_mapping(columns, rows))
                roles.check(columns, file)
            except CorpusError as error:
                for fault in error.faults:
                    faults.fatal(fault)
                continue
            reader.read(read_records(data, file, limits, faults, kind, self.options), roles, file, split_in(file, WHOLE))
        return reader.corpus(name)


def is_beir(paths: Iterable[str]) -> bool:
    """Whether a file of BEIR's layout is there, at the root or in one folder."""
    return any(PurePosixPath(path).name in MAIN_FILES and path.count("/") <= 1 for path in paths)


def head_of(member: Member) -> bytes:
    """The first bytes of a file, unpacked if they are gzip; empty where it cannot be read."""
    try:
        head = member.read(HEAD)
        return zlib.decompressobj(31).decompress(head, HEAD) if head[:2] == b"\x1f\x8b" else head
    except (OSError, ValueError, NotImplementedError, RuntimeError, EOFError, zlib.error):
        return b""


def _kind_in_name(path: str) -> str | None:
    name = path.lower().removesuffix(".gz")
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), None)


def _may_be_data(path: str) -> bool:
    parts = PurePosixPath(path).parts
    name = parts[-1].lower()
    if any(part.startswith(".") for part in parts) or len(parts) > DEPTH + 1 or name in ABOUT_FILES or name.endswith((".md", ".py")):
        return False
    return any(name.endswith(ending) for ending in ENDINGS if ending) or "." not in name
