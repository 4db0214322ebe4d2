"""People's verdicts on pairs of query and document: an append-only history with undo, and who judges what next.

Every method is one transaction, so nothing is lost when two judges save at once, and no pair is handed to two of them.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from core.errors import ParameterError
from core.lab import verdict_claims
from core.lab.store import Store
from core.lab.tables import CLAIM, VERDICT
from core.lab.verdict_claims import pair_key

FALSE_NEGATIVE, TRUE_NEGATIVE, NEAR_DUPLICATE, UNSURE = "false-negative", "true-negative", "near-duplicate", "unsure"
KINDS = (FALSE_NEGATIVE, TRUE_NEGATIVE, NEAR_DUPLICATE, UNSURE)
SOURCES = ("page", "import", "llm")
LONGEST_JUDGE, LONGEST_NOTE = 60, 2000

Pair = tuple[str, str]


@dataclass(frozen=True)
class Verdict:
    """One judge's word on one pair. ``undone``: when it was taken back or replaced, None = in force; times in seconds since the
    epoch; ``replaces``: the id of the same judge's verdict before it."""

    id: int
    fingerprint: str
    query_id: str
    doc_id: str
    judge: str
    kind: str
    note: str
    source: str
    created: float
    undone: float | None = None
    replaces: int | None = None

    @property
    def pair(self) -> Pair:
        return self.query_id, self.doc_id


@dataclass(frozen=True)
class ImportCounts:
    """What became of imported rows: new, unlike that judge's verdict before (which they replace), and known already."""

    n_added: int = 0
    n_replaced: int = 0
    n_unchanged: int = 0


