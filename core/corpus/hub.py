"""Data sets of the Hugging Face hub by name, or local ones in that form, through ``datasets``: an optional extra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.corpus.corpus import Corpus
from core.corpus.faults import Faults
from core.corpus.irds import optional_library
from core.corpus.limits import Limits
from core.corpus.records import WHOLE, RecordReader
from core.corpus.roles import Roles, guess_mapping
from core.corpus.splits import split_name
from core.corpus.tables import SPLIT_WORDS
from core.errors import CorpusError

PREVIEWED = 20


def read_hub(name: str, options: Mapping[str, str], limits: Limits) -> Corpus:
    """The data set ``name``: pairs, triplets or a mined set; its splits are the corpus's.

    ``options``: the columns, and ``config`` for one of its configurations. Raises CorpusError, in one sentence, when the
    library is missing, the name is unknown, or there is no network.
    """
    library = optional_library("datasets", "hub")
    faults = Faults()
    shown = f"hf:{name}"
    try:
        # Code that comes with a data set is never run; `datasets` has given that up, too.
        loaded = library.load_dataset(name, options.get("config"))
    except (OSError, ValueError, RuntimeError, KeyError) as error:  # every error of `datasets` is one of these
        raise CorpusError(
            f"{shown}: cannot be loaded ({_first_line(error)}). "
            "Check the name and ?config=NAME; offline only what was loaded before is here."
        ) from None
    reader = RecordReader(limits, faults)
    for split, table in loaded.items():
        file = f"{shown} {split}" if len(loaded) > 1 else shown
        columns = list(table.column_names)
        roles = Roles.from_options(options, guess_mapping(columns, [table[i] for i in range(min(PREVIEWED, len(table)))]))
        roles.check(columns, file)
        said = split_name(split) if split_name(split) in SPLIT_WORDS and len(loaded) > 1 else WHOLE
        reader.read(_rows(table), roles, file, said)
    return reader.corpus(Path(name).name)


def hub_stamp(name: str) -> list:
    """What tells this state of a local data set from another; a name of the hub is one state."""
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return []
    files = sorted(path for path in folder.rglob("*") if path.is_file())[:10_000]
    return [[str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def _rows(table: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    yield from enumerate(table, start=1)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
