"""The errors that a user can mend; every other exception is a bug and must show."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN_FAULTS = 20


class UserError(Exception):
    """Base of all errors whose text says where, which rule, which value, and what to do next."""


class ParameterError(UserError):
    """A parameter outside its declared type, range or choices."""


class CorpusError(UserError):
    """A corpus that cannot be read; carries every fault found, shows the first 20.

    ``faults``: one sentence each, ``file:line: rule. remedy.``
    """

    def __init__(self, faults: str | Sequence[str]):
        self.faults = [faults] if isinstance(faults, str) else list(faults)
        shown = self.faults[:SHOWN_FAULTS]
        more = len(self.faults) - len(shown)
        super().__init__("\n".join(shown) + (f"\n... and {more} more faults" if more else ""))


class TrialError(UserError):
    """A trial folder that is missing, unfinished or made by another version."""
