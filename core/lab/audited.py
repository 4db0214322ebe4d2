"""``negspace audit``: a trial's candidates, every reason to doubt them, and what truth says about the reasons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.audit.evidence import Evidence, evidence_of_trial
from core.audit.suspect_table import SuspectTable, suspects_of_trial
from core.corpus.corpus import Corpus
from core.errors import CorpusError, ParameterError, TrialError
from core.lab.workspace import Workspace
from core.sampling.context import MiningContext, Vectors
from core.train.results import TrialResults

MOST_OTHERS = 4
SHOWN_SUSPECTS = 10
Tell = Callable[[str], None]


def audit_command(
    workspace: Workspace, spec: str, corpus: Corpus, trial: Path | None, guide: Path | None, options: Any, *, print_line: Tell
) -> dict[str, Any]:
    """What the command line's options ask for; raises ParameterError where they do not fit together."""
    if options.dose:
        if trial is not None:
            raise ParameterError("--dose trains its own trials; leave --trial out.")
        if options.seeds < 1:
            raise ParameterError(f"--seeds must be an int in [1, inf); got {options.seeds}.")
        try:
            shares = [float(share) for share in options.shares.split(",")]
        except ValueError:
            raise ParameterError(f"--shares must be numbers separated by commas; got {options.shares!r}.") from None
        seeds = range(options.seeds)
        return audit_dose(workspace, spec, corpus, shares=shares, seeds=seeds, epochs=options.epochs, print_line=print_line)
    if trial is None:
        raise ParameterError("--trial is missing. Name a finished trial with mined negatives, or ask for --dose.")
    if options.splits < 1:
        raise ParameterError(f"--splits must be an int in [1, inf); got {options.splits}.")
    verdicts = Path(options.verdicts) if options.verdicts else None
    with_cross, n_splits = not options.no_cross, options.splits
    return audit_trial(
        workspace, corpus, trial, verdicts=verdicts, guide=guide, with_cross=with_cross, n_splits=n_splits, print_line=print_line
    )


def audit_trial(
    workspace: Workspace,
    corpus: Corpus,
    trial: Path,
    *,
    verdicts: Path | None = None,
    guide: Path | None = None,
    with_cross: bool = True,
    n_splits: int = 5,
    print_line: Tell = print,
) -> dict[str, Any]:
    """Print the suspects and, where the corpus has truth, the bench, and return all of it JSON-ready.

    ``verdicts``: a file of people's verdicts, from which a combination is learned; ``guide``: another finished trial's folder, the
    untrained encoder when it is not given; ``with_cross``: train (or open) the cross-encoder. Raises TrialError where the trial mined
    nothing or was trained on another corpus.
    """
    results = TrialResults(trial)
    trained_on = (results.result or {}).get("corpus_fingerprint") or results.config.corpus_fingerprint
    if trained_on and trained_on != corpus.fingerprint:
        raise TrialError(f"{trial} was trained on another corpus ({trained_on}, not {corpus.fingerprint}). Name that one.")
    context = MiningContext(corpus, lambda which: evidence.vectors)
    others = other_trials(results, corpus)
    evidence: Evidence = evidence_of_trial(
        corpus,
        results,
        context,
        others=[vectors for _, vectors in others],
        cross=(lambda: _cross(workspace, corpus, context)) if with_cross else None,
        **({"guide": TrialResults(guide).vectors(corpus)} if guide else {}),
    )
    table, how = _suspects(corpus, results, context, evidence, verdicts)
    answer: dict[str, Any] = {
        "trial": str(trial),
        "corpus": corpus.name,
        "n_candidates": len(table),
        "n_suspects": int(table.is_suspect.sum()),
        "combination": how,
        "other_trials": [name for name, _ in others],
        "reasons": {reason.key: {"title": reason.title, "n_flagged": int(table.flags[reason.key].sum())} for reason in table.reasons},
        "unsaid": table.missing,
        "suspects": _strongest(corpus, table),
    }
    print_line(f"{len(table):,} candidates of {len(np.unique(table.query_row)):,} queries; {answer['n_suspects']:,} suspects ({how})")
    for key, why in table.missing.items():
        print_line(f"left out, {key}: {why}")
    if table.learned is not None:
        print_line(table.learned.sentence)
        answer["learned"] = {"sentence": table.learned.sentence, "weights": table.learned.weights}
    if corpus.truth is None:
        print_line("The corpus has no truth, so nobody can say which reasons are right. Hide some labels on purpose: --hide-positives .3.")
        return answer
    return answer | _against_truth(corpus, evidence, table, n_splits, print_line)


