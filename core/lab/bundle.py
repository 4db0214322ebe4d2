"""A trial as one zip that another installation opens, and trials brought in from folders and such zips."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import time
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from core.corpus.corpus import Corpus
from core.corpus.limits import Limits
from core.corpus.load import load_corpus
from core.corpus.planted import PREFIX, planted_spec, read_spec
from core.corpus.spec import parse_spec
from core.corpus.write import write_beir
from core.errors import CorpusError, TrialError
from core.lab import adoption, files
from core.lab.bundle_check import KIND, MANIFEST, VERSION, check_folder, extract, kept_files
from core.lab.corpora import add_corpus, list_corpora
from core.lab.executor import live_worker
from core.lab.packing import pack
from core.lab.store import Store
from core.lab.tables import TrialRow
from core.train.config import TrialConfig, library_versions

CORPUS, ABOUT = "corpus", "corpus/about.json"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,119}")
Tell = Callable[[float], None]
DEFAULTS = Limits()


def write_bundle(
    trial: TrialRow | Path,
    out: Path,
    *,
    with_corpus: bool = False,
    corpus: Corpus | None = None,
    cache: Path | None = None,
    tell: Tell = lambda share: None,
) -> dict[str, Any]:
    """Write the trial's folder as a zip and return its manifest; equal trials give equal bytes.

    What is in it: trial.json, events, candidates, snapshots, results, model and verdicts, with a manifest of sizes and SHA-256;
    ``with_corpus``: also the corpus, so that the bundle opens where nobody has it (``corpus``: where the caller has it loaded).
    Left behind: the checkpoint, the worker's log, who started it, and where the corpus lay. Raises TrialError while it runs.
    """
    folder, out = (trial.folder if isinstance(trial, TrialRow) else Path(trial)), Path(out)
    about = files.read_json(folder / files.TRIAL)
    if about is None:
        raise TrialError(f"{folder}: there is no {files.TRIAL} here. Give the folder of one trial.")
    if live_worker(folder) is not None:
        raise TrialError(f"{folder.name} is training. Wait until it has finished, or stop it, then bundle it.")
    config = TrialConfig.from_dict(about.get("config") or {})
    with TemporaryDirectory(dir=out.parent, prefix=".bundle-") as place:
        carried: dict[str, Path | bytes] = {}
        if with_corpus:
            corpus = corpus or load_corpus(config.corpus, cache=cache)
            _check_fingerprint(corpus, config)
            beir = write_beir(corpus, Path(place) / CORPUS)
            carried = {f"{CORPUS}/{path.relative_to(beir).as_posix()}": path for path in beir.rglob("*") if path.is_file()}
            carried[ABOUT] = _json({"name": corpus.name, "notes": list(corpus.notes), "facts": corpus.facts})
        spec = portable_spec(config.corpus)
        own = {**about["config"], "corpus": spec, "recipe": without_places(about["config"]["recipe"])}
        changed = {**about, "id": folder.name, "owner": "", "config": own}
        members: dict[str, Path | bytes] = {**kept_files(folder), files.TRIAL: _json(changed), **carried}
        failure = files.read_json(folder / files.FAILURE)
        if failure is not None:  # the traceback names folders of this machine
            members[files.FAILURE] = _json({name: value for name, value in failure.items() if name != "traceback"})
        manifest = {
            "kind": KIND,
            "version": VERSION,
            "trial": {"id": folder.name, "name": str(about.get("name") or "")},
            "corpus": {"fingerprint": config.corpus_fingerprint, "name": config.corpus_name, "is_carried": with_corpus},
            "libraries": library_versions(),
        }
        return _pack(out, members, manifest, tell)


def without_places(recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe's dictionary with the bare names of the files that its pieces read: their folders are of this machine."""
    return {
        slot: {**piece, "file": Path(piece["file"]).name} if isinstance(piece, dict) and piece.get("file") else piece
        for slot, piece in recipe.items()
    }


def _pack(out: Path, members: Mapping[str, Path | bytes], manifest: dict[str, Any], tell: Tell) -> dict[str, Any]:
    total = sum(len(m) if isinstance(m, bytes) else m.stat().st_size for m in members.values())
    digests = {name: hashlib.sha256() for name in members}
    sizes = dict.fromkeys(members, 0)
    n_done = 0

    def seen(name: str, data: bytes) -> None:
        nonlocal n_done
        if name in digests:
            digests[name].update(data)
            sizes[name] += len(data)
            n_done += len(data)
            tell(min(1.0, n_done / max(total, 1)))

    def last() -> dict[str, bytes]:
        manifest["files"] = {name: {"bytes": sizes[name], "sha256": digests[name].hexdigest()} for name in sorted(members)}
        return {MANIFEST: _json(manifest)}

    part = out.with_name(f".{out.name}.part")
    try:
        pack(part, members, on_chunk=seen, last=last)
        part.replace(out)
    except OSError as error:
        raise TrialError(f"{out}: cannot be written ({error.strerror or error}). Check the space and the rights.") from error
    finally:
        part.unlink(missing_ok=True)
    return manifest


