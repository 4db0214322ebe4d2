"""How a corpus is named in one line: ``[FORMAT:]PATH[?key=value&...]``, a sample, or a data set of another library."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

from core.errors import CorpusError

FILE_FORMATS = ("beir", "trec", "csv", "tsv", "jsonl", "json", "parquet")
NAME_FORMATS = ("sample", "irds", "hf")
SHOWN = ", ".join(f"{name}:" for name in (*FILE_FORMATS, *NAME_FORMATS))
#: The columns that a table may name, and what else an address may say.
ROLES = ("query", "query_id", "positive", "positive_id", "title", "negative", "grade", "label", "split", "scores", "negative_scores")
SETTINGS = ("header", "encoding", "delimiter", "config")
SPEC_HELP = (
    "a folder, zip or file in any known layout, told by its content; or FORMAT:PATH with FORMAT one of "
    "beir, trec, csv, tsv, jsonl, json, parquet; columns of a table as ?query=NAME&positive=NAME&negative=NAME,NAME "
    f"(also {', '.join(ROLES[1:2] + ROLES[3:5] + ROLES[6:])}), e.g. 'csv:faq.csv?query=question&positive=answer'; "
    "or sample:NAME, irds:ID (ir_datasets), hf:NAME (hub data set)"
)


@dataclass(frozen=True)
class Spec:
    """An address of a corpus in its parts.

    ``format``: '' where the content decides. ``place``: a path, or the name of a sample or data set.
    ``options``: what stood after the question mark: columns (:data:`ROLES`) and :data:`SETTINGS`.
    """

    format: str
    place: str
    options: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"{self.format}:{self.place}" if self.format else self.place
        return head + ("?" + urlencode(self.options, safe=" ,/", quote_via=quote) if self.options else "")

    @property
    def is_path(self) -> bool:
        return self.format not in NAME_FORMATS

    def absolute(self) -> Spec:
        """The same corpus, named so that it is found from any working folder."""
        if not self.is_path and not (self.format == "hf" and _exists(self.place)):
            return self
        return Spec(self.format, str(_path(self.place).resolve()), self.options)

    @property
    def path(self) -> Path:
        """The absolute path. Raises CorpusError for one that no file system takes."""
        try:
            found = _path(self.place).resolve()
            found.exists()
        except (OSError, ValueError, RuntimeError) as error:  # too long, with a NUL, a ring of links
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise CorpusError(f"{self.place[:200]!r}: cannot be read ({reason}). Check the path.") from None
        return found


def parse_spec(text: str | Path, format: str | None = None) -> Spec:
    """The parts of an address. A path that exists as it is written is a path, whatever its characters.

    ``format``: overrides the one in the address. Raises CorpusError for an unknown format or option.
    """
    if isinstance(text, Path):
        return Spec(_known(format or ""), os.fspath(text))
    head, colon, rest = text.partition(":")
    found = ""
    if colon and head.lower() in (*FILE_FORMATS, *NAME_FORMATS) and not _exists(text):
        found, text = head.lower(), rest
    options: dict[str, str] = {}
    if "?" in text and not _exists(text):
        text, _, tail = text.rpartition("?")
        options = _options(tail)
    if not text.strip():
        raise CorpusError(f"{found or 'corpus'}: no path or name is given. Write FORMAT:PATH, for example csv:faq.csv.")
    return Spec(_known(format or found), text, options)


def absolute_spec(text: str) -> str:
    """The address to keep in a trial: as :meth:`Spec.absolute`, in one line."""
    return str(parse_spec(text).absolute())


def _options(tail: str) -> dict[str, str]:
    options = dict(parse_qsl(tail, keep_blank_values=False))
    unknown = sorted(set(options) - set(ROLES) - set(SETTINGS))
    if unknown:
        raise CorpusError(f"?{unknown[0][:40]}=: no such option. There is: {', '.join((*ROLES, *SETTINGS))}.")
    return options


def _known(format: str) -> str:
    if format and format not in (*FILE_FORMATS, *NAME_FORMATS):
        raise CorpusError(f"{format[:40]}: no such format. There is: {SHOWN}")
    return format


def _path(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError:  # ~name of an unknown user
        return Path(place)


def _exists(text: str) -> bool:
    try:
        return _path(text).exists()
    except (OSError, ValueError):  # a name too long, or with a NUL
        return False
