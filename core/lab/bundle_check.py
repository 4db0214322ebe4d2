"""What may be in a bundle, and taking it out of a zip that nobody trusts."""

from __future__ import annotations

import hashlib
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from core.corpus.archive import check_sizes, is_link, open_zip
from core.corpus.faults import Faults
from core.corpus.limits import MIB, Limits, size_words
from core.errors import ParameterError, TrialError, UserError
from core.lab import files
from core.train.config import TrialConfig, read_config
from core.train.events import read_events
from core.train.written import SCORES

MANIFEST = "manifest.json"
KIND, VERSION = "negspace-bundle", 1
NO_BUNDLE = "is a zip, but no bundle of this product. 'negspace bundle' and the page Train make one."
MANIFEST_BYTES, JSON_BYTES = 8 * MIB, 64 * MIB
CHUNK = 1 << 20
#: Files of a trial that travel, as patterns of their whole path; everything else stays where it is.
TRIAL_FILES = (
    r"trial\.json|events\.jsonl|result\.json|failure\.json|verdicts\.jsonl|per_query\.parquet|run\.parquet|baselines\.npz|pairs\.parquet",
    r"(?:synthetic|written-source|positives-source)\.jsonl|synthetic-uses\.parquet",
    r"candidates/\d{1,9}-lane\d{1,4}\.parquet",
    r"snapshots/\d{1,12}-(?:queries|documents)\.npy",
    r"model/(?:[A-Za-z0-9_]+/){0,2}[A-Za-z0-9_]+\.(?:json|safetensors|md|txt)",
)
CORPUS_FILES = (
    r"corpus/(?:corpus|queries|imported)\.jsonl|corpus/about\.json|corpus/impressions\.tsv",
    r"corpus/qrels/[^/\\\x00-\x1f]{1,100}\.tsv",
)
_TRIAL = re.compile("|".join(TRIAL_FILES))
_ALLOWED = re.compile("|".join((*TRIAL_FILES, *CORPUS_FILES)))
#: Columns that the pages read of each table, and which of them are rows of the corpus.
COLUMNS = {
    "candidates": {"query_row", "doc_row", "rank", "score", "positive_row", "kept", "rule", "verdicts", "times_used", "weight"},
    "run.parquet": {"query_row", "rank", "doc_row", "score"},
    "per_query.parquet": {"query_row"},
    "pairs.parquet": {"query_row", "doc_row"},
    "synthetic-uses.parquet": {"query_row", "times_used", "weight_sum", *SCORES},
}
ROWS = {"query_row": 0, "doc_row": 1}