class Verdicts:
    """The verdicts of a workspace, in the store's database. ``fingerprint`` is the corpus's: verdicts hold for its ids."""

    def __init__(self, store: Store):
        self.database, self.home = store.database, store.home

    # Saving ------------------------------------------------------------------------------------------
    def record(
        self,
        fingerprint: str,
        query_id: str,
        doc_id: str,
        judge: str,
        kind: str,
        *,
        note: str = "",
        source: str = "page",
        only_new: bool = False,
    ) -> Verdict:
        """The verdict in force afterwards: a judge's newer verdict on a pair replaces the older, which stays in the history.

        ``only_new``: where this judge has judged the pair already (in another window, by a second press), that verdict stays
        and is returned. Raises ParameterError for an unknown kind or source, an empty id, or a judge's name that is no name.
        """
        row = _checked(query_id, doc_id, judge, kind, note, source)
        with self.database.write() as connection:
            found = self._in_force(connection, fingerprint, pair_key(query_id, doc_id), row["judge"])
            verdict_claims.release(connection, self.home, fingerprint, row["judge"], pair_key(query_id, doc_id))
            if found is not None and (only_new or (found.kind, found.note, found.source) == (row["kind"], row["note"], source)):
                return found
            return self._insert(connection, fingerprint, row, found)

    def import_rows(
        self, fingerprint: str, rows: Iterable[Mapping[str, str]], judge: str, source: str = "import"
    ) -> ImportCounts:
        """Save rows with query_id, doc_id, verdict and perhaps note and judge (else ``judge``), all or none.

        Rows that say what their judge's verdict says already change nothing, so a file may come twice. Of two rows of one
        judge on one pair the last counts. Raises ParameterError as ``record``.
        """
        wanted: dict[tuple[str, str], dict[str, str]] = {}
        for row in rows:
            name = row.get("judge") or judge
            checked = _checked(row["query_id"], row["doc_id"], name, row["verdict"], row.get("note", ""), source)
            wanted[pair_key(checked["query_id"], checked["doc_id"]), checked["judge"]] = checked
        with self.database.write() as connection:
            query = sa.select(VERDICT).where(*self._rules(fingerprint), VERDICT.c.undone.is_(None))
            known = {(row.pair, row.judge): _verdict(row) for row in connection.execute(query)}
            now, new, replaced = time.time(), [], []
            for key, row in wanted.items():
                old = known.get(key)
                if old is not None and (old.kind, old.note) == (row["kind"], row["note"]):
                    continue
                if old is not None:
                    replaced.append(old.id)
                new.append(self._values(fingerprint, row, now, old))
            for start in range(0, len(replaced), 500):  # SQLite bounds the number of parameters
                ended = sa.update(VERDICT).where(VERDICT.c.id.in_(replaced[start : start + 500]))
                connection.execute(ended.values(undone=now))
            if new:
                connection.execute(sa.insert(VERDICT), new)
        return ImportCounts(len(new) - len(replaced), len(replaced), len(wanted) - len(new))

    def undo(self, fingerprint: str, judge: str) -> Verdict | None:
        """The judge's latest verdict, now undone (the one that it had replaced is in force again); None when there is none.

        The judge holds the pair afterwards, so it comes next.
        """
        judge = checked_judge(judge)
        latest = (
            sa.select(VERDICT)
            .where(*self._rules(fingerprint), VERDICT.c.judge == judge, VERDICT.c.undone.is_(None))
            .order_by(VERDICT.c.id.desc())
            .limit(1)
        )
        with self.database.write() as connection:
            found = connection.execute(latest).one_or_none()
            if found is None:
                return None
            row = connection.execute(
                sa.update(VERDICT).where(VERDICT.c.id == found.id).values(undone=time.time()).returning(VERDICT)
            ).one()
            if row.replaces is not None:
                connection.execute(sa.update(VERDICT).where(VERDICT.c.id == row.replaces).values(undone=None))
            else:
                verdict_claims.hold(connection, self.home, fingerprint, judge, [(row.pair, row.query_id, row.doc_id)], time.time())
            return _verdict(row)

    def withdraw(self, fingerprint: str, judge: str) -> int:
        """The number of verdicts taken back: all of that judge's that are in force."""
        rules = (*self._rules(fingerprint), VERDICT.c.judge == checked_judge(judge), VERDICT.c.undone.is_(None))
        with self.database.write() as connection:
            return connection.execute(sa.update(VERDICT).where(*rules).values(undone=time.time())).rowcount

    # Reading -----------------------------------------------------------------------------------------
    def list(self, fingerprint: str, *, judge: str | None = None) -> list[Verdict]:
        """The verdicts in force, oldest first."""
        rules = [*self._rules(fingerprint), VERDICT.c.undone.is_(None)] + ([] if judge is None else [VERDICT.c.judge == judge])
        return self._read(rules)

    def history(self, fingerprint: str, query_id: str, doc_id: str) -> Sequence[Verdict]:
        """Every verdict that was ever given on the pair, undone ones too, oldest first."""
        return self._read([*self._rules(fingerprint), VERDICT.c.pair == pair_key(query_id, doc_id)])

    def of_pair(self, fingerprint: str, query_id: str, doc_id: str) -> Sequence[Verdict]:
        """The verdicts in force on one pair."""
        return [verdict for verdict in self.history(fingerprint, query_id, doc_id) if verdict.undone is None]

    def by_pair(self, fingerprint: str) -> dict[Pair, dict[str, str]]:
        """Pair -> judge -> kind, of the verdicts in force."""
        columns = (VERDICT.c.query_id, VERDICT.c.doc_id, VERDICT.c.judge, VERDICT.c.kind)
        query = sa.select(*columns).where(*self._rules(fingerprint), VERDICT.c.undone.is_(None)).order_by(VERDICT.c.id)
        found: defaultdict[Pair, dict[str, str]] = defaultdict(dict)
        with self.database.read() as connection:
            for query_id, doc_id, judge, kind in connection.execute(query):
                found[query_id, doc_id][judge] = kind
        return dict(found)

    def decided(self, fingerprint: str) -> dict[Pair, str]:
        """Pair -> the verdict of most of its judges; ties are "unsure".

        Where a person has judged (on a page or in an imported file), models' verdicts do not vote.
        """
        columns = (VERDICT.c.query_id, VERDICT.c.doc_id, VERDICT.c.kind, VERDICT.c.source)
        query = sa.select(*columns).where(*self._rules(fingerprint), VERDICT.c.undone.is_(None)).order_by(VERDICT.c.id)
        people: defaultdict[Pair, list[str]] = defaultdict(list)
        models: defaultdict[Pair, list[str]] = defaultdict(list)
        with self.database.read() as connection:
            for query_id, doc_id, kind, source in connection.execute(query):
                (models if source == "llm" else people)[query_id, doc_id].append(kind)
        # Most pairs have one judge: counting these would take most of the time of a desk that asks after each key.
        return {pair: said[0] if len(said) == 1 else majority(Counter(said)) for pair, said in {**models, **people}.items()}

    # Who judges what next ----------------------------------------------------------------------------
    def claim(
        self, fingerprint: str, judge: str, pairs: Sequence[Pair], *, n: int = 1, seconds: float = 180, overlap: float = 0.0
    ) -> list[Pair]:
        """Up to ``n`` of ``pairs`` in their order that this judge now holds for ``seconds``.

        Those that the judge held already come back first; then pairs that the judge has not judged or skipped and nobody
        else holds or has judged. ``overlap``: the share of pairs (chosen by their ids) that a second judge gets too, for
        kappa. A lease that ran out is anybody's; a verdict that comes after it is still saved.
        """
        judge, now = checked_judge(judge), time.time()
        own = verdict_claims.Standing(self.home, fingerprint, judge, now, overlap)
        with self.database.write() as connection:
            own.read(connection)
            chosen = own.choose(pairs, n)
            verdict_claims.hold(connection, self.home, fingerprint, judge, [(pair_key(*p), *p) for p in chosen], now + seconds)
        return chosen

    def skip(self, fingerprint: str, judge: str, query_id: str, doc_id: str) -> None:
        """Put the pair aside for this judge; others may get it. Nothing happens to a pair that is aside or judged already."""
        judge, row = checked_judge(judge), (pair_key(query_id, doc_id), query_id, doc_id)
        with self.database.write() as connection:
            is_aside = verdict_claims.is_aside(connection, self.home, fingerprint, judge, row[0])
            if not is_aside and self._in_force(connection, fingerprint, row[0], judge) is None:
                verdict_claims.hold(connection, self.home, fingerprint, judge, [row], 0.0, skipped=time.time())

    def unskip(self, fingerprint: str, judge: str, *, only_last: bool = False) -> int:
        """The number of pairs that this judge had put aside and that come again; ``only_last``: the latest alone."""
        with self.database.write() as connection:
            return verdict_claims.unskip(connection, self.home, fingerprint, checked_judge(judge), only_last)

    def skipped(self, fingerprint: str, judge: str) -> dict[Pair, float]:
        """The pairs that this judge put aside -> when."""
        rules = (CLAIM.c.home == self.home, CLAIM.c.fingerprint == fingerprint, CLAIM.c.judge == judge, CLAIM.c.skipped.is_not(None))
        with self.database.read() as connection:
            rows = connection.execute(sa.select(CLAIM.c.query_id, CLAIM.c.doc_id, CLAIM.c.skipped).where(*rules))
            return {(query_id, doc_id): when for query_id, doc_id, when in rows}

    # -------------------------------------------------------------------------------------------------
    def _rules(self, fingerprint: str) -> tuple[Any, ...]:
        return VERDICT.c.home == self.home, VERDICT.c.fingerprint == fingerprint

    def _read(self, rules: Iterable[Any]) -> list[Verdict]:
        with self.database.read() as connection:
            return [_verdict(row) for row in connection.execute(sa.select(VERDICT).where(*rules).order_by(VERDICT.c.id))]

    def _in_force(self, connection: sa.Connection, fingerprint: str, pair: str, judge: str) -> Verdict | None:
        rules = (VERDICT.c.pair == pair, VERDICT.c.judge == judge, VERDICT.c.undone.is_(None))
        row = connection.execute(sa.select(VERDICT).where(*self._rules(fingerprint), *rules)).one_or_none()
        return None if row is None else _verdict(row)

    def _insert(self, connection: sa.Connection, fingerprint: str, row: dict[str, str], old: Verdict | None) -> Verdict:
        now = time.time()
        if old is not None:
            connection.execute(sa.update(VERDICT).where(VERDICT.c.id == old.id).values(undone=now))
        values = self._values(fingerprint, row, now, old)
        return _verdict(connection.execute(sa.insert(VERDICT).values(values).returning(VERDICT)).one())

    def _values(self, fingerprint: str, row: dict[str, str], now: float, old: Verdict | None) -> dict[str, Any]:
        pair = pair_key(row["query_id"], row["doc_id"])
        replaces = None if old is None else old.id
        return {"home": self.home, "fingerprint": fingerprint, "pair": pair, **row, "created": now, "replaces": replaces}


