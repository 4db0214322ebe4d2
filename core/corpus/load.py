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
from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.formats import Layout, is_beir
from core.corpus.limits import Limits
from core.corpus.sources import MAIN_FILES, all_members, folder_members, path_member, read_stream, upload_members
from core.corpus.spec import Spec, parse_spec
from core.errors import CorpusError
from core.params import digest

READER = 3  # raise it when the reader's results change: old caches are then left alone
SAMPLE = "sample:"
DEFAULTS = Limits()


def load_corpus(spec: str | Path, *, format: str | None = None, cache: Path | None = None, limits: Limits = DEFAULTS) -> Corpus:
    """The corpus at an address: ``[FORMAT:]PATH[?key=value&...]``, a sample, a data set, or one with planted truth.

    ``PATH`` is a folder, zip or file (also .gz): BEIR's layout, TREC's, tables of documents, queries and judgements, or
    a table of pairs, triplets or mined negatives as CSV, TSV, JSON lines, JSON or Parquet. Without ``FORMAT`` (beir, trec,
    csv, tsv, jsonl, json, parquet; also the argument ``format``) the content decides. The options name a table's columns
    (query, query_id, positive, positive_id, title, negative, grade, label, split, scores, negative_scores; 'none' = has none)
    and say header=no, encoding=..., delimiter=...; columns that are not named are guessed. Others: ``"sample:NAME"``,
    ``"irds:ID"``, ``"hf:NAME?config=..."`` and ``"planted:SHARE:SEED:ADDRESS"``.

    ``cache``: folder for Arrow copies, found again by path, sizes and times of the files; what comes out
    of it is memory-mapped. What was mended is in ``Corpus.notes``. Raises CorpusError with all faults
    collected when there are no documents, no query with a positive, or a file is missing or unreadable.
    """
    if str(spec).startswith(planted.PREFIX):
        share, seed, inner = planted.read_spec(str(spec))
        return planted.hide_positives(load_corpus(inner, format=format, cache=cache, limits=limits), share, seed)
    if str(spec) == SAMPLE + python_docs.NAME:
        return _cached(cache, [python_docs.NAME, *python_docs.stamp()], limits, python_docs.harvest)
    address = parse_spec(spec, format)
    if address.format in ("irds", "hf"):
        return _load_dataset(address, cache, limits)
    layout = Layout(address.format, address.options)
    if address.format == "sample":
        path, layout = sample.sample_folder(address.place), Layout()
    else:
        path = address.path
    if path.is_dir():
        if store.is_saved(path):
            return Corpus.open(path)
        return _load_folder(path, layout, cache, limits)
    if path.is_file():
        if path.name in MAIN_FILES and not layout.format:
            raise CorpusError(f"{path}: is one file of a corpus, neither a folder nor a zip. Name the folder it lies in.")
        return _load_file(path, layout, cache, limits)
    raise CorpusError(f"{path}: there is no such folder or zip. Check the path; samples are written sample:NAME.")


def load_uploads(
    files: Mapping[str, bytes | BinaryIO],
    name: str,
    *,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    cache: Path | None = None,
    limits: Limits = DEFAULTS,
) -> Corpus:
    """The corpus in uploaded files, by name, in any layout of :func:`load_corpus`, or one zip of them.

    BEIR's tables may be named ``train.tsv`` or ``qrels/train.tsv``. ``format``, ``options``: as in an address.
    ``cache``: as for :func:`load_corpus`, but found again by content. Raises CorpusError as :func:`load_corpus`.
    """
    faults = Faults()
    layout = Layout(format or "", dict(options or {}))
    if len(files) == 1 and next(iter(files)).lower().endswith(".zip"):
        file, content = next(iter(files.items()))
        data = content if isinstance(content, bytes) else read_stream(content, limits.archive_bytes)
        members = zip_members(io.BytesIO(data), file, limits, faults, layout.pick)
        contents = {file: data}
    else:
        members = upload_members(files, limits, faults, layout.pick)
        contents = {path: member.read(limits.file_bytes) for path, member in members.items()}
    faults.check()
    stamp: list = []
    if cache is not None:
        stamp = ["upload", name, {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}]
        stamp += layout.stamp()
    return _cached(cache, stamp, limits, lambda: layout.read(members, name, limits, faults))


def absolute_spec(spec: str) -> str:
    """The same spec, understood from any folder: what a trial keeps so that another process finds the corpus."""
    if spec.startswith(planted.PREFIX):
        share, seed, inner = planted.read_spec(spec)
        return planted.planted_spec(absolute_spec(inner), share, seed)
    return str(parse_spec(spec).absolute())


def sample_names() -> dict[str, str]:
    """Name -> one-sentence description of each sample corpus: those that come along, then the one that is harvested."""
    return {name: about["description"] for name, about in sample.sample_abouts().items()} | {
        python_docs.NAME: python_docs.DESCRIPTION
    }


def _load_folder(path: Path, layout: Layout, cache: Path | None, limits: Limits) -> Corpus:
    faults = Faults()
    members = folder_members(path, faults) if layout.format in ("", "beir") else {}
    if not is_beir(members) and layout.format != "beir":
        # The layout may still be BEIR's, broken: then its reader says what is missing.
        members = layout.pick(all_members(path, limits, faults), path.name, faults) or members
    faults.check()
    stamp = [str(path), {file: member.stamp for file, member in members.items()}, *layout.stamp()]
    return _cached(cache, stamp, limits, lambda: layout.read(members, path.name, limits, faults))


def _load_file(path: Path, layout: Layout, cache: Path | None, limits: Limits) -> Corpus:
    def read() -> Corpus:
        faults = Faults()
        if not is_zip:
            return layout.read({path.name: path_member(path)}, path.name.split(".")[0] or path.name, limits, faults)
        with path.open("rb") as archive:
            members = zip_members(archive, path.name, limits, faults, layout.pick)
            faults.check()
            return layout.read(members, path.stem, limits, faults)

    is_zip = path.suffix.lower() == ".zip" or zipfile.is_zipfile(path)
    try:
        stat = path.stat()
        stamp = [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, *layout.stamp()]
        return _cached(cache, stamp, limits, read)
    except PermissionError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}). Check its permissions.") from None


def _load_dataset(address: Spec, cache: Path | None, limits: Limits) -> Corpus:
    """A data set of another library; what was read once is not fetched again."""
    from core.corpus.hub import hub_stamp, read_hub
    from core.corpus.irds import read_irds

    if address.format == "irds":
        return _cached(cache, [str(address)], limits, lambda: read_irds(address.place, limits))
    stamp = [str(address), *hub_stamp(address.place)]
    return _cached(cache, stamp, limits, lambda: read_hub(address.place, address.options, limits))


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