def kept_files(folder: Path) -> dict[str, Path]:
    """The files of a trial's folder that travel, by their path within it."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    return {name: path for name, path in found.items() if _TRIAL.fullmatch(name)}


def extract(stream: BinaryIO, name: str, folder: Path, limits: Limits, tell: Callable[[float], None]) -> dict[str, Any]:
    """The manifest, with every file that it lists now in ``folder``, each as long and with the digest that it says.

    Raises TrialError with one sentence for a zip that is none, is beyond the limits, leads out of its folder, holds links, doubled
    or unlisted files, or files that were changed. Nothing is taken from the zip before all that can be told beforehand was checked.
    """
    faults = Faults()
    archive = open_zip(stream, name, limits, faults)
    _raise_first(faults)
    assert archive is not None  # no archive is a fault
    with archive:
        infos = {info.filename: info for info in archive.infolist()}
        if len(infos) < len(archive.infolist()):
            raise TrialError(f"{name}: holds a file twice. Make the bundle again.")
        link = next((path for path, info in infos.items() if is_link(info)), None)
        if link is not None:
            raise TrialError(f"{name}: {link[:100]!r} is a link; a bundle holds none. Make it again.")
        manifest = _manifest(archive, infos, name)
        _check_kind(manifest, name)
        listed = manifest["files"]
        _check_lists(infos, listed, name)
        check_sizes(list(infos.values()), name, limits, faults)
        _raise_first(faults)
        total, n_done = sum(info.file_size for info in infos.values()), 0
        for path in sorted(listed):
            if infos[path].file_size > limits.file_bytes:
                raise TrialError(f"{name}: {path!r} has {size_words(infos[path].file_size)}, more than {size_words(limits.file_bytes)}.")
            _take(archive, infos[path], folder / path, listed[path], name)
            n_done += infos[path].file_size
            tell(n_done / max(total, 1))
    return manifest


def _raise_first(faults: Faults) -> None:
    try:
        faults.check()
    except UserError as error:
        raise TrialError(str(error).splitlines()[0]) from None


def _manifest(archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], name: str) -> dict[str, Any]:
    none = TrialError(f"{name}: {NO_BUNDLE}")
    if MANIFEST not in infos or infos[MANIFEST].file_size > MANIFEST_BYTES:
        raise none
    try:
        with archive.open(infos[MANIFEST]) as file:
            manifest = json.loads(file.read(MANIFEST_BYTES + 1))
    except (ValueError, RecursionError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError):
        raise none from None
    listed = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(about, dict) for about in listed.values()):
        raise none
    return manifest


def _check_kind(manifest: Mapping[str, Any], name: str) -> None:
    if manifest.get("kind") != KIND or not isinstance(manifest.get("trial"), dict) or not isinstance(manifest.get("corpus"), dict):
        raise TrialError(f"{name}: {NO_BUNDLE}")
    version = manifest.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise TrialError(f"{name}: is a bundle of format {version}, this version opens up to {VERSION}. Update Negative Space.")


def _check_lists(infos: Mapping[str, zipfile.ZipInfo], listed: Mapping[str, Any], name: str) -> None:
    there = set(infos) - {MANIFEST}
    for paths, what in ((there - set(listed), "is not in its manifest"), (set(listed) - there, "is missing")):
        if paths:
            raise TrialError(f"{name}: {min(paths)[:100]!r} {what}. Make the bundle again.")
    strange = [path for path in sorted(there) if not _ALLOWED.fullmatch(path)]
    if strange:
        raise TrialError(f"{name}: {strange[0][:100]!r} is no file of a trial. Make the bundle again.")
    if files.TRIAL not in there:
        raise TrialError(f"{name}: {files.TRIAL!r} is missing. Make the bundle again.")


def _take(archive: zipfile.ZipFile, info: zipfile.ZipInfo, target: Path, about: Mapping[str, Any], name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, n_bytes = hashlib.sha256(), 0
    try:
        with archive.open(info) as source, target.open("wb") as sink:
            while data := source.read(CHUNK):
                n_bytes += len(data)
                if n_bytes > info.file_size:
                    break
                digest.update(data)
                sink.write(data)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, NotImplementedError) as error:
        raise TrialError(f"{name}: {info.filename!r} is damaged ({error}). Make the bundle again.") from None
    if n_bytes != about.get("bytes") or digest.hexdigest() != about.get("sha256"):
        raise TrialError(f"{name}: {info.filename!r} is not as the manifest says; it was changed or cut off. Make the bundle again.")


def check_folder(folder: Path, name: str, limits: Limits) -> TrialConfig:
    """The configuration, when every file is what the pages will take it for; raises TrialError with one sentence."""
    for path in (*folder.glob("*.json"), *folder.glob("corpus/about.json")):
        if path.stat().st_size > JSON_BYTES or files.read_json(path) is None:
            raise TrialError(f"{name}: {path.name!r} is no JSON object. Make the bundle again.")
    try:
        config = read_config(folder)
        recipe = config.recipe_value
        named = [file for piece in (recipe.positives, recipe.written) if (file := getattr(piece, "file", ""))]
        if any(re.search(r"[/\\:]", file) or file in (".", "..") for file in named):
            raise ParameterError("it names a file of another machine by its folder")  # a retraining must not read what it likes
    except (UserError, TypeError, ValueError, KeyError, AttributeError) as error:
        reason = str(error) if isinstance(error, ParameterError) else "its configuration cannot be read"
        raise TrialError(f"{name}: this version cannot read its trial ({reason.rstrip('.')}). Update Negative Space.") from None
    _check_events(folder, name)
    shape = _check_snapshots(folder, name)
    for path in sorted((*folder.glob("candidates/*.parquet"), *folder.glob("*.parquet"))):
        _check_table(path, name, shape, limits)
    return config


def _check_events(folder: Path, name: str) -> None:
    events, _ = read_events(folder / files.EVENTS)
    for event in events:
        lanes = event.get("lanes", [])
        is_whole = isinstance(event.get("t", 0), (int, float)) and isinstance(lanes, list)
        if event.get("kind") == "refresh":
            is_whole &= isinstance(event.get("step"), int) and all(
                isinstance(lane, dict) and isinstance(lane.get("table"), int) and isinstance(lane.get("lane"), int) and "source" in lane
                for lane in (lanes if isinstance(lanes, list) else [None])
            )
        if not is_whole:
            raise TrialError(f"{name}: 'events.jsonl' holds an event that no trial writes. Make the bundle again.")


def _check_snapshots(folder: Path, name: str) -> tuple[int, int] | None:
    """(queries, documents) of the corpus by the snapshots, which must agree; None without one."""
    import numpy as np

    shapes: dict[str, set[tuple[int, ...]]] = {"queries": set(), "documents": set()}
    for path in folder.glob("snapshots/*.npy"):
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
            is_whole = array.ndim == 2 and array.dtype.kind == "f"
        except (ValueError, OSError, EOFError):
            is_whole = False
        if not is_whole:
            raise TrialError(f"{name}: 'snapshots/{path.name}' holds no vectors. Make the bundle again.")
        shapes["queries" if "queries" in path.name else "documents"].add(array.shape)
    if not any(shapes.values()):
        return None
    if any(len(found) != 1 for found in shapes.values()) or len({shape[1] for found in shapes.values() for shape in found}) != 1:
        raise TrialError(f"{name}: its snapshots are of different sizes. Make the bundle again.")
    return next(iter(shapes["queries"]))[0], next(iter(shapes["documents"]))[0]


def _check_table(path: Path, name: str, shape: tuple[int, int] | None, limits: Limits) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    shown = f"{name}: {path.name!r}"
    wanted = COLUMNS.get("candidates" if path.parent.name == "candidates" else path.name, set())
    try:
        file = parquet.ParquetFile(path)
        weight = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if weight > limits.file_bytes:
            raise TrialError(f"{shown} unpacks to {size_words(weight)}, more than {size_words(limits.file_bytes)}.")
        if not wanted <= set(file.schema_arrow.names):
            raise TrialError(f"{shown} lacks a column. Make the bundle again.")
        for column, side in ROWS.items():
            if column not in file.schema_arrow.names:
                continue
            values = file.read(columns=[column])[column]
            rows = values.to_numpy()
            if values.null_count or rows.dtype.kind not in "iu" or (len(rows) and rows.min() < 0):
                raise TrialError(f"{shown} names a row that no corpus has. Make the bundle again.")
            if shape is not None and len(rows) and rows.max() >= shape[side]:
                raise TrialError(f"{shown} names a row beyond its corpus. Make the bundle again.")
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise TrialError(f"{shown} is no table that can be read ({str(error).splitlines()[0][:120]}). Make the bundle again.") from None
