"""Dense mining against ``mine_hard_negatives`` of sentence-transformers, side by side in one process."""

from __future__ import annotations

import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.encode.encoders import make_encoder
from core.errors import ParameterError, UserError
from core.sampling.context import CorpusIndex, MiningContext, Vectors, identical_groups
from core.sampling.mine import mine_lane, pick, rows_at
from core.sampling.pickers import Top
from core.sampling.recipe import Lane
from core.sampling.sources import Dense
from core.sampling.windows import RankWindow

N_NEGATIVES = 4


def bench_mine(corpus: Corpus, *, repeats: int = 3) -> dict[str, Any]:
    """Seconds to mine the top 4 of every training query on both sides, medians over alternating rounds, and the agreement.

    Both sides encode every query and document with one model, search exactly, leave out the known positives and take the 4
    best. The peer tokenises and matches texts each time that it mines; here a trial tokenises and looks for identical texts
    once and mines many times, so ``mine_ratio`` is one refresh and ``mine_ratio_with_tokenizing`` counts the tokenising on
    our side too. ``mine_agreement``: share of the peer's negatives that are also ours for that query, compared by text since
    the peer knows no ids.
    """
    import torch

    from core.train.trial import STEP_THREADS

    try:
        from datasets import Dataset
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.util import mine_hard_negatives
    except ImportError as error:
        raise UserError(f"{error.name} is not installed: pip install 'negspace[bench]'") from error
    query_rows, doc_rows, _ = corpus.splits["train"].only_positive().pairs()
    if len(query_rows) == 0:
        raise ParameterError("bench needs training pairs; the corpus has none.")
    texts = corpus.document_texts()
    # The peer knows a query by its text: of two queries with one text only the first takes part, on both sides.
    query_texts = corpus.query_texts()
    asked = np.unique(query_rows)
    groups = identical_groups(corpus.query_texts(asked))
    asked = asked[np.sort(np.unique(groups, return_index=True)[1])]
    is_asked = np.isin(query_rows, asked)
    pairs = {
        "anchor": [query_texts[row] for row in query_rows[is_asked]],
        "positive": [texts[row] for row in doc_rows[is_asked]],
    }
    model = make_encoder("static").build(texts, 0)
    index = CorpusIndex(corpus)
    most = int(np.bincount(query_rows[is_asked]).max())
    lane = Lane(source=Dense(), window=RankWindow(last=N_NEGATIVES + most + 2), picker=Top(), per_query=N_NEGATIVES)

    def here() -> np.ndarray:
        threads = torch.get_num_threads()
        torch.set_num_threads(STEP_THREADS)  # as a trial does; the peer keeps all
        begun = perf_counter()
        tokens = model.tokenize(query_texts), model.tokenize(texts)
        seconds["tokenizing"].append(perf_counter() - begun)
        begun = perf_counter()
        vectors = Vectors(model.encode(tokens[0], "query"), model.encode(tokens[1], "document"), "cosine", "bench")
        context = MiningContext(corpus, lambda which: vectors, index)
        rng = np.random.default_rng(0)
        table = mine_lane(lane, context, asked, rng, with_model_scores=False)
        found = rows_at(table, pick(lane, table, rng))
        seconds["here"].append(perf_counter() - begun)
        torch.set_num_threads(threads)
        return found

    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model", "cosine")
        peer_model = SentenceTransformer(str(Path(folder) / "model"), device="cpu")
    data = Dataset.from_dict(pairs)

    def peer(some: Any) -> Any:
        return mine_hard_negatives(
            some, peer_model, corpus=texts, num_negatives=N_NEGATIVES, output_format="n-tuple", verbose=False
        )

    seconds: dict[str, list[float]] = {"here": [], "peer": [], "tokenizing": []}
    ours = here()  # compilation, first touch of memory
    seconds["here"].clear()
    for _ in range(repeats):
        here()
        begun = perf_counter()
        theirs = peer(data)
        seconds["peer"].append(perf_counter() - begun)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "mine_ratio": medians["peer"] / medians["here"],
        "mine_agreement": _agreement(ours, [query_texts[row] for row in asked], texts, theirs),
        "mine_ratio_with_tokenizing": medians["peer"] / (medians["here"] + medians["tokenizing"]),
        "mine_seconds_here": medians["here"],
        "mine_seconds_tokenizing_here": medians["tokenizing"],
        "mine_seconds_sentence_transformers": medians["peer"],
        "mine_queries": len(asked),
    }


def _agreement(ours: np.ndarray, queries: list[str], texts: list[str], theirs: Any) -> float:
    by_query: dict[str, set[str]] = defaultdict(set)
    names = [name for name in theirs.column_names if name.startswith("negative")]
    for row in theirs:
        by_query[row["anchor"]].update(row[name] for name in names)
    mine = {query: {texts[d] for d in rows if d >= 0} for query, rows in zip(queries, ours, strict=True)}
    n_same = sum(len(found & mine[query]) for query, found in by_query.items())
    return n_same / max(1, sum(map(len, by_query.values())))
