"""Who holds which pair while it is judged. Call these inside a write transaction of the database."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from core.lab.tables import CLAIM, VERDICT

Pair = tuple[str, str]


class Standing:
    """What one judge may be given at a moment: who has judged, holds and has put aside which pairs."""

    def __init__(self, home: str, fingerprint: str, judge: str, now: float, overlap: float):
        self.home, self.fingerprint, self.judge, self.now, self.overlap = home, fingerprint, judge, now, overlap
        self.judged: set[Pair] = set()  # by this judge
        self.aside: set[Pair] = set()
        self.own: set[Pair] = set()  # held by this judge
        self.others: defaultdict[Pair, set[str]] = defaultdict(set)  # judges who have judged it or hold it

    def read(self, connection: sa.Connection) -> None:
        """Read the standing; leases that ran out are removed."""
        mine = (CLAIM.c.home == self.home, CLAIM.c.fingerprint == self.fingerprint)
        is_over = (CLAIM.c.until < self.now, CLAIM.c.skipped.is_(None), CLAIM.c.judge != self.judge)
        connection.execute(sa.delete(CLAIM).where(*mine, *is_over))
        given = (VERDICT.c.home == self.home, VERDICT.c.fingerprint == self.fingerprint, VERDICT.c.undone.is_(None))
        verdicts = sa.select(VERDICT.c.query_id, VERDICT.c.doc_id, VERDICT.c.judge).where(*given)
        for query_id, doc_id, judge in connection.execute(verdicts):
            if judge == self.judge:
                self.judged.add((query_id, doc_id))
            else:
                self.others[query_id, doc_id].add(judge)
        claims = sa.select(CLAIM.c.query_id, CLAIM.c.doc_id, CLAIM.c.judge, CLAIM.c.skipped).where(*mine)
        for query_id, doc_id, judge, skipped in connection.execute(claims):
            if judge == self.judge:
                (self.own if skipped is None else self.aside).add((query_id, doc_id))
            elif skipped is None:
                self.others[query_id, doc_id].add(judge)

    def choose(self, pairs: Sequence[Pair], n: int) -> list[Pair]:
        """The first ``n`` of the pairs for this judge: those that it holds already, then free ones, each in the given order."""
        held: list[Pair] = []
        free: list[Pair] = []
        n_own = len(self.own)
        for pair in pairs:
            if pair in self.judged or pair in self.aside:
                continue
            # A lease of one's own that ran out is still good while nobody else took the pair.
            if self._is_free(pair):
                if pair in self.own:
                    held.append(pair)
                elif len(free) < n:
                    free.append(pair)
            if len(held) >= min(n, n_own) and len(held) + len(free) >= n:
                break
        return (held + free)[:n]

    def _is_free(self, pair: Pair) -> bool:
        taken = self.others.get(pair)
        if not taken:
            return True
        return len(taken) == 1 and self.overlap > 0 and share_of(pair) < self.overlap


def pair_key(query_id: str, doc_id: str) -> str:
    """32 hexadecimal digits that name the pair."""
    return hashlib.sha256(f"{len(query_id)}:{query_id}{doc_id}".encode()).hexdigest()[:32]


def share_of(pair: Pair) -> float:
    """A number in [0, 1) that depends on the pair's ids alone: which pairs two judges see."""
    return int(pair_key(*pair)[:8], 16) / 2**32


def hold(
    connection: sa.Connection,
    home: str,
    fingerprint: str,
    judge: str,
    rows: Sequence[tuple[str, str, str]],
    until: float,
    *,
    skipped: float | None = None,
) -> None:
    """Let the judge hold (or put aside) the pairs, given as (pair's key, query_id, doc_id)."""
    if not rows:
        return
    release(connection, home, fingerprint, judge, *(row[0] for row in rows))
    about = {"home": home, "fingerprint": fingerprint, "judge": judge, "until": until, "skipped": skipped}
    values = [{**about, "pair": pair, "query_id": query_id, "doc_id": doc_id} for pair, query_id, doc_id in rows]
    connection.execute(sa.insert(CLAIM), values)


def release(connection: sa.Connection, home: str, fingerprint: str, judge: str, *pairs: str) -> None:
    """The judge no longer holds the pairs, given by their keys."""
    connection.execute(sa.delete(CLAIM).where(*_of(home, fingerprint, judge), CLAIM.c.pair.in_(pairs)))


def is_aside(connection: sa.Connection, home: str, fingerprint: str, judge: str, pair: str) -> bool:
    """Whether the judge has put the pair (by its key) aside."""
    rules = (*_of(home, fingerprint, judge), CLAIM.c.pair == pair, CLAIM.c.skipped.is_not(None))
    return connection.execute(sa.select(CLAIM.c.pair).where(*rules)).first() is not None


def unskip(connection: sa.Connection, home: str, fingerprint: str, judge: str, only_last: bool) -> int:
    """Pairs that the judge had put aside and no longer has: all, or the latest. A pair brought back alone is held again."""
    mine = (*_of(home, fingerprint, judge), CLAIM.c.skipped.is_not(None))
    if not only_last:
        return connection.execute(sa.delete(CLAIM).where(*mine)).rowcount
    latest = connection.execute(sa.select(CLAIM).where(*mine).order_by(CLAIM.c.skipped.desc()).limit(1)).one_or_none()
    if latest is None:
        return 0
    statement = sa.update(CLAIM).where(*mine, CLAIM.c.pair == latest.pair)
    return connection.execute(statement.values(skipped=None, until=latest.skipped)).rowcount


def _of(home: str, fingerprint: str, judge: str) -> tuple[Any, ...]:
    return CLAIM.c.home == home, CLAIM.c.fingerprint == fingerprint, CLAIM.c.judge == judge
