"""What `negspace export`, `bundle` and `open` do, for the command line and whoever else has a trial's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.corpus.load import load_corpus
from core.errors import ParameterError, TrialError
from core.lab.bundle import open_bundle, write_bundle
from core.lab.corpora import list_corpora
from core.lab.export import Export, export_trial, format_of, refusal
from core.lab.mined_set import Choice
from core.lab.store import Store
from core.lab.workspace import Workspace
from core.sampling.decisions import Decided, read_decided
from core.train.results import TrialResults

Say = Callable[[str], None]


def export_file(
    workspace: Workspace,
    folder: Path,
    format_name: str,
    out: Path,
    choice: Choice,
    *,
    verdicts: Path | None = None,
    from_judges: bool = False,
    say: Say = lambda line: None,
) -> dict[str, Any]:
    """Write the trial in one format and return its counts; raises a user error for what cannot be written."""
    format = format_of(format_name)
    results = TrialResults(folder)
    config = results.config
    corpus = load_corpus(config.corpus, cache=workspace.corpora)
    if config.corpus_fingerprint not in ("", corpus.fingerprint):
        raise TrialError(f"{config.corpus} has changed since this trial was made, so its rows are other documents now.")
    decided = decided_by_people(workspace, corpus.fingerprint) if from_judges else None
    decided = read_decided(verdicts) if verdicts is not None else decided
    export = Export(results, corpus, choice, decided=decided)
    reason = refusal(export, format)
    if reason:
        raise TrialError(reason)
    counts = export_trial(export, format, out)
    for note in counts["notes"]:
        say(f"note: {note}")
    told = ", ".join(f"{value:,} {name}" for name, value in counts.items() if isinstance(value, int))
    say(f"{told} -> {out}")
    return counts


def decided_by_people(workspace: Workspace, fingerprint: str) -> Decided:
    """The verdicts of the workspace's judges on this corpus: (query_id, doc_id) -> kind."""
    from core.lab.verdicts import Verdicts

    store = Store(workspace)
    try:
        return Verdicts(store).decided(fingerprint)
    finally:
        store.close()


def bundle_file(workspace: Workspace, folder: Path, out: Path, *, with_corpus: bool, say: Say = lambda line: None) -> dict[str, Any]:
    """Write the trial's bundle; raises a user error where that cannot be."""
    if out.suffix.lower() != ".zip":
        raise ParameterError(f"--out must end in .zip; got {out.name!r}.")
    if not out.parent.is_dir():
        raise ParameterError(f"--out: the folder {out.parent} does not exist. Make it first.")
    manifest = write_bundle(folder, out, with_corpus=with_corpus, cache=workspace.corpora)
    n_bytes = out.stat().st_size
    carried = "its corpus" if with_corpus else "no corpus"
    say(f"{len(manifest['files']):,} files, {carried}, {n_bytes / 2**20:.1f} MiB -> {out}")
    return {"out": str(out), "bytes": n_bytes, "files": len(manifest["files"]), "corpus": manifest["corpus"]}


def open_file(workspace: Workspace, path: Path, *, say: Say = lambda line: None) -> dict[str, Any]:
    """Open a bundle in the workspace; raises a user error for what is none."""
    store = Store(workspace)
    try:
        row = open_bundle(store, path)
        is_known = row.corpus_fingerprint in {known.fingerprint for known in list_corpora(store)}
    finally:
        store.close()
    if not is_known and not row.corpus.startswith(("sample:", "irds:", "hf:")):
        say(f"note: its corpus {row.corpus_name or row.corpus} did not come along. Load it on the Corpus page.")
    say(f"trial {row.folder}\n{row.name}: {row.state}, on {row.corpus_name or row.corpus}")
    return {"trial": str(row.folder), "id": row.id, "name": row.name, "state": row.state, "corpus": row.corpus}
