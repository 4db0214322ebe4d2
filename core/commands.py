"""What each ``negspace`` command does: call the core, print text, return the JSON answer."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from core.errors import ParameterError, TrialError, UserError
from core.lab.asked import corpus_of, encoder_of, recipe_of, trial_folder

Answer = dict[str, Any] | None


def recipes(options: Namespace) -> Answer:
    """List every preset, or print the README's table."""
    from core.lab.catalogue import as_data, as_markdown, as_text, write_into

    if options.write and not options.markdown:
        raise ParameterError("--write goes with --markdown.")
    if options.markdown:
        if options.write:
            write_into(Path(options.write), as_markdown())
        else:
            print(as_markdown())
    else:
        print(as_text())
    return as_data() if options.json else None


def train(options: Namespace) -> Answer:
    """Train one trial in this process's own worker; Ctrl-C leaves a checkpoint."""
    from core.lab.retrain import read_verdicts, with_verdicts
    from core.lab.together import with_processes
    from core.lab.workspace import Workspace
    from core.train.config import TrialConfig

    workspace = Workspace(options.workspace) if options.workspace else Workspace()
    recipe, name = recipe_of(options)
    recipe, group = with_processes(recipe, _note)
    encoder = encoder_of(options)
    spec, corpus = corpus_of(options)
    for note in corpus.notes:
        print(f"note: {note}")
    given = {"epochs": options.epochs, "batch_size": options.batch_size}
    given["learning_rate"] = options.learning_rate if options.learning_rate is not None else encoder.learning_rate
    config = TrialConfig(
        corpus=spec,
        corpus_name=corpus.name,
        corpus_fingerprint=corpus.fingerprint,
        recipe=recipe.to_dict(),
        recipe_name=name,
        encoder=encoder.to_dict(),
        name=options.name or f"{options.recipe}, seed {options.seed}",
        seed=options.seed,
        **{key: value for key, value in given.items() if value is not None},
    )
    files: dict[str, bytes] = {}
    if options.verdicts:
        decided = read_verdicts(Path(options.verdicts), _note)
        config, files = with_verdicts(config, decided, use=options.verdict_use, weight=options.verdict_weight)
    elif options.verdict_use or options.verdict_weight is not None:
        raise ParameterError("--verdict-use and --verdict-weight go with --verdicts.")
    return _train(workspace, config, files, group)


def retrain(options: Namespace) -> Answer:
    """Train like a trial again, with verdicts; then say what they changed."""
    from core.audit.retrained import answer, changes
    from core.corpus.load import load_corpus
    from core.lab.retrain import config_from_options, sentences
    from core.lab.workspace import Workspace
    from core.train.config import read_config
    from core.train.results import TrialResults

    workspace = Workspace(options.workspace or None)
    folder = trial_folder(workspace, options.trial)
    corpus = load_corpus(read_config(folder).corpus, cache=workspace.corpora)
    config, files = config_from_options(workspace, folder, options, corpus, _note)
    if options.from_truth:
        print("Audit only: these verdicts are the corpus's truth on the trial's candidates, which no real training has.")
    told = (_train(workspace, config, files) or {}) | {"parent": str(folder)}
    if TrialResults(folder).result is None:
        print(f"{folder.name} has not finished, so there is nothing to compare with yet.")
        return told
    found = changes(TrialResults(folder), TrialResults(told["trial"]))
    print("\n".join(sentences(found)))
    return told | {"changes": answer(found)}


def _train(workspace, config, files: dict[str, bytes], group=None) -> dict[str, Any]:
    from core.lab.by_hand import new_trial, train_here
    from core.lab.printed import as_table
    from core.train.results import TrialResults

    folder = new_trial(workspace, config, files)
    print(f"trial {folder}\nrecipe: {config.recipe_value.summary()}", flush=True)
    train_here(folder, print_line=_say, group=group)
    result = TrialResults(folder).result
    if result is None:
        raise TrialError(f"{folder} did not finish. Its events.jsonl says why.")
    lines = {"untrained": "untrained", "BM25": "bm25", "trained": "metrics"}
    print(as_table(["", *result["metrics"]], [[name, *result[key].values()] for name, key in lines.items()]))
    print("seconds: " + ", ".join(f"{name} {value:.1f}" for name, value in result["seconds"].items()))
    keys = ("metrics", "untrained", "bm25", "seconds", "truth_metrics")
    return {"trial": str(folder), **{key: result[key] for key in keys if key in result}}


