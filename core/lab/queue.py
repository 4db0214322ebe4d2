"""Whose turn it is: the owner with the fewest recent starts first, then the oldest trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from core.lab.tables import ACTIVE, TRIAL

# Long enough that a sweep submitted this morning does not outrun a colleague's single trial.
RECENT_SECONDS = 24 * 3600.0


def next_trial(home: str, since: float, max_running: int) -> sa.ScalarSelect[str]:
    """Scalar subquery: the id of the trial to start now, no row when none waits or no place is free.

    ``since``: starts after this second count as recent.
    """
    waiting, busy, other = TRIAL.alias("waiting"), TRIAL.alias("busy"), TRIAL.alias("other")
    n_running = _count(busy).where(busy.c.home == home, busy.c.state.in_(ACTIVE)).scalar_subquery()
    n_starts = _count(other).where(other.c.owner == waiting.c.owner, _is_recent(other, home, since))
    return (
        sa.select(waiting.c.id)
        .where(waiting.c.home == home, waiting.c.state == "queued", n_running < max_running)
        .order_by(n_starts.scalar_subquery(), waiting.c.position, waiting.c.id)
        .limit(1)
        .scalar_subquery()
    )


def recent_starts(home: str, since: float) -> sa.Select[tuple[str, int]]:
    """Rows (owner, n_starts)."""
    query = sa.select(TRIAL.c.owner, sa.func.count().label("n_starts"))
    return query.where(_is_recent(TRIAL, home, since)).group_by(TRIAL.c.owner)


def turns(waiting: Sequence[tuple[str, str]], n_starts: Mapping[str, int]) -> list[str]:
    """Ids in the order in which they will start; ``waiting`` holds (id, owner), oldest first.

    >>> turns([("a1", "ann"), ("a2", "ann"), ("b1", "bob")], {"ann": 0})
    ['a1', 'b1', 'a2']
    """
    left, starts, order = list(waiting), dict(n_starts), []
    while left:
        chosen = min(range(len(left)), key=lambda i: (starts.get(left[i][1], 0), i))
        trial_id, owner = left.pop(chosen)
        starts[owner] = starts.get(owner, 0) + 1
        order.append(trial_id)
    return order


def _count(table: sa.FromClause) -> sa.Select[tuple[int]]:
    return sa.select(sa.func.count()).select_from(table)


def _is_recent(table: sa.FromClause, home: str, since: float) -> sa.ColumnElement[bool]:
    return (table.c.home == home) & ((table.c.started > since) | table.c.state.in_(ACTIVE))