def open_bundle(
    store: Store, source: Path | BinaryIO, *, name: str = "", owner: str = "", limits: Limits = DEFAULTS, tell: Tell = lambda share: None
) -> TrialRow:
    """The trial of a bundle, known in this workspace from now on; it keeps its id where that is free.

    ``source``: a file's path or the file itself, then ``name`` is for messages. Its corpus is the one that this workspace has
    under the same fingerprint, else the carried one, which is kept under ``uploads/``. Raises TrialError or CorpusError with one
    sentence for what is no bundle, was changed, or is beyond the limits; then nothing of it stays.
    """
    name = name or (source.name if isinstance(source, Path) else "the bundle")
    part = store.workspace.trials / f".in-{uuid.uuid4().hex}"
    try:
        with source.open("rb") if isinstance(source, Path) else _borrowed(source) as stream:
            manifest = extract(stream, name, part, limits, tell)
        config = check_folder(part, name, limits)
        spec = _settle_corpus(store, part, manifest, config, name, owner, limits)
        return _place(store, part, spec, owner, str(manifest["trial"].get("id", "")))
    except FileNotFoundError:
        raise TrialError(f"{source}: there is no such file. Give a bundle, or the folder of one trial.") from None
    except OSError as error:
        raise TrialError(f"{name}: cannot be opened ({error.strerror or error}). Check the space and the rights.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def bring_in(store: Store, path: Path) -> TrialRow:
    """A copy of the trial in a folder, or of a bundle, known in this workspace; raises TrialError when there is none.

    It keeps its id where that is free. What only says which process trained it there stays behind.
    """
    if path.is_file() and zipfile.is_zipfile(path):
        return open_bundle(store, path)
    if not (path / files.TRIAL).is_file():
        raise TrialError(f"{path}: there is no {files.TRIAL} here. Give the folder of one trial, not the one above it, or a bundle.")
    trials = store.workspace.trials
    if path.resolve().parent == trials:
        return store.get(path.resolve().name)
    # Under a name with a dot until it is whole: the scheduler takes in every other folder that it sees.
    part = trials / f".in-{uuid.uuid4().hex}"
    try:
        shutil.copytree(path, part, ignore=shutil.ignore_patterns(files.WORKER, files.STOP, ".*"))
        return _move_in(store, part, path.name)
    except OSError as error:
        raise TrialError(f"{path}: cannot be copied ({error.strerror or error}). Check the space and the rights.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def portable_spec(spec: str) -> str:
    """The corpus's address without the folders of one machine: samples and data sets as they are, of a path its last part."""
    if spec.startswith(PREFIX):
        share, seed, inner = read_spec(spec)
        return planted_spec(portable_spec(inner), share, seed)
    address = parse_spec(spec)
    if address.format in ("sample", "irds") or (address.format == "hf" and not Path(address.place).is_absolute()):
        return str(address)
    return PurePosixPath(address.place.replace("\\", "/")).name or "corpus"


def _settle_corpus(store: Store, part: Path, manifest, config: TrialConfig, name: str, owner: str, limits: Limits) -> str:
    """What the trial's configuration calls its corpus here; the carried one is checked, kept and made known."""
    carried = part / CORPUS
    known = {row.fingerprint: row.spec for row in list_corpora(store)}
    wanted = config.corpus_fingerprint
    if wanted in known or not carried.is_dir():
        shutil.rmtree(carried, ignore_errors=True)
        return known.get(wanted) or portable_spec(config.corpus)
    about = files.read_json(part / ABOUT) or {}
    (part / ABOUT).unlink(missing_ok=True)
    found = load_corpus(carried, format="beir", limits=limits)
    if wanted and found.fingerprint != wanted:
        raise CorpusError(f"{name}: its corpus has the fingerprint {found.fingerprint}, the trial was made on {wanted}. It was changed.")
    notes = [str(note) for note in about.get("notes") or ()] if isinstance(about.get("notes"), list) else []
    facts = about.get("facts") if isinstance(about.get("facts"), dict) else {}
    title = str(about.get("name") or config.corpus_name or "corpus")[:200]
    corpus = Corpus(
        title, found.documents, found.queries, found.splits, found.truth, notes, found.fingerprint, facts, found.imported,
        found.impressions,
    )  # fmt: skip
    folder = store.workspace.uploads / f"bundle-{corpus.fingerprint}"
    corpus.save(folder)
    counts = {"n_documents": corpus.n_documents, "n_queries": corpus.n_queries}
    add_corpus(store, spec=str(folder), name=corpus.name, fingerprint=corpus.fingerprint, owner=owner, **counts)
    shutil.rmtree(carried)
    return str(folder)


def _place(store: Store, part: Path, spec: str, owner: str, wanted_id: str) -> TrialRow:
    about = files.read_json(part / files.TRIAL) or {}
    about = {**about, "owner": owner, "config": {**about["config"], "corpus": spec}}
    files.write_json(part / files.TRIAL, about)
    (part / MANIFEST).unlink(missing_ok=True)
    return _move_in(store, part, wanted_id)


def _move_in(store: Store, part: Path, wanted_id: str) -> TrialRow:
    """The folder as a trial of this workspace, under its id where that is free and plain."""
    workspace = store.workspace
    is_free = bool(_ID.fullmatch(wanted_id)) and not any((place / wanted_id).exists() for place in (workspace.trials, workspace.trash))
    trial_id = wanted_id if is_free else adoption.new_id(workspace, time.time())
    about = files.read_json(part / files.TRIAL) or {}
    if about.get("id") not in (None, trial_id):
        files.write_json(part / files.TRIAL, {**about, "id": trial_id})
    part.rename(workspace.trials / trial_id)
    store.adopt()
    return store.get(trial_id)


def _check_fingerprint(corpus: Corpus, config: TrialConfig) -> None:
    if config.corpus_fingerprint and corpus.fingerprint != config.corpus_fingerprint:
        raise TrialError(f"The corpus at {config.corpus} has changed since the trial was made. Bundle it without the corpus.")


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


class _borrowed:
    """A stream that belongs to somebody else: used here, closed there."""

    def __init__(self, stream: BinaryIO):
        self.stream = stream

    def __enter__(self) -> BinaryIO:
        self.stream.seek(0)
        return self.stream

    def __exit__(self, *_: object) -> None:
        return