def _cross(workspace: Workspace, corpus: Corpus, context: MiningContext):
    from core.search.cross_cache import cross_model
    from core.search.cross_encoder import make_cross_encoder

    return cross_model(corpus, make_cross_encoder("embedded"), bm25=context.bm25, folder=workspace.cache / "cross")


def other_trials(results: TrialResults, corpus: Corpus, most: int = MOST_OTHERS) -> list[tuple[str, Vectors]]:
    """(name, vectors) of other finished trials of the same corpus beside this one, those of the same recipe and encoder first.

    A trial that was trained with verdicts is no witness: it would repeat what people, or truth, said of these very pairs.
    """
    found = []
    own = results.config
    for folder in sorted(results.folder.parent.iterdir()):
        if folder.name == results.folder.name or not (folder / "result.json").exists() or not (folder / "model").is_dir():
            continue
        try:
            other = TrialResults(folder)
            config, result = other.config, other.result or {}
        except TrialError:  # a folder of another version: not a reason to fail here
            continue
        if result.get("corpus_fingerprint") == corpus.fingerprint and not config.verdicts:
            is_like = config.recipe == own.recipe and config.encoder == own.encoder
            found.append((not is_like, folder.name, config.name or folder.name, other))
    return [(name, other.vectors(corpus)) for _, _, name, other in sorted(found, key=lambda item: item[:2])[:most]]


def _suspects(corpus, results, context, evidence: Evidence, verdicts: Path | None) -> tuple[SuspectTable, str]:
    from core.audit.combine import DEFAULT_COMBINATION, LearnedFromVerdicts
    from core.audit.suspect_table import lessons_of

    table = suspects_of_trial(corpus, results, context, evidence=evidence)
    if verdicts is None:
        return table, DEFAULT_COMBINATION.summary()
    from core.sampling.decisions import read_decided

    lessons = lessons_of(evidence, table.reasons, read_decided(verdicts))
    rule = LearnedFromVerdicts()
    if why := rule.missing(lessons):
        raise ParameterError(why)
    return table.decided(rule, lessons), rule.summary()


def _strongest(corpus: Corpus, table: SuspectTable) -> list[dict[str, Any]]:
    rows = [row for row in table.order()[: 10 * SHOWN_SUSPECTS] if table.is_suspect[row]][:SHOWN_SUSPECTS]
    queries, docs = corpus.query_ids(table.query_row[rows]), corpus.doc_ids(table.doc_row[rows])
    return [
        {
            "query_id": query,
            "doc_id": doc,
            "doubt": float(table.combined[row]),
            "harm": float(table.harm[row]),
            "reasons": [reason.key for reason in table.reasons if table.flags[reason.key][row]],
        }
        for query, doc, row in zip(queries, docs, rows, strict=True)
    ]


