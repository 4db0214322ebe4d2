"""A corpus of articles in passages with titles, names and dates, for tests of positives without labels."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from core.corpus.corpus import Corpus
from core.corpus.impressions import Impressions
from core.corpus.judgements import Judgements

PLACES = ("Velmora", "Tarn Hollow", "Ostrava Bay", "Quill Harbour", "Mount Serrin", "Lake Idris")
THINGS = ("a stone bridge", "the glass works", "a public library", "the tram line", "a botanical garden", "the old mint")
MAKERS = ("Anna Keel", "Jonas Brandt", "Mira Solano", "Piet Vos", "Lena Okafor", "Tomas Reed")
PASSAGES = 4


def documents() -> list[dict[str, str]]:
    """24 passages of six articles; the article's thing recurs in its passages."""
    rows = []
    for a, place in enumerate(PLACES):
        thing, maker, year = THINGS[a], MAKERS[a], 1810 + 23 * a
        texts = (
            f"{place} is known for {thing} on its northern side. Visitors reach it by the ferry that leaves at noon.",
            f"In {year} {maker} built {thing} with money from the guild. The work took seven hard winters to finish.",
            f"People still argue whether {thing} should be painted green or left grey. A vote was held in March {year + 90}.",
            f"Every spring {place} holds a market near the water. Traders sell honey, rope and dried fish to passing crews.",
        )
        for number, text in enumerate(texts, 1):
            title = f"{place}, part {number}"
            rows.append({"doc_id": f"{a}-{number}", "title": title, "text": text, "source": place, "passage": str(number)})
    return rows


def world(train_pairs=None, *, with_fields: bool = True, log=None) -> Corpus:
    """The corpus; ``train_pairs``: [(query_row, doc_row)], None = the true ones, () = no label to train on at all.

    ``log``: [(query_row, doc_row, position, is_clicked, session)].
    """
    rows = documents()
    n = len(PLACES)
    queries = [f"who built {THINGS[a][2:]}" for a in range(n)] + [f"when is the market of {PLACES[a]}" for a in range(n)]
    true = [(a, a * PASSAGES + 1) for a in range(n)]
    test = [(n + a, a * PASSAGES + 3) for a in range(n)]
    train = true if train_pairs is None else list(train_pairs)

    def judged(pairs):
        return Judgements.from_pairs([q for q, _ in pairs], [d for _, d in pairs], [1] * len(pairs), len(queries))

    names = ("doc_id", "title", "text", "source", "passage") if with_fields else ("doc_id", "title", "text")
    return Corpus(
        name="world",
        documents=pa.table({name: [row[name] for row in rows] for name in names}),
        queries=pa.table({"query_id": [f"q{i}" for i in range(len(queries))], "text": queries}),
        splits={"train": judged(train), "test": judged(test)},
        impressions=None if log is None else Impressions.of(*zip(*log, strict=True), len(queries)),
    )


def shuffled_labels(seed: int = 3) -> list[tuple[int, int]]:
    """The training queries, each with a document drawn at random."""
    rng = np.random.default_rng(seed)
    return [(q, int(rng.integers(len(PLACES) * PASSAGES))) for q in range(len(PLACES))]


def with_file(piece, folder):
    """The piece, reading a file of written texts for the corpus where it needs one."""
    if not hasattr(piece, "file"):
        return piece
    path = folder / "texts.jsonl"
    rows = documents()
    lines = [{"kind": "query", "doc-id": row["doc_id"], "text": f"what about {row['title']}"} for row in rows]
    lines += [{"kind": "paraphrase", "query-id": f"q{i}", "text": f"in other words {i}"} for i in range(6)]
    lines += [{"kind": "negative", "query-id": f"q{i}", "text": f"not an answer {i}"} for i in range(6)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return piece.but(file=str(path))
