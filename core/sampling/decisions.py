"""What people decided about pairs of a query and a document, as training reads it: plain data beside trial.json."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from core.corpus.judgements import Judgements
from core.errors import ParameterError, TrialError

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus

FALSE_NEGATIVE, TRUE_NEGATIVE, NEAR_DUPLICATE, UNSURE = "false-negative", "true-negative", "near-duplicate", "unsure"
KINDS = (FALSE_NEGATIVE, TRUE_NEGATIVE, NEAR_DUPLICATE, UNSURE)
#: Verdicts that change a training: the pair should not be pushed apart.
REFUSED = (FALSE_NEGATIVE, NEAR_DUPLICATE)
DROP, DOWN_WEIGHT, PROMOTE = "drop", "down-weight", "promote"
USES = (DROP, DOWN_WEIGHT, PROMOTE)
FILE = "verdicts.jsonl"
FIELDS = ("query_id", "doc_id", "verdict")

Decided = Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Decisions:
    """The verdicts of one trial on the rows of one corpus, at most one a pair, ordered by query row, then document row.

    ``query_rows``, ``doc_rows`` int64 (N,); ``kinds``: of KINDS, one a pair. ``digest``: 16 hexadecimal digits of the
    verdicts by ids. ``n_queries``: of the corpus. ``n_unknown``: verdicts on ids that the corpus does not have, left out.
    """

    query_rows: np.ndarray
    doc_rows: np.ndarray
    kinds: tuple[str, ...]
    digest: str
    n_queries: int
    query_ids: tuple[str, ...] = ()
    doc_ids: tuple[str, ...] = ()
    n_unknown: int = 0

    @classmethod
    def of(cls, decided: Decided, corpus: Corpus) -> Decisions:
        """Of verdicts by ids."""
        pairs = list(decided)
        query_rows = corpus.query_rows([q for q, _ in pairs]) if pairs else np.empty(0, np.int64)
        doc_rows = corpus.doc_rows([d for _, d in pairs]) if pairs else np.empty(0, np.int64)
        order = np.lexsort((doc_rows, query_rows))
        order = order[(query_rows[order] >= 0) & (doc_rows[order] >= 0)]
        return cls(
            query_rows[order].astype(np.int64),
            doc_rows[order].astype(np.int64),
            tuple(decided[pairs[i]] for i in order),
            digest_of(decided_bytes(decided)),
            corpus.n_queries,
            tuple(pairs[i][0] for i in order),
            tuple(pairs[i][1] for i in order),
            len(pairs) - len(order),
        )

    @classmethod
    def read(cls, path: Path, corpus: Corpus) -> Decisions:
        """Of a file of verdicts; raises ParameterError naming the line that cannot be read."""
        return cls.of(read_decided(path), corpus)

    def write(self, path: Path) -> None:
        """The file that :meth:`read` gives back; ids that the corpus does not have are gone."""
        Path(path).write_bytes(decided_bytes(self.decided))

    @property
    def decided(self) -> dict[tuple[str, str], str]:
        """(query_id, doc_id) -> verdict."""
        return dict(zip(zip(self.query_ids, self.doc_ids, strict=True), self.kinds, strict=True))

    def __len__(self) -> int:
        return len(self.kinds)

    def _of_kinds(self, kinds: Iterable[str]) -> Judgements:
        wanted = set(kinds)
        is_wanted = np.array([kind in wanted for kind in self.kinds], bool)
        return Judgements.from_pairs(
            self.query_rows[is_wanted], self.doc_rows[is_wanted], np.ones(int(is_wanted.sum()), np.int16), self.n_queries
        )

    def relevant(self) -> Judgements:
        """Pairs judged false negatives: the document answers the query."""
        return self._of_kinds([FALSE_NEGATIVE])

    def near_duplicates(self) -> Judgements:
        """Pairs whose document is all but a copy of a positive."""
        return self._of_kinds([NEAR_DUPLICATE])

    def refused(self) -> Judgements:
        """Pairs that must not be pushed apart: both of the above."""
        return self._of_kinds(REFUSED)


def decided_bytes(decided: Decided) -> bytes:
    """The verdicts as JSON lines in the order of their ids: equal verdicts give equal bytes."""
    _check_kinds(decided)
    lines = [
        json.dumps({"query_id": q, "doc_id": d, "verdict": kind}, ensure_ascii=False) for (q, d), kind in sorted(decided.items())
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def digest_of(data: bytes) -> str:
    """16 hexadecimal digits of the file's bytes; "" for no verdict at all."""
    return hashlib.sha256(data).hexdigest()[:16] if data else ""


def read_decided(path: Path) -> dict[tuple[str, str], str]:
    """(query_id, doc_id) -> verdict of a .jsonl, .csv or .tsv file with the columns query_id, doc_id and verdict.

    A pair that stands there several times gets the verdict of most lines, a tie "unsure". Raises ParameterError.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ParameterError(f"{path} cannot be read ({error.strerror or error}). Give a file of verdicts.") from None
    except UnicodeDecodeError:
        raise ParameterError(f"{path} is not UTF-8 text. Give JSON lines, or a table with {', '.join(FIELDS)}.") from None
    votes: dict[tuple[str, str], Counter[str]] = {}
    for number, record in _records(path, text):
        missing = [name for name in FIELDS if record.get(name) in (None, "")]
        if missing:
            raise ParameterError(f"{path}:{number}: no {missing[0]}. Each line needs {', '.join(FIELDS)}.")
        pair, kind = (str(record["query_id"]), str(record["doc_id"])), str(record["verdict"])
        if kind not in KINDS:
            raise ParameterError(f"{path}:{number}: verdict must be one of {', '.join(KINDS)}; got {kind!r}.")
        votes.setdefault(pair, Counter())[kind] += 1
    return {pair: majority(counts) for pair, counts in votes.items()}


def majority(votes: Mapping[str, int]) -> str:
    """The verdict with the most votes; "unsure" where two have equally many."""
    most = max(votes.values())
    first = [kind for kind, n in votes.items() if n == most]
    return first[0] if len(first) == 1 else UNSURE


def _records(path: Path, text: str) -> Iterable[tuple[int, dict[str, Any]]]:
    if path.suffix.lower() in (".csv", ".tsv"):
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        for record in reader:
            yield reader.line_num, record
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise ParameterError(f"{path}:{number}: not a JSON object. Each line needs {', '.join(FIELDS)}.")
        yield number, record


def _check_kinds(decided: Decided) -> None:
    wrong = sorted(set(decided.values()) - set(KINDS))
    if wrong:
        raise ParameterError(f"A verdict must be one of {', '.join(KINDS)}; got {wrong[0]!r}.")


def decisions_of_trial(folder: Path, digest: str, corpus: Corpus) -> Decisions | None:
    """The verdicts that a trial's folder holds, None where its configuration names none; raises TrialError when they
    are gone or not those that the trial was made with."""
    if not digest:
        return None
    path = Path(folder) / FILE
    if not path.is_file():
        raise TrialError(f"{path} is missing: this trial was made with verdicts. Copy the file back, or retrain with verdicts anew.")
    if digest_of(path.read_bytes()) != digest:
        raise TrialError(f"{path} is not the file that this trial was made with. Copy that one back, or retrain with verdicts anew.")
    return Decisions.read(path, corpus)