def mine(options: Namespace) -> Answer:
    """Mine every lane for every training query and write the candidates, kept and refused."""
    from core.lab.mined_file import mine_to_file

    recipe, _ = recipe_of(options)
    out = Path(options.out)
    if out.suffix != ".parquet":
        raise ParameterError(f"--out must end in .parquet; got {options.out!r}.")
    if not out.parent.is_dir():
        raise ParameterError(f"--out: the folder {out.parent} does not exist. Make it first.")
    trial = Path(options.trial) if options.trial else None
    summary = mine_to_file(corpus_of(options)[1], recipe, out, trial=trial, encoder=encoder_of(options).to_dict(), seed=options.seed)
    for lane in summary["lanes"]:
        print(f"{lane['source']}: " + ", ".join(f"{n} {what}" for what, n in lane["funnel"]))
    print(f"{summary['rows']} candidates of {summary['queries']} queries in {summary['seconds']:.1f} s -> {out}")
    return summary


def write(options: Namespace) -> Answer:
    """Have a model write training texts, after an estimate and a yes; or make negatives by rule."""
    from core.lab.llm_writer import write_command
    return write_command(corpus_of(options)[1], options, say=lambda line: print(line, flush=True))


def doctor(options: Namespace) -> Answer:
    """Examine a corpus and tell every finding, the severest first."""
    from core.audit.doctor import examine, report

    _, corpus = corpus_of(options)
    print(f"{corpus.name}: {corpus.n_documents:,} documents, {corpus.n_queries:,} queries, {corpus.positives.n_pairs:,} positive pairs")
    findings = examine(corpus)
    for finding in findings:
        print(f"\n{finding.severity.upper()}: {finding.title}\n  {finding.sentence}", flush=True)
    return report(corpus, findings)


def import_(options: Namespace) -> Answer:
    """Write a corpus of any readable format in BEIR's layout, its imported negatives beside it."""
    from core.corpus.write import write_beir

    _, corpus = corpus_of(options)
    folder = write_beir(corpus, Path(options.out))
    for note in corpus.notes:
        print(f"note: {note}")
    n_negatives = len(corpus.imported) if corpus.imported is not None else 0
    told = f", {n_negatives:,} imported negatives ({corpus.imported.source})" if corpus.imported is not None else ""
    print(f"{corpus.n_documents:,} documents, {corpus.n_queries:,} queries, {corpus.positives.n_pairs:,} positives{told} -> {folder}")
    counts = {"documents": corpus.n_documents, "queries": corpus.n_queries, "positives": corpus.positives.n_pairs}
    return {"out": str(folder), "fingerprint": corpus.fingerprint, **counts, "imported_negatives": n_negatives}


def compare(options: Namespace) -> Answer:
    """Compare finished trials on their held-out queries."""
    from core.audit.compare import compare_trials
    from core.lab.printed import print_comparison
    from core.lab.workspace import Workspace
    from core.train.results import TrialResults

    workspace = Workspace(options.workspace) if options.workspace else Workspace()
    trials = [TrialResults(trial_folder(workspace, trial)) for trial in options.trials]
    answer = print_comparison(compare_trials(trials)) | {"trials": [str(trial.folder) for trial in trials]}
    if options.truth:
        print("\nJudged by the truth instead of the labels (audit only):")
        answer["truth"] = print_comparison(compare_trials(trials, against_truth=True))
    if options.joined:
        from core.audit.joined import joined_answer
        from core.corpus.load import load_corpus

        answer["joined"] = joined_answer(trials, load_corpus(trials[0].config.corpus, cache=workspace.corpora), say=print)
    return answer


def export(options: Namespace) -> Answer:
    """Write a trial's negatives, labels or ranking for another tool."""
    from core.lab.exchange import export_file
    from core.lab.mined_set import Choice
    from core.lab.workspace import Workspace

    workspace = Workspace(options.workspace or None)
    settings = {name: getattr(options, name) for name in ("refresh", "of", "per_query", "order", "verdict_use")}
    judged = {"verdicts": Path(options.verdicts) if options.verdicts else None, "from_judges": options.from_judges}
    choice = Choice(**settings, suspects=not options.no_suspects)
    folder = trial_folder(workspace, options.trial)
    return export_file(workspace, folder, options.format, Path(options.out), choice, **judged, say=print)


