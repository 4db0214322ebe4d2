"""When the mined negatives are made anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from core.params import Citation, Piece, param


class Schedule(Piece):
    """Base of the schedules."""

    family = "schedule"
    #: True where a second process mines while training goes on (core/train/background.py).
    is_async: ClassVar[bool] = False

    def is_due(self, step: int, steps_per_epoch: int) -> bool:
        """Whether the model-dependent sources are mined again before this step (0-based; step 0 always mines)."""
        raise TypeError(f"{type(self).__name__} is never due")

    def refreshes(self, n_steps: int, steps_per_epoch: int) -> int:
        """How often the corpus is searched during ``n_steps`` steps."""
        return sum(self.is_due(step, steps_per_epoch) for step in range(n_steps))


@dataclass(frozen=True, kw_only=True)
class Once(Schedule):
    """Mined before the first step and kept.

    One search pays for the whole training. The negatives of a model-based source grow stale as the model moves away
    from the one that mined them.
    """

    key = "once"
    title = "Once"
    source = Citation(
        "Karpukhin et al.",
        2020,
        "Dense Passage Retrieval for Open-Domain Question Answering",
        "https://arxiv.org/abs/2004.04906",
    )

    def is_due(self, step, steps_per_epoch):
        return step == 0


@dataclass(frozen=True, kw_only=True)
class EverySteps(Schedule):
    """Mined again every n steps with the model of that moment.

    The heart of ANCE: re-encode the corpus, search, replace the negatives. Often is fresh and dear; here the search is
    synchronous, so that equal seeds give equal negatives.
    """

    key = "every"
    title = "Every n steps"
    cost = "high"
    difficulty = "hard"
    source = Citation(
        "Xiong et al.",
        2020,
        "Approximate Nearest Neighbor Negative Contrastive Learning for Dense Text Retrieval",
        "https://arxiv.org/abs/2007.00808",
    )
    steps: int = param(0, "training steps between two searches; 0 = once an epoch", unit="steps", ge=0, le=100_000)

    def is_due(self, step, steps_per_epoch):
        return step % (self.steps or steps_per_epoch) == 0


@dataclass(frozen=True, kw_only=True)
class AsyncEverySteps(EverySteps):
    """A second process mines every n steps, and training goes on with the old negatives until the new ones are there.

    ANCE as its authors ran it: encoding a large corpus takes long, and nobody waits for it. The price is staleness: the new negatives
    come from weights that are some steps old when they are taken; each refresh is logged with that number. A refresh that falls due
    while another is under way is left out. With lag 0 the moment depends on the machine, so no seed repeats the trial; with a
    lag it does, and training waits where the process is slower. Short trainings end before the process has started.
    """

    key = "every-async"
    title = "Every n steps, in the background"
    is_async = True
    source = EverySteps.source
    lag: int = param(
        0, "steps from the weights to the taking of their negatives; 0 = as soon as they are there", unit="steps", ge=0, le=100_000
    )


SCHEDULES: tuple[type[Schedule], ...] = (Once, EverySteps, AsyncEverySteps)
