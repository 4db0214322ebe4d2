"""A sweep as a table: one row a technique, its bands named, and what of the literature's order appears; as JSON, Markdown, TSV, text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from core.audit.expectations import APPEARS, OPPOSITE, UNCLEAR, Finding, findings
from core.corpus.corpus import Corpus
from core.evaluate.significance import Band
from core.lab.code_lines import COUNTED, recipe_lines
from core.lab.sweep_figures import LABELS, SECONDS, TRUTH, Measured, baselines
from core.sampling.presets import FAMILY_TITLES

MEASURES = ("RR@10", "nDCG@10", "R@100")
BAND_OF_SEEDS = "t interval over the seeds, the queries staying the same: where the mean of many seeds would lie"
BAND_OF_QUERIES = "bootstrap over the held-out queries: where the mean would lie with other queries of this kind"


def sweep_data(
    measured: Mapping[str, Measured],
    corpus: Corpus,
    *,
    left_out: Mapping[str, str],
    failed: Mapping[str, str],
    jobs: int = 1,
    is_complete: bool = True,
) -> dict[str, Any]:
    """The whole table, JSON-ready: ``rows``, ``baselines``, ``findings``, ``bands`` (what each kind of band is), and what is missing."""
    judged = sorted(set.intersection(*(set(m.judged_by) for m in measured.values()))) if measured else [LABELS]
    first = next(iter(measured.values()), None)
    n_queries = 0 if first is None else int(np.isfinite(first.values("RR@10")).sum())
    return {
        "corpus": corpus.name,
        "fingerprint": corpus.fingerprint,
        "n_documents": corpus.n_documents,
        "n_test_queries": n_queries,
        "setting": {} if first is None else _setting(first),
        "seeds": sorted({seed for m in measured.values() for seed in m.folders}),
        "jobs": jobs,
        "is_complete": is_complete,
        "bands": {"seeds": BAND_OF_SEEDS, "queries": BAND_OF_QUERIES, "seconds": "fastest and slowest trial"},
        "lines": COUNTED,
        "rows": [_row(m, judged) for m in measured.values()],
        "baselines": baselines(list(measured.values())),
        "findings": [_finding(found, by) for by in judged for found in _findings(measured, by)],
        "left_out": dict(left_out),
        "failed": dict(failed),
    }


def _setting(measured: Measured) -> dict[str, Any]:
    config = measured.trials[0].config
    return {"encoder": config.encoder, **{name: getattr(config, name) for name in ("epochs", "batch_size", "learning_rate")}}


def _row(measured: Measured, judged: list[str]) -> dict[str, Any]:
    preset = measured.preset
    false = measured.false_negatives()
    return {
        "recipe": preset.name,
        "title": preset.title,
        "family": preset.family,
        "seed_named": preset.is_seed_named,
        "cost": preset.cost,
        "difficulty": preset.difficulty,
        "lines": recipe_lines(preset.recipe),
        "n_seeds": measured.n_seeds,
        "metrics": {by: {m: _bands(measured, m, by) for m in MEASURES} for by in judged},
        "false_negative_rate": _band(false),
        "n_mined_uses": int(sum(trial.used.sum() for trial in measured.false)),
        "seconds": {part: _band(measured.seconds(part)) for part in SECONDS},
        "trials": [folder.name for folder in measured.folders.values()],
    }


def _bands(measured: Measured, measure: str, by: str) -> dict[str, Any]:
    seeds, queries = measured.over_seeds(measure, by), measured.over_queries(measure, by)
    return {**_band(seeds), "queries_low": _number(queries.low), "queries_high": _number(queries.high)}


def _band(band: Band) -> dict[str, Any]:
    return {"mean": _number(band.mean), "low": _number(band.low), "high": _number(band.high)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _findings(measured: Mapping[str, Measured], by: str) -> list[Finding]:
    """Quality by both kinds of judgements; false negatives once, for they need the truth anyway."""
    quality = {name: m.values("RR@10", by) for name, m in measured.items()}
    false = {} if by == TRUTH else {name: m.false_by_query() for name, m in measured.items() if m.false}
    return findings(quality, false, "RR@10" if by == LABELS else "RR@10 against truth")


def _finding(found: Finding, by: str) -> dict[str, Any]:
    e, d = found.expectation, found.difference
    figures = {name: _number(value) for name, value in (("mean", d.mean), ("low", d.low), ("high", d.high), ("p_holm", found.p))}
    about = {"better": e.better, "worse": e.worse, "of": e.of, "judged_by": by, "source": str(e.source), "url": e.source.url}
    return {**about, "verdict": found.verdict, "n_queries": d.n_queries, **figures, "sentence": found.sentence}


def head_and_cells(data: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The table as text cells, by family: means with half widths of the seeds' band, shares in percent, seconds with their range."""
    by_truth = any(TRUTH in row["metrics"] for row in data["rows"])
    has_false = any(row["false_negative_rate"]["mean"] is not None for row in data["rows"])
    head = ["family", "recipe", "seeds", *MEASURES, *(["RR@10 by truth"] if by_truth else [])]
    head += [*(["false negatives"] if has_false else []), *(f"{part}, s" for part in SECONDS)]
    cells = []
    for row in data["rows"]:
        line = [FAMILY_TITLES[row["family"]], row["recipe"], str(row["n_seeds"])]
        line += [_said(row["metrics"][LABELS][m]) for m in MEASURES]
        line += [_said(row["metrics"][TRUTH]["RR@10"])] if by_truth else []
        line += [_said(row["false_negative_rate"], percent=True)] if has_false else []
        cells.append([*line, *(_said_seconds(row["seconds"][part]) for part in SECONDS)])
    n_after = len(head) - 3 - len(MEASURES)
    for name, metrics in data["baselines"].items():
        cells.append(["Baseline", name, "", *(f"{metrics[m]:.4f}" for m in MEASURES), *[""] * n_after])
    return head, cells


