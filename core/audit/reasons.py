"""Every reason to doubt a negative, in the order in which tables show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from core.audit.reason import Reason
from core.audit.reasons_log import ClickedInLog
from core.audit.reasons_models import CrossEncoderSays, GuideDisagrees, SourcesAgree, TrialsAgree, WillNotFall
from core.audit.reasons_pairs import (
    CopyOfPositive,
    MeansThePositive,
    MeansThePositiveByGuide,
    PositiveOfLikeQuery,
    SharesAPositive,
)
from core.audit.reasons_scores import AbovePositive, ChooseEachOther, HighScore, PositivePercentile, ShareOfPositive
from core.audit.reasons_words import HoldsTheAnswer, HoldsTheAnswerByGuide, WordsOfPositive
from core.params import make_piece

REASONS: tuple[type[Reason], ...] = (
    HighScore, AbovePositive, ShareOfPositive, PositivePercentile, ChooseEachOther,
    CrossEncoderSays, GuideDisagrees, SourcesAgree, TrialsAgree, WillNotFall,
    CopyOfPositive, MeansThePositive, MeansThePositiveByGuide, WordsOfPositive,
    HoldsTheAnswer, HoldsTheAnswerByGuide,
    PositiveOfLikeQuery, SharesAPositive, ClickedInLog,
)  # fmt: skip


def default_reasons() -> tuple[Reason, ...]:
    """Every reason at its default threshold."""
    return tuple(cls() for cls in REASONS)


def make_reason(data: dict[str, Any] | str) -> Reason:
    """The reason that a dict (or a bare key) describes; raises ParameterError."""
    return cast(Reason, make_piece(REASONS, {"key": data} if isinstance(data, str) else data, "reasons"))


def reasons_by_key(reasons: Iterable[Reason]) -> dict[str, Reason]:
    """key -> reason, in order."""
    return {reason.key: reason for reason in reasons}
