"""Prints how many false negatives each preset mines on sample:lab: the share of what it picks that truth calls relevant.

Usage: PYTHONPATH=. python sample_data/measure_presets.py [--epochs 8] [--seeds 5]      (--epochs 0: no trained model)

Every preset with a mined lane picks for every training query as at an epoch's start, several times with other seeds. The
model is the untrained static encoder, then the same after an in-batch trial. Rank bands: all documents in the band but the
known positives and texts equal to one, which no preset may take.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from core.audit.preview import preview
from core.corpus.corpus import Corpus
from core.corpus.load import load_corpus
from core.encode.encoders import make_encoder
from core.lab.by_hand import new_trial
from core.lab.workspace import Workspace
from core.sampling.context import CorpusIndex, MiningContext, Vectors
from core.sampling.mine import mine_lane, rows_at
from core.sampling.presets import PRESETS
from core.sampling.recipe import Lane, Recipe
from core.sampling.sources import BM25Source, Dense
from core.sampling.windows import RankWindow
from core.train.config import TrialConfig
from core.train.trial import run_trial
from core.train.vectors import trial_vectors, untrained_vectors

BANDS = ((1, 10), (11, 50), (51, 100), (101, 500))


def trained_vectors(corpus: Corpus, epochs: int) -> Vectors:
    """Vectors of the model that an in-batch trial leaves after so many epochs."""
    with tempfile.TemporaryDirectory() as home:
        config = TrialConfig(
            corpus="sample:lab",
            recipe=PRESETS["in-batch"].recipe.to_dict(),
            encoder=make_encoder("static").to_dict(),
            epochs=epochs,
        )
        folder = Path(new_trial(Workspace(home), config))
        run_trial(folder, corpus=corpus)
        return trial_vectors(folder, corpus)


def picked(recipe: Recipe, context: MiningContext, query_rows: np.ndarray, n_seeds: int) -> tuple[float, int, float]:
    """(share of the picks that truth calls relevant, picks, median rank of the hard picks or NaN) over some seeds."""
    truth, found, ranks = context.corpus.truth, [], []
    for seed in range(n_seeds):
        for lane in preview(recipe, context, query_rows, seed=seed).lanes:
            rows = rows_at(lane.candidates, lane.columns)
            is_real = rows >= 0
            found.append((truth.grade_of(query_rows[:, None], rows) >= 1)[is_real])
            if not lane.lane.source.is_redrawn:
                ranks.append(np.take_along_axis(lane.candidates.ranks, np.maximum(lane.columns, 0), 1)[is_real])
    share = np.concatenate(found)
    return float(share.mean()), len(share), float(np.median(np.concatenate(ranks))) if ranks else float("nan")


def by_band(source, context: MiningContext, query_rows: np.ndarray) -> list[tuple[float, int]]:
    """(share that truth calls relevant, documents) of each rank band of a source."""
    lane = Lane(source=source, window=RankWindow(last=BANDS[-1][1]))
    table = mine_lane(lane, context, query_rows, np.random.default_rng(0), with_model_scores=False)
    is_relevant = context.corpus.truth.grade_of(query_rows[:, None], np.maximum(table.doc_rows, 0)) >= 1
    found = []
    for first, last in BANDS:
        inside = table.is_kept & (table.ranks >= first) & (table.ranks <= last)
        found.append((float(is_relevant[inside].mean()), int(inside.sum())))
    return found


def by_chance(context: MiningContext, query_rows: np.ndarray) -> float:
    """The share of truth among all documents that a preset may take for a query."""
    truth, protected = context.corpus.truth, context.protected
    n_right = sum(len(np.setdiff1d(truth.positives(q), protected.judged(q))) for q in query_rows)
    return n_right / sum(context.corpus.n_documents - len(protected.judged(q)) for q in query_rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    corpus = load_corpus("sample:lab")
    vectors = {"untrained": untrained_vectors(corpus, make_encoder("static").to_dict())}
    if options.epochs:
        vectors["trained"] = trained_vectors(corpus, options.epochs)
    index = CorpusIndex(corpus)
    # "start" (Dense, from a trial) is searched with the same model, as if the preset named that trial.
    contexts = {name: MiningContext(corpus, lambda _, v=v: v, index) for name, v in vectors.items()}
    query_rows = np.unique(index.training_pairs[0])
    anyone = contexts["untrained"]
    print(f"{len(query_rows)} training queries; by chance {by_chance(anyone, query_rows):.3%}\n")

    print("| ranks of | " + " | ".join(f"{a}-{b}" for a, b in BANDS) + " |\n|---|" + "---|" * len(BANDS))
    rows = [("BM25", BM25Source(), anyone)] + [(f"dense, {name}", Dense(), contexts[name]) for name in contexts]
    for title, source, context in rows:
        print(f"| {title} | " + " | ".join(f"{share:.2%}" for share, _ in by_band(source, context, query_rows)) + " |")

    print("\n| preset | " + " | ".join(f"{name}: false negatives | picks | median rank" for name in contexts) + " |")
    print("|---|" + "---|" * 3 * len(contexts))
    recipes = {name: preset.recipe for name, preset in PRESETS.items()}
    guarded = recipes["nv-retriever"]
    recipes["nv-retriever without filters"] = replace(guarded, mined=tuple(replace(lane, filters=()) for lane in guarded.mined))
    for name, recipe in recipes.items():
        if recipe.mined:
            sources = {type(lane.source) for lane in recipe.mined}
            cells = []
            for title, context in contexts.items():
                if title != "untrained" and not any(source.key.endswith("dense") for source in sources):
                    cells.append("as left | | ")
                    continue
                share, n, rank = picked(recipe, context, query_rows, options.seeds)
                cells.append(f"{share:.2%} | {n:,} | {'' if np.isnan(rank) else f'{rank:.0f}'}")
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
