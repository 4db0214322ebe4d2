"""Mining to a file: every candidate of every training query with ids, for scripts and other tools."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.errors import ParameterError
from core.sampling.context import MiningContext
from core.sampling.mine import mine_lane, pick
from core.sampling.recipe import Recipe
from core.train.vectors import trial_vectors, untrained_vectors


def mine_to_file(
    corpus: Corpus, recipe: Recipe, out: Path, *, trial: Path | None = None, encoder: dict[str, Any] | None = None, seed: int = 0
) -> dict[str, Any]:
    """Write the candidates and return ``{"rows", "queries", "lanes", "seconds", "out"}``.

    Columns: query_id, doc_id, lane, source, rank (raw, 1-based), score, positive_id, positive_score, kept, rule ("kept" or the
    rule that refused), picked (would be trained against). Written whole or not at all. ``trial``: the model that scores and
    searches; None = the untrained encoder. Raises ParameterError when the recipe mines nothing or no query is left.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    if not recipe.mined:
        raise ParameterError("This recipe mines nothing: its negatives come with the batch. Choose one that mines, such as bm25 or ance.")
    if found := recipe.lacks(corpus):
        raise ParameterError(" ".join(found))
    started = time.perf_counter()
    similarity = recipe.signal.similarity
    kept: dict[str, Any] = {}

    def vectors_of(which: str):
        if which in ("current", "start"):
            which = str(trial) if trial else ""
        if which not in kept:
            home = trial.parent if trial else Path()  # a recipe may name a trial by its id, beside the given one
            untrained = encoder or {"key": "static"}
            kept[which] = (
                trial_vectors(home / which, corpus) if which else untrained_vectors(corpus, untrained, similarity, seed)
            )
        return kept[which]

    if missing := recipe.positives.lacks(corpus, recipe):
        raise ParameterError(missing)
    context = MiningContext(recipe.positives.trained_corpus(corpus), vectors_of)
    pairs = recipe.positives.pairs(context)
    context.train_on(*pairs)
    query_rows = np.unique(pairs[0])
    if len(query_rows) == 0:
        raise ParameterError("The corpus has no training query with a positive. Add judged pairs to qrels/train.tsv.")
    doc_ids = corpus.documents["doc_id"].combine_chunks()
    query_ids = corpus.queries["query_id"].combine_chunks()
    parts, lanes = [], []
    for index, lane in enumerate(recipe.mined):
        table = mine_lane(lane, context, query_rows, np.random.default_rng([seed, 8, index]), index=index, with_model_scores=False)
        columns = pick(lane, table, np.random.default_rng([seed, 9, index]))
        is_picked = np.zeros(table.doc_rows.shape, bool)
        rows, places = np.nonzero(columns >= 0)
        is_picked[rows, columns[rows, places]] = True
        arrow = table.table()
        positive = arrow["positive_row"].to_numpy()
        parts.append(
            pa.table(
                {
                    "query_id": query_ids.take(arrow["query_row"].combine_chunks()),
                    "doc_id": doc_ids.take(arrow["doc_row"].combine_chunks()),
                    "lane": arrow["lane"],
                    "source": arrow["source"].cast(pa.string()),
                    "rank": arrow["rank"],
                    "score": arrow["score"],
                    "positive_id": doc_ids.take(pa.array(positive, mask=positive < 0)),
                    "positive_score": arrow["positive_score"],
                    "kept": arrow["kept"],
                    "rule": arrow["rule"].cast(pa.string()),
                    "picked": is_picked[table.doc_rows >= 0],
                }
            )
        )
        lanes.append({"source": lane.source.key, "funnel": [*table.funnel(), ("picked", int(is_picked.sum()))]})
    whole = pa.concat_tables(parts)
    part = out.with_name(out.name + ".part")
    parquet.write_table(whole, part, compression="zstd")
    part.replace(out)
    return {
        "out": str(out),
        "rows": whole.num_rows,
        "queries": len(query_rows),
        "lanes": lanes,
        "seconds": time.perf_counter() - started,
    }
