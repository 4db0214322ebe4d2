"""Writing a trial down for other tools: the formats, what they are given, and the command behind `negspace export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from core.audit.trial_table import TrialTable
from core.corpus.corpus import Corpus
from core.corpus.judgements import Judgements
from core.errors import ParameterError, TrialError, UserError
from core.lab.export_format import Format
from core.lab.export_sets import SETS
from core.lab.export_tables import TABLES
from core.lab.mined_set import Choice, MinedSet, mined_set
from core.lab.script_zip import SCRIPTS
from core.sampling.decisions import Decided, Decisions, decisions_of_trial
from core.train.results import TrialResults

#: Every format by name, in the order in which menus show them.
FORMATS: dict[str, Format] = {format.name: format for format in (*SETS, *TABLES, *SCRIPTS)}


@dataclass
class Export:
    """What a format may ask for. ``decided``: people's verdicts by ids, None = the trial's own, if it has any; ``leave_out``:
    doubted pairs to be left out; ``table``: the trial's candidates where they are in memory; ``tell``: is told the share done.
    ``suffix``: of the file that is written."""

    results: TrialResults
    corpus: Corpus
    choice: Choice = field(default_factory=Choice)
    decided: Decided | None = None
    leave_out: Judgements | None = None
    table: TrialTable | None = None
    tell: Callable[[float], None] = lambda share: None
    suffix: str = ""

    @cached_property
    def decisions(self) -> Decisions | None:
        """The verdicts on this corpus's rows; None where there are none."""
        if self.decided is not None:
            return Decisions.of(self.decided, self.corpus) if self.decided else None
        return decisions_of_trial(self.results.folder, self.results.config.verdicts, self.corpus)

    def need_decisions(self) -> Decisions:
        """The verdicts; raises TrialError where nobody judged."""
        if self.decisions is None or not len(self.decisions):
            raise TrialError("There are no verdicts to write. Judge some pairs on the Judge page, or name a file with --verdicts.")
        return self.decisions

    @cached_property
    def mined(self) -> MinedSet:
        """The chosen negatives."""
        given = None if self.decided is None else self.decisions  # the trial's own verdicts are in its tables already
        return mined_set(self.results, self.corpus, self.choice, decisions=given, leave_out=self.leave_out, table=self.table)


def format_of(name: str) -> Format:
    """The format of this name; raises ParameterError."""
    if name not in FORMATS:
        raise ParameterError(f"--format must be one of {', '.join(FORMATS)}; got {name!r}.")
    return FORMATS[name]


def refusal(export: Export, format: Format) -> str:
    """Why this trial cannot be written so, in one sentence; "" when it can."""
    if format.needs_mined and not export.results.tables():
        if export.results.config.recipe_value.mined:
            return "This trial has not mined any negatives yet. Come back when its first step is done."
        return "This trial mined nothing: its negatives were the other positives of each batch, so there are none to export."
    if format.needs_result and export.results.result is None:
        return "This trial has not finished, so it has no ranking of the held-out queries."
    if format.needs_verdicts and not (export.decisions is not None and len(export.decisions)):
        return "Nobody has judged a pair of this corpus yet."
    try:
        format.check(export)
    except UserError as error:
        return str(error)
    return ""


def export_trial(export: Export, format: Format, out: Path) -> dict[str, Any]:
    """Write the file, whole or not at all, and return ``{"out", "format", counts ..., "notes"}``.

    Equal trials and choices give equal bytes. Raises ParameterError for a suffix that the format does not have, TrialError or
    CorpusError for what the trial does not hold.
    """
    out = Path(out)
    export.suffix = out.suffix.lower()
    if export.suffix not in format.suffixes:
        raise ParameterError(f"--out of {format.name} must end in {' or '.join(format.suffixes)}; got {out.name!r}.")
    if not out.parent.is_dir():
        raise ParameterError(f"--out: the folder {out.parent} does not exist. Make it first.")
    format.check(export)
    part = out.with_name(f".{out.name}.part")
    try:
        counts = format.write(export, part)
        part.replace(out)
    except OSError as error:
        raise TrialError(f"{out}: cannot be written ({error.strerror or error}). Check the space and the rights.") from error
    finally:
        part.unlink(missing_ok=True)
    export.tell(1.0)
    return {"out": str(out), "format": format.name, "notes": [], **counts}