def bundle(options: Namespace) -> Answer:
    """Write a trial as one zip that another installation opens."""
    from core.lab.exchange import bundle_file
    from core.lab.workspace import Workspace

    workspace = Workspace(options.workspace or None)
    return bundle_file(workspace, trial_folder(workspace, options.trial), Path(options.out), with_corpus=options.with_corpus, say=print)


def open(options: Namespace) -> Answer:  # the command's name; nothing here reads files
    """Open a bundle in the workspace."""
    from core.lab.exchange import open_file
    from core.lab.workspace import Workspace
    return open_file(Workspace(options.workspace or None), Path(options.bundle), say=print)


def audit(options: Namespace) -> Answer:
    """Doubt a trial's candidates by every reason and, with truth, measure the reasons; or the dose-response."""
    from core.lab.audited import audit_command
    from core.lab.workspace import Workspace

    workspace = Workspace(options.workspace) if options.workspace else Workspace()
    trial, guide = (trial_folder(workspace, name) if name else None for name in (options.trial, options.guide))
    return audit_command(workspace, *corpus_of(options), trial, guide, options, print_line=_say)


def index(options: Namespace) -> Answer:
    """Measure every vector index on a corpus: recall, time, memory, and the negatives that it would mine."""
    from core.lab.measured import measure_indexes

    trial = trial_folder(_workspace(options), options.trial) if options.trial else None
    return measure_indexes(corpus_of(options)[1], trial, encoder_of(options), options, tell=_say)


def cascade(options: Namespace) -> Answer:
    """Measure retriever, reranker and both on the held-out queries."""
    from core.lab.measured import measure_cascade

    workspace = _workspace(options)
    return measure_cascade(workspace, corpus_of(options)[1], trial_folder(workspace, options.trial), options, tell=_say)


def sweep(options: Namespace) -> Answer:
    """Train every recipe with several seeds and write the table; Ctrl-C leaves checkpoints, the same command goes on."""
    from core.lab.sweep_command import sweep_command
    from core.lab.workspace import Workspace

    return sweep_command(Workspace(options.workspace or None), *corpus_of(options), options, tell=lambda line: print(line, flush=True))


def bench(options: Namespace) -> Answer:
    """Measure speed side by side with the installed peers."""
    from core.bench.all import bench_all

    if options.repeats < 1:
        raise ParameterError(f"--repeats must be an int in [1, inf); got {options.repeats}.")
    return bench_all(options.corpus, repeats=options.repeats, print_line=_say)


def serve(options: Namespace) -> Answer:
    """Start the pages; returns when the server ends."""
    import importlib.util

    found = importlib.util.find_spec("app")
    if found is None or found.origin is None:
        raise UserError("app.py was not found beside the core. Install the product with 'pip install .' or run in its folder.")
    app = Path(found.origin)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in (str(app.parent), os.environ.get("PYTHONPATH")) if p)}
    if options.workspace:
        environment["NEGSPACE_WORKSPACE"] = str(Path(options.workspace).resolve())
    # The code does not change while it serves: watching a folder that holds .venv costs thousands of watches.
    flags = [f"--server.port={options.port}", f"--server.address={options.address}"]
    flags += ["--server.headless=true", "--server.fileWatcherType=none"]
    print(f"Negative Space: http://{'localhost' if options.address == '0.0.0.0' else options.address}:{options.port}", flush=True)
    process = subprocess.Popen([sys.executable, "-m", "streamlit", "run", str(app), *flags], cwd=app.parent, env=environment)
    try:
        code = process.wait()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        return None
    if code not in (0, -15):
        raise UserError(f"The server ended with code {code}. Is port {options.port} taken? Try --port {options.port + 1}.")
    return None


def _note(fault: str) -> None:
    print(f"note: {fault}")


def _say(line: str) -> None:
    print(line, flush=True)


def _workspace(options: Namespace):
    from core.lab.workspace import Workspace

    return Workspace(options.workspace or None)
