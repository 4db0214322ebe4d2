"""Who judges: a name that is asked once and kept for the visit, on whatever page a verdict is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pages.ui.frame import Session

JUDGE = "judge"


def judge_name(session: Session) -> str:
    """The judge's name; "" before anybody was asked."""
    return session.link.value(JUDGE, "") or session.state.get(JUDGE, "")


def keep_judge(session: Session, name: str) -> None:
    """Remember the name for this visit."""
    session.state[JUDGE] = name