def majority(votes: Mapping[str, int]) -> str:
    """The kind with the most votes; a tie is "unsure".

    >>> majority({"false-negative": 2, "unsure": 1}), majority({"false-negative": 1, "true-negative": 1})
    ('false-negative', 'unsure')
    """
    most = max(votes.values())
    first = [kind for kind, n in votes.items() if n == most]
    return first[0] if len(first) == 1 else UNSURE


def checked_judge(name: str) -> str:
    """The judge's name on one line; raises ParameterError for an empty or a long one."""
    name = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    if not name or len(name) > LONGEST_JUDGE:
        raise ParameterError(f"A judge's name must have 1 to {LONGEST_JUDGE} characters; got {len(name)}.")
    return name


def _checked(query_id: str, doc_id: str, judge: str, kind: str, note: str, source: str) -> dict[str, str]:
    if kind not in KINDS:
        raise ParameterError(f"A verdict must be one of {', '.join(KINDS)}; got {kind!r}.")
    if source not in SOURCES:
        raise ParameterError(f"A verdict's source must be one of {', '.join(SOURCES)}; got {source!r}.")
    if not query_id or not doc_id:
        raise ParameterError("A verdict needs the ids of a query and of a document; one is empty.")
    note = note.replace("\0", "").strip()[:LONGEST_NOTE]
    return {"query_id": query_id, "doc_id": doc_id, "judge": checked_judge(judge), "kind": kind, "note": note, "source": source}


def _verdict(row: Any) -> Verdict:
    values = dict(row._mapping)
    del values["home"], values["pair"]
    return Verdict(**values)
