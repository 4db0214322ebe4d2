"""Answers of the command line as aligned text."""

from __future__ import annotations

from typing import Any


def print_comparison(comparison) -> dict[str, Any]:
    """Print the measures and the paired differences of a Comparison; return both, JSON-ready."""
    from core.evaluate.metrics import MEASURES

    rows = [[s.name, *(s.band(m).mean for m in MEASURES), s.seconds.get("total", "")] for s in comparison.systems]
    print(as_table(["", *MEASURES, "seconds"], rows))
    differences = []
    for measure in MEASURES:
        for index, difference, p in comparison.against_first(measure):
            other = comparison.systems[index].name
            differences.append(
                {"a": other, "b": comparison.systems[0].name, "measure": measure, "mean": difference.mean,
                 "low": difference.low, "high": difference.high, "p": difference.p, "p_holm": p, "n_queries": difference.n_queries}
            )
            if measure == MEASURES[0]:
                band = f"[{difference.low:+.4f}, {difference.high:+.4f}]"
                print(
                    f"{other} - {comparison.systems[0].name}: {measure} {difference.mean:+.4f} {band}, "
                    f"p = {difference.p:.4f}, Holm {p:.4f}, n = {difference.n_queries}"
                )
    systems = [
        {"name": s.name, "kind": s.kind, "metrics": {m: s.band(m).mean for m in MEASURES}, "seconds": s.seconds} for s in comparison.systems
    ]
    return {"systems": systems, "differences": differences}


def as_table(head: list[str], rows: list[list[Any]]) -> str:
    """The rows under their head, columns aligned; floats with four places."""
    cells = [[f"{c:.4f}" if isinstance(c, float) else str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    aligned = [[row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))] for row in cells]
    return "\n".join("  ".join(row) for row in aligned)
