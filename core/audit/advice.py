"""What the truth bench allows to be said: which threshold to use, in one sentence, with its evidence."""

from __future__ import annotations

import numpy as np

from core.audit.truth_bench import PRECISION, RECALL, Measured, TruthBench
from core.audit.truth_combine import CEILING

VOTES = ("any", "k-of-n")


def advice(bench: TruthBench) -> str:
    """Which reason or combination to use and from which value on, what it then finds, and on how much that rests."""
    single = max(bench.reasons, key=lambda m: m.tuned_f1)
    rests = f"measured on the halves of {bench.n_queries} queries that nothing was tuned on, {bench.n_splits} splits"
    # A regression on half of truth shows what is possible; nobody has that many verdicts.
    usable = max((m for m in bench.combinations if m.key != CEILING), key=lambda m: m.tuned_f1)
    best = usable if usable.tuned_f1 > single.tuned_f1 else single
    # A vote's own scale says nothing; what counts are its reasons and their thresholds.
    told = f"{best.about}" if best.key in VOTES else f"from {best.threshold:.2f}"
    sentence = f'Use "{best.title}", {told}: {_finds(best)} ({rests}).'
    if best is not single:
        sentence += f' As a single reason, "{single.title}" from {single.threshold:.2f} is the best: {_finds(single)}.'
    if np.isfinite(best.strict_precision) and best.strict_recall > 0:
        sentence += (
            f' To refuse without looking, take "{best.title}" from {best.strict_threshold:.2f}, '
            f"tuned for precision {PRECISION:g}: precision {best.strict_precision:.2f}, recall {best.strict_recall:.2f}."
        )
    return sentence


def verdict(bench: TruthBench) -> str:
    """Whether the best combination has precision .8 and recall .7 on queries that it was not tuned on, in one sentence."""
    best = bench.best
    goal = f"precision {PRECISION:g} and recall {RECALL:g}"
    if bench.reaches:
        return f'Reached: {goal}, by "{best.title}" ({best.about}).'
    at_strict = "it accuses nothing"
    if best.strict_recall > 0:
        at_strict = f"it has precision {best.strict_precision:.2f} and recall {best.strict_recall:.2f}"
    return (
        f'Not reached: {goal}. The best combination, "{best.title}", has precision {best.precision:.2f} and recall {best.recall:.2f} '
        f"(F1 {best.f1:.2f}); tuned for precision {PRECISION:g}, {at_strict}."
    )


def _finds(measured: Measured) -> str:
    low, high = measured.precision_range
    return (
        f"{measured.precision:.0%} of what it accuses is a false negative ({low:.0%}-{high:.0%}), "
        f"and it finds {measured.recall:.0%} of them"
    )
