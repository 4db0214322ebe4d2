"""Retrain like a trial, with verdicts: the same recipe, encoder, settings and seed, and what people decided about its pairs."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.audit.compare import sentence
from core.audit.retrained import Change
from core.corpus.corpus import Corpus
from core.corpus.written import COPIES
from core.errors import SHOWN_FAULTS, ParameterError, TrialError
from core.evaluate.metrics import MEASURES
from core.lab.workspace import Workspace
from core.sampling.decisions import (
    DROP,
    FALSE_NEGATIVE,
    FILE,
    NEAR_DUPLICATE,
    PROMOTE,
    REFUSED,
    Decided,
    decided_bytes,
    digest_of,
    majority,
)
from core.train.config import TrialConfig, read_config

if TYPE_CHECKING:
    from core.lab.store import Store
    from core.lab.tables import TrialRow

LONGEST_NAME = 100
WAYS = {"drop": "dropped", "down-weight": "down-weighted", "promote": "promoted"}


def with_verdicts(
    config: TrialConfig, decided: Decided, *, use: str | None = None, weight: float | None = None
) -> tuple[TrialConfig, dict[str, bytes]]:
    """The configuration with these verdicts, and the files that its folder needs.

    ``use``: drop, down-weight or promote; None = drop. ``weight``: share of the loss weight that down-weighted pairs
    keep. Raises ParameterError where no verdict can change a training.
    """
    use = use or DROP
    counts = Counter(decided.values())
    if not sum(counts[kind] for kind in REFUSED):
        raise ParameterError(
            f"Of {len(decided)} verdicts none is {FALSE_NEGATIVE} or {NEAR_DUPLICATE}, so training would not change. Judge more pairs."
        )
    if use == PROMOTE and not counts[FALSE_NEGATIVE]:
        raise ParameterError(f"No pair was judged {FALSE_NEGATIVE}, so none can become a positive. Use {DROP}.")
    data = decided_bytes(decided)
    changes = {"verdicts": digest_of(data), "verdict_use": use}
    changes |= {} if weight is None else {"verdict_weight": weight}
    return replace(config, **changes), {FILE: data}


def retrain_config(
    parent: TrialConfig,
    parent_id: str,
    decided: Decided,
    *,
    use: str | None = None,
    weight: float | None = None,
    name: str | None = None,
    called: str = "verdicts",
    folder: Path | None = None,
) -> tuple[TrialConfig, dict[str, bytes]]:
    """The configuration of a trial that repeats ``parent`` with these verdicts, and the files of its folder.

    ``folder``: the parent's, whose copies of files that its recipe names are trained on again.
    The parent's own verdicts, if it had any, are replaced. ``decided`` empty: the very same training again. ``called``: how
    a name made from the parent's calls the verdicts.
    """
    plain = replace(parent, verdicts="", verdict_use=DROP, verdict_weight=TrialConfig.verdict_weight, like=parent_id)
    paths = [] if folder is None else [folder / copy for copy in COPIES.values()]
    copies = {path.name: path.read_bytes() for path in paths if path.is_file()}
    if not decided:
        return replace(plain, name=name or _cut(parent.name or parent_id, "again")), copies
    config, files = with_verdicts(plain, decided, use=use, weight=weight)
    return replace(config, name=name or _cut(parent.name or parent_id, f"{called} {WAYS[config.verdict_use]}")), files | copies


def submit_retrain(
    store: Store,
    trial_id: str,
    decided: Decided,
    *,
    use: str | None = None,
    weight: float | None = None,
    name: str | None = None,
    owner: str = "",
) -> TrialRow:
    """"Retrain like this trial with these": the new trial, queued. Raises ParameterError, or TrialError for an unknown id."""
    row = store.get(trial_id)
    parent = TrialConfig.from_dict({**row.config, "name": row.name})
    config, files = retrain_config(parent, row.id, decided, use=use, weight=weight, name=name, folder=row.folder)
    return store.submit(config.to_dict(), config.name, owner=owner, recipe_title=row.recipe_title, files=files)


def config_from_options(
    workspace: Workspace, folder: Path, options: Namespace, corpus: Corpus, tell: Callable[[str], None]
) -> tuple[TrialConfig, dict[str, bytes]]:
    """What ``negspace retrain`` trains: ``folder``'s trial again with the verdicts that the options name.

    ``tell`` gets a sentence for each line of a file of verdicts that cannot be used.
    """
    given = [name for name in ("verdicts", "from_judges", "from_truth") if getattr(options, name)]
    if len(given) != 1:
        raise ParameterError("Give exactly one of --verdicts FILE, --from-judges and --from-truth.")
    config = read_config(folder)
    if config.corpus_fingerprint and config.corpus_fingerprint != corpus.fingerprint:
        raise TrialError(f"{config.corpus} has changed since {folder.name} was trained. Train it anew before you retrain it.")
    if options.verdicts:
        decided: Decided = read_verdicts(Path(options.verdicts), tell)
    elif options.from_judges:
        decided = verdicts_of_judges(workspace, corpus)
    else:
        decided = verdicts_of_truth(corpus, folder)
    called = "perfect verdicts" if options.from_truth else "verdicts"
    changes = {"use": options.use, "weight": options.weight, "name": options.name, "called": called}
    return retrain_config(config, folder.name, decided, **changes, folder=folder)


def sentences(found: Sequence[Change]) -> list[str]:
    """What the verdicts changed by the first measure, one sentence for the labels and one for the truth."""
    told = []
    for change in found:
        earlier, retrained = change.comparison.systems[:2]
        difference = change.differences[MEASURES[0]]
        said = sentence(retrained.name, earlier.name, difference, difference.p, MEASURES[0])
        told.append(f"Judged by the {change.judged_by}: {earlier.mean(MEASURES[0]):.4f} -> {retrained.mean(MEASURES[0]):.4f}. {said}")
    return told


def read_verdicts(path: Path, tell: Callable[[str], None] = lambda fault: None) -> Decided:
    """(query_id, doc_id) -> verdict of a file in any form that the Judge page imports too, by most of its judges.

    ``tell`` gets a sentence for each line that cannot be used, at most SHOWN_FAULTS. Raises ParameterError where none can.
    """
    from core.lab import verdict_import

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror or error}). Give a file of verdicts.") from None
    found = verdict_import.read_verdicts(data, str(path))
    if not found.rows:
        raise ParameterError(found.faults[0])
    for fault in found.faults[:SHOWN_FAULTS]:
        tell(fault)
    if len(found.faults) > SHOWN_FAULTS:
        tell(f"{len(found.faults) - SHOWN_FAULTS} more lines of {path} cannot be used.")
    votes: dict[tuple[str, str], Counter[str]] = {}
    for row in found.rows:
        votes.setdefault((row["query_id"], row["doc_id"]), Counter())[row["verdict"]] += 1
    return {pair: majority(counts) for pair, counts in votes.items()}


def verdicts_of_judges(workspace: Workspace, corpus: Corpus) -> Decided:
    """What the judges of the workspace decided about this corpus's pairs; raises TrialError where nobody judged."""
    from core.lab.store import Store
    from core.lab.verdicts import Verdicts

    decided = Verdicts(Store(workspace)).decided(corpus.fingerprint)
    if not decided:
        raise TrialError(f"Nobody has judged a pair of {corpus.name} in {workspace.folder} yet. Judge some on the Judge page.")
    return decided


def verdicts_of_truth(corpus: Corpus, folder: Path) -> Decided:
    """What a perfect judge would say of the trial's candidates; raises TrialError where there is nothing to say."""
    from core.audit.perfect import perfect_verdicts_of_trial
    from core.train.results import TrialResults

    decided = perfect_verdicts_of_trial(corpus, TrialResults(folder))
    if not decided:
        raise TrialError("The truth calls no candidate of this trial relevant, so a perfect judge would change nothing.")
    return decided


def _cut(name: str, ending: str) -> str:
    """``name, ending``, the name shortened where both together are too long for a trial's name."""
    room = LONGEST_NAME - len(ending) - 2
    return f"{name if len(name) <= room else name[: room - 1].rstrip() + '…'}, {ending}"