def _said(band: Mapping[str, float | None], *, percent: bool = False) -> str:
    mean, high = band["mean"], band["high"]
    if mean is None:
        return ""
    scale, digits, unit = (100, 2, " %") if percent else (1, 4, "")
    half = "" if high is None else f" ± {scale * (high - mean):.{digits}f}"
    return f"{scale * mean:.{digits}f}{half}{unit}"


def _said_seconds(band: Mapping[str, float | None]) -> str:
    mean, low, high = band["mean"], band["low"], band["high"]
    if mean is None or low is None or high is None:
        return ""
    return f"{mean:.1f}" + (f" ({low:.1f}-{high:.1f})" if high - low >= 0.05 else "")


def as_text(data: Mapping[str, Any]) -> str:
    """The table and the findings for a terminal."""
    head, cells = head_and_cells(data)
    widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in [head, *cells]
    ]
    return "\n".join([*lines, "", *about(data), *_findings_told(data, "")])


def as_markdown(data: Mapping[str, Any]) -> str:
    """The table and the findings as Markdown."""
    head, cells = head_and_cells(data)
    rows = [[row[0], f"`{row[1]}`" if row[0] != "Baseline" else row[1], *row[2:]] for row in cells]
    aligned = ["---" if i < 2 else "--:" for i in range(len(head))]
    lines = ["| " + " | ".join(row) + " |" for row in (head, aligned, *rows)]
    return "\n".join([*lines, "", *about(data), *_findings_told(data, "* ")])


def as_tsv(data: Mapping[str, Any]) -> str:
    """One line a technique with every figure and both bands, for other programs."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    flat = [_flat(row) for row in data["rows"]]
    names = list(dict.fromkeys(name for row in flat for name in row))
    writer.writerow(names)
    writer.writerows([row.get(name, "") for name in names] for row in flat)
    return out.getvalue()


def _flat(value: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, part in value.items():
        if isinstance(part, Mapping):
            found |= _flat(part, f"{before}{name}.")
        else:
            found[before + name] = " ".join(part) if isinstance(part, list) else "" if part is None else part
    return found


def about(data: Mapping[str, Any]) -> list[str]:
    """How the table is to be read, one sentence a line."""
    setting, n_seeds = data["setting"], len(data["seeds"])
    lines = []
    if setting:
        lines.append(
            f"{data['corpus']}: {data['n_documents']:,} documents, {data['n_test_queries']:,} held-out queries; encoder "
            f"{setting['encoder'].get('key', '')}, {setting['epochs']} epochs, batches of {setting['batch_size']}, learning rate "
            f"{setting['learning_rate']:g}; seeds {', '.join(map(str, data['seeds']))}."
        )
    one = "One seed, so no band over seeds; the bands over queries are in the files."
    lines.append(f"± is half of the 95 % {BAND_OF_SEEDS}." if n_seeds > 1 else one)
    if any(row["false_negative_rate"]["mean"] is not None for row in data["rows"]):
        lines.append("False negatives: share of the mined negatives in the loss, each use counted, that the truth calls relevant.")
    lines.append(
        "Seconds of one trial (fastest to slowest seed). Total adds set-up to training, mining and measuring; a seed's cross-encoder is "
        "trained in the first trial that needs it."
    )
    if data["jobs"] > 1:
        lines.append(f"Trained {data['jobs']} at once: alone each would take fewer seconds.")
    lines += [f"Left out, {name}: {why}" for name, why in data["left_out"].items()]
    lines += [f"FAILED, {name}: {why}" for name, why in data["failed"].items()]
    if not data["is_complete"]:
        lines.append("The sweep is not complete: the same command goes on.")
    return lines


def _findings_told(data: Mapping[str, Any], bullet: str) -> list[str]:
    """The literature's orders, by what they were judged by, each part with its count."""
    lines: list[str] = []
    for by in dict.fromkeys(found["judged_by"] for found in data["findings"]):
        own = [found for found in data["findings"] if found["judged_by"] == by]
        counts = {verdict: sum(found["verdict"] == verdict for found in own) for verdict in (APPEARS, OPPOSITE, UNCLEAR)}
        lines += [
            "",
            f"The literature's order, judged by the {by}: of {len(own)} expectations {counts[APPEARS]} appear, of {counts[OPPOSITE]} the "
            f"opposite appears, {counts[UNCLEAR]} cannot be told (paired randomisation over the queries).",
            "",
            *(bullet + found["sentence"] for found in own),
        ]
    return lines