def _against_truth(corpus: Corpus, evidence: Evidence, table: SuspectTable, n_splits: int, print_line: Tell) -> dict[str, Any]:
    from core.audit.advice import advice, verdict
    from core.audit.sampler_rates import sampler_rates
    from core.audit.truth_bench import truth_bench

    rates = sampler_rates(evidence)
    print_line("\nFalse negatives by rank, counted against truth (95 % Wilson interval)")
    for rate in rates:
        bands = "  ".join(f"{b.label}: {b.rate:.2%} [{b.low:.2%}, {b.high:.2%}]" for b in (rate.bands or (rate.overall,)))
        print_line(f"  {rate.kind:7} {rate.name:24} {bands}")
    answer: dict[str, Any] = {"false_negative_rate": [rate.to_dict() for rate in rates]}
    try:
        bench = truth_bench(corpus, table, n_splits=n_splits)
    except CorpusError as error:  # too little truth to measure reasons on: everything else is still worth its line
        print_line(f"\n{error}")
        return answer | {"verdict": str(error)}
    print_line(
        f"\n{bench.n_pairs:,} candidates of {bench.n_queries:,} queries, {bench.n_false:,} of them false negatives. "
        f"Thresholds from one half of the queries, figures from the other, means over {bench.n_splits} splits."
    )
    print_line(bench.counted)
    head = f"  {'':38} {'AUC':>6} {'AP':>6} {'from':>7} {'prec.':>6} {'recall':>6}   at precision .8: {'prec.':>6} {'recall':>6}"
    print_line(head)
    for m in (*bench.reasons, *bench.combinations):
        strict = f"{m.strict_precision:>22.3f} {m.strict_recall:>6.3f}" if m.strict_recall > 0 else f"{'never':>22}"
        print_line(
            f"  {m.title:38} {m.auc:6.3f} {m.average_precision:6.3f} {m.threshold:7.3f} {m.precision:6.3f} {m.recall:6.3f} {strict}"
        )
    for m in bench.combinations:
        print_line(f"  {m.title}: {m.about}")
    print_line(f"\n{verdict(bench)}\n{advice(bench)}")
    measured = {m.key: m.to_dict() for m in bench.reasons}
    return answer | {
        "n_false_negatives": bench.n_false,
        "counted": bench.counted,
        "reasons": {key: {**found, "n_flagged": int(table.flags[key].sum())} for key, found in measured.items()},
        "combinations": {m.key: m.to_dict() for m in bench.combinations},
        "best_combination": bench.best.to_dict(),
        "reaches": bench.reaches,
        "verdict": verdict(bench),
        "advice": advice(bench),
    }


def audit_dose(
    workspace: Workspace,
    spec: str,
    corpus: Corpus,
    *,
    shares: Sequence[float],
    seeds: Sequence[int],
    epochs: int | None = None,
    print_line: Tell = print,
) -> dict[str, Any]:
    """Train what the dose-response still lacks, one trial after the other, and print quality against the planted share.

    Trials are ordinary ones of the workspace; a finished one with the same configuration is not trained again.
    """
    from core.audit.dose import dose_plan, gather
    from core.lab.by_hand import new_trial, train_here

    plan = dose_plan(spec, corpus, shares=shares, seeds=seeds, **({"epochs": epochs} if epochs else {}))
    have = _finished(workspace)
    folders = []
    for number, config in enumerate(plan, start=1):
        folder = have.get(_same(config.to_dict()))
        print_line(f"[{number} of {len(plan)}] {config.name}" + (": already trained" if folder else ""))
        if folder is None:
            folder = new_trial(workspace, config)
            train_here(folder, print_line=lambda line: None)
        folders.append(folder)
    response = gather([TrialResults(folder) for folder in folders])
    print_line(f"\n{response.said} on held-out queries, by the share of training positives hidden")
    for dose in response.doses:
        band = f"{dose.quality.mean:.4f} [{dose.quality.low:.4f}, {dose.quality.high:.4f}]"
        print_line(f"  {dose.recipe:44} {dose.asked:4.0%}  {dose.hidden:5} labels hidden  FN {dose.false_negative_rate:6.2%}  {band}")
    print_line(response.sentence)
    return {
        "measure": response.measure,
        "doses": [
            {
                "recipe": d.recipe, "asked": d.asked, "hidden": d.hidden, "n_seeds": d.n_seeds,
                "false_negative_rate": None if np.isnan(d.false_negative_rate) else d.false_negative_rate,
                "mean": d.quality.mean, "low": d.quality.low, "high": d.quality.high,
            }
            for d in response.doses
        ],
        "gaps": {f"{share:g}": {"mean": g.mean, "low": g.low, "high": g.high, "p": g.p} for share, g in response.gaps.items()},
        "sentence": response.sentence,
        "trials": [str(folder) for folder in folders],
    }  # fmt: skip


def _same(config: dict[str, Any]) -> str:
    from core.params import digest

    return digest({key: value for key, value in config.items() if key not in ("name", "corpus_fingerprint", "snapshots")})


def _finished(workspace: Workspace) -> dict[str, Path]:
    found = {}
    for folder in sorted(workspace.trials.iterdir()):
        if (folder / "result.json").exists():
            try:
                found[_same(TrialResults(folder).config.to_dict())] = folder
            except TrialError:  # a folder of another version
                continue
    return found
