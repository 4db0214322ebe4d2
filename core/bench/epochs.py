"""What an epoch costs beside the in-batch one: ``python -m core.bench.epochs [CORPUS] [--recipes NAME,...] [--negatives N] [--rounds N]``.

Trains the default encoder with each recipe in turn, several rounds, and prints medians of the seconds that an epoch trains, mines and
measures, and their ratios: to in-batch, and to random draws of as many negatives, which cost what the texts cost and no search.
Ratios are of as many training pairs: a recipe that makes pairs from the documents may have several times as many in an epoch.
Mining counts what a cross-encoder is asked; training that, and what else comes before the first step, does not count.
Without CORPUS: the generated one of 20,000 documents and 4,000 training queries. ``--recipes all``: every one that can train on it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from core.bench.generated import generated
from core.corpus.corpus import Corpus
from core.corpus.load import load_corpus
from core.errors import UserError
from core.lab.printed import as_table
from core.sampling.presets import PRESETS
from core.sampling.recipe import Recipe
from core.search.cross_cache import forget_pairs
from core.train.config import TrialConfig, write_config
from core.train.trial import run_trial

BASE, DRAWN = "in-batch", "random"
RECIPES = ("bm25", "static-dense", "ance", "ance-tele", "simans", "nv-retriever", "percentile-cut", "trisampler", "adore")
EPOCHS, ROUNDS, BATCH_SIZE = 8, 3, 128  # the epochs of a trial unless asked otherwise: what is made once counts an eighth
PARTS = ("train", "mine", "measure", "pairs")


def with_negatives(recipe: Recipe, n: int) -> Recipe:
    """The recipe with ``n`` mined negatives a query, shared out among its lanes, at least one each."""
    if not recipe.mined:
        return recipe
    shares = [n // len(recipe.mined) + (i < n % len(recipe.mined)) for i in range(len(recipe.mined))]
    return replace(recipe, mined=tuple(replace(lane, per_query=max(share, 1)) for lane, share in zip(recipe.mined, shares, strict=True)))


def seconds_of(corpus: Corpus, recipe: Recipe, folder: Path, epochs: int) -> tuple[float, float, float, float]:
    """Seconds of an epoch of one trial: (training, mining, measuring), and its training pairs."""
    about = {"corpus": corpus.name, "corpus_fingerprint": corpus.fingerprint, "recipe": recipe.to_dict()}
    write_config(folder, TrialConfig(**about, epochs=epochs, batch_size=BATCH_SIZE, snapshots=2))
    forget_pairs()  # what an earlier trial had scored would be had for nothing
    result = run_trial(folder, threads=1, corpus=corpus)
    took = result["seconds"]
    # The untrained model is measured, too.
    return took["train"] / epochs, took["mine"] / epochs, took["evaluate"] / (epochs + 1), result["n_train_pairs"]


def bench_epochs(
    corpus: Corpus, names: Sequence[str], n_negatives: int, n_rounds: int = ROUNDS
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """(figures, refused). Figures: recipe -> ``train``, ``mine``, ``measure`` (seconds of an epoch, medians of alternating rounds),
    ``pairs``, ``ratio`` (training and mining over in-batch's), ``ratio_with_measuring`` and ``ratio_to_random`` (training and
    mining over those of random draws), all three of as many pairs. Refused: recipe -> why it cannot train on this corpus."""
    rounds: dict[str, list[tuple[float, ...]]] = {name: [] for name in (BASE, DRAWN, *names)}
    refused: dict[str, str] = {}
    for turn in range(n_rounds + 1):
        for name in [name for name in rounds if name not in refused]:
            try:
                with tempfile.TemporaryDirectory() as folder:
                    recipe = with_negatives(PRESETS[name].recipe, n_negatives)
                    # The first round compiles and counts for nothing.
                    took = seconds_of(corpus, recipe, Path(folder) / "trial", EPOCHS if turn else 1)
            except UserError as error:
                refused[name] = str(error)
                continue
            if turn:
                rounds[name].append(took)
    found = {
        name: dict(zip(PARTS, map(statistics.median, zip(*seen, strict=True)), strict=True)) for name, seen in rounds.items() if seen
    }
    for own in found.values():
        share = own["pairs"] / found[BASE]["pairs"]
        own["ratio"] = (own["train"] + own["mine"]) / found[BASE]["train"] / share
        whole = own["train"] + own["mine"] + own["measure"] * share  # an epoch of as many pairs is measured once
        own["ratio_with_measuring"] = whole / share / (found[BASE]["train"] + found[BASE]["measure"])
        own["ratio_to_random"] = (own["train"] + own["mine"]) / (found[DRAWN]["train"] + found[DRAWN]["mine"]) / share
    return found, refused


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", help="as for negspace train (default: generated)")
    parser.add_argument("--recipes", default=",".join(RECIPES), metavar="NAME,...", help="'all' for every one (default: %(default)s)")
    parser.add_argument("--negatives", type=int, default=4, metavar="N", help="mined negatives a query (default: 4)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help=f"of which the median is taken (default: {ROUNDS})")
    options = parser.parse_args()
    names = list(PRESETS) if options.recipes == "all" else options.recipes.split(",")
    if unknown := [name for name in names if name not in PRESETS]:
        parser.error(f"no recipe is called {unknown[0]!r}; they are {', '.join(PRESETS)}.")
    corpus = load_corpus(options.corpus) if options.corpus else generated()
    print(f"{corpus.name}: {corpus.n_documents:,} documents, {len(corpus.split_query_rows('train')):,} training queries")
    head = ["recipe", "train s", "mine s", "measure s", "pairs", "train + mine", "with measuring", "to random"]
    found, refused = bench_epochs(corpus, names, options.negatives, options.rounds)
    ratios = ("ratio", "ratio_with_measuring", "ratio_to_random")
    seconds = PARTS[:3]
    rows = [
        [name, *(f"{own[part]:.2f}" for part in seconds), f"{own['pairs']:,.0f}", *(f"{own[ratio]:.1f}x" for ratio in ratios)]
        for name, own in found.items()
    ]
    print(as_table(head, rows))
    for name, why in refused.items():
        print(f"{name} cannot train here: {why}")


if __name__ == "__main__":
    main()
