"""Loading a corpus: from a folder, a zip, uploaded files or the samples, with a cache of Arrow files."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from core.corpus import planted, python_docs, sample, store
from core.corpus.archive import zip_members
from core.corpus.beir import read_beir
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.limits import Limits
from core.corpus.sources import LAYOUT, folder_members, read_stream, upload_members
from core.errors import CorpusError
from core.params import digest

READER = 2  # raise it when the reader's results change: old caches are then left alone
SAMPLE = "sample:"
DEFAULTS = Limits()


def load_corpus(spec: str | Path, *, cache: Path | None = None, limits: Limits = DEFAULTS) -> Corpus:
    """The corpus in a folder (BEIR layout or saved), in a zip, ``"sample:NAME"`` or ``"planted:SHARE:SEED:SPEC"``.

    ``cache``: folder for Arrow copies, found again by path, sizes and times of the files; what comes out
    of it is memory-mapped. What was mended is in ``Corpus.notes``. Raises CorpusError with all faults
    collected when there are no documents, no query with a positive, or a file is missing or unreadable.
    """
    if str(spec).startswith(planted.PREFIX):
        share, seed, inner = planted.read_spec(str(spec))
        return planted.hide_positives(load_corpus(inner, cache=cache, limits=limits), share, seed)
    if str(spec) == SAMPLE + python_docs.NAME:
        return _cached(cache, [python_docs.NAME, *python_docs.stamp()], limits, python_docs.harvest)
    if str(spec).startswith(SAMPLE):
        path = sample.sample_folder(str(spec).removeprefix(SAMPLE))
    else:
        path = Path(spec).expanduser().resolve()
    if path.is_dir():
        if store.is_saved(path):
            return Corpus.open(path)
        return _load_folder(path, cache, limits)
    if path.is_file() and (path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)):
        return _load_zip(path, cache, limits)
    if path.exists():
        raise CorpusError(f"{path}: is neither a folder nor a zip. {LAYOUT}")
    raise CorpusError(f"{path}: there is no such folder or zip. Check the path; samples are written sample:NAME.")


def load_uploads(
    files: Mapping[str, bytes | BinaryIO], name: str, *, cache: Path | None = None, limits: Limits = DEFAULTS
) -> Corpus:
    """The corpus in uploaded files, by name: corpus.jsonl, queries.jsonl and tables, or one zip of them.

    The tables may be named ``train.tsv`` or ``qrels/train.tsv``. ``cache``: as for :func:`load_corpus`,
    but found again by content. Raises CorpusError as :func:`load_corpus`.
    """
    faults = Faults()
    if len(files) == 1 and next(iter(files)).lower().endswith(".zip"):
        file, content = next(iter(files.items()))
        data = content if isinstance(content, bytes) else read_stream(content, limits.archive_bytes)
        members = zip_members(io.BytesIO(data), file, limits, faults)
        contents = {file: data}
    else:
        members = upload_members(files, limits, faults)
        contents = {path: member.read(limits.file_bytes) for path, member in members.items()}
    faults.check()
    stamp: list = []
    if cache is not None:
        stamp = ["upload", name, {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}]
    return _cached(cache, stamp, limits, lambda: read_beir(members, name, limits, faults))


def absolute_spec(spec: str) -> str:
    """The same spec, understood from any folder: what a trial keeps so that another process finds the corpus."""
    if spec.startswith(planted.PREFIX):
        share, seed, inner = planted.read_spec(spec)
        return planted.planted_spec(absolute_spec(inner), share, seed)
    return spec if spec.startswith(SAMPLE) else str(Path(spec).expanduser().resolve())


def sample_names() -> dict[str, str]:
    """Name -> one-sentence description of each sample corpus: those that come along, then the one that is harvested."""
    return {name: about["description"] for name, about in sample.sample_abouts().items()} | {
        python_docs.NAME: python_docs.DESCRIPTION
    }


def _load_folder(path: Path, cache: Path | None, limits: Limits) -> Corpus:
    faults = Faults()
    members = folder_members(path, faults)
    faults.check()
    stamp = [str(path), {file: member.stamp for file, member in members.items()}]
    return _cached(cache, stamp, limits, lambda: read_beir(members, path.name, limits, faults))


def _load_zip(path: Path, cache: Path | None, limits: Limits) -> Corpus:
    def read() -> Corpus:
        faults = Faults()
        with path.open("rb") as archive:
            members = zip_members(archive, path.name, limits, faults)
            faults.check()
            return read_beir(members, path.stem, limits, faults)

    try:
        stat = path.stat()
        stamp = [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
        return _cached(cache, stamp, limits, read)
    except PermissionError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from None


def _cached(cache: Path | None, stamp: list, limits: Limits, read: Callable[[], Corpus]) -> Corpus:
    if cache is None:
        return read()
    folder = Path(cache) / digest([READER, store.FORMAT, repr(limits), stamp])
    if store.is_saved(folder):
        try:
            return Corpus.open(folder)
        except CorpusError:  # damaged on disk: written anew from the source
            store.discard(folder)
    store.save_once(read(), folder)
    return Corpus.open(folder)
