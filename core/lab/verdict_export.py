"""Verdicts as files that this product, and others, read again."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from core.lab.verdicts import Verdict

COLUMNS = ("query_id", "doc_id", "verdict", "note", "judge", "source", "created")


def verdict_records(verdicts: Iterable[Verdict]) -> list[dict[str, str]]:
    """One flat record a verdict; ``created`` in UTC, ISO 8601."""
    return [
        {
            "query_id": v.query_id,
            "doc_id": v.doc_id,
            "verdict": v.kind,
            "note": v.note,
            "judge": v.judge,
            "source": v.source,
            "created": datetime.fromtimestamp(v.created, UTC).isoformat(timespec="seconds"),
        }
        for v in verdicts
    ]


def verdicts_csv(verdicts: Iterable[Verdict]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(verdict_records(verdicts))
    return out.getvalue()


def verdicts_jsonl(verdicts: Iterable[Verdict]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in verdict_records(verdicts))


def decided_jsonl(decided: Mapping[tuple[str, str], str]) -> str:
    """One line a pair, as ``negspace retrain --verdicts`` reads them."""
    lines = ({"query_id": q, "doc_id": d, "verdict": kind} for (q, d), kind in decided.items())
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
