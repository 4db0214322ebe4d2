"""What an epoch costs beside the in-batch one: ``python -m core.bench.epochs [CORPUS] [--recipes NAME,...] [--negatives N]``.

Trains the default encoder with each recipe in turn, several rounds, and prints medians of the seconds that an epoch trains, mines and
measures, and their ratios: to in-batch, and to random draws of as many negatives, which cost what the texts cost and no search.
Without CORPUS: the generated one of 20,000 documents and 4,000 training queries.
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
from core.lab.printed import as_table
from core.sampling.presets import PRESETS
from core.sampling.recipe import Recipe
from core.train.config import TrialConfig, write_config
from core.train.trial import run_trial

BASE, DRAWN = "in-batch", "random"
RECIPES = ("bm25", "static-dense", "ance", "ance-tele", "simans", "nv-retriever", "percentile-cut", "trisampler", "adore")
EPOCHS, ROUNDS, BATCH_SIZE = 8, 3, 128  # the epochs of a trial unless asked otherwise: what is made once counts an eighth
PARTS = ("train", "mine", "measure")


def with_negatives(recipe: Recipe, n: int) -> Recipe:
    """The recipe with ``n`` mined negatives a query, shared out among its lanes, at least one each."""
    if not recipe.mined:
        return recipe
    shares = [n // len(recipe.mined) + (i < n % len(recipe.mined)) for i in range(len(recipe.mined))]
    return replace(recipe, mined=tuple(replace(lane, per_query=max(share, 1)) for lane, share in zip(recipe.mined, shares, strict=True)))


def seconds_of(corpus: Corpus, recipe: Recipe, folder: Path) -> tuple[float, float, float]:
    """Seconds of an epoch: (training, mining, measuring), of one trial."""
    about = {"corpus": corpus.name, "corpus_fingerprint": corpus.fingerprint, "recipe": recipe.to_dict()}
    write_config(folder, TrialConfig(**about, epochs=EPOCHS, batch_size=BATCH_SIZE, snapshots=2))
    took = run_trial(folder, threads=1, corpus=corpus)["seconds"]
    return took["train"] / EPOCHS, took["mine"] / EPOCHS, took["evaluate"] / (EPOCHS + 1)  # the untrained model is measured too


def bench_epochs(corpus: Corpus, names: Sequence[str], n_negatives: int) -> dict[str, dict[str, float]]:
    """recipe -> ``train``, ``mine``, ``measure`` (seconds of an epoch, medians of alternating rounds), ``ratio`` (training and mining
    over in-batch's), ``ratio_with_measuring`` and ``ratio_to_random`` (training and mining over those of random draws)."""
    rounds: dict[str, list[tuple[float, float, float]]] = {name: [] for name in (BASE, DRAWN, *names)}
    for turn in range(ROUNDS + 1):
        for name, seen in rounds.items():
            with tempfile.TemporaryDirectory() as folder:
                took = seconds_of(corpus, with_negatives(PRESETS[name].recipe, n_negatives), Path(folder) / "trial")
            if turn:  # the first round compiles
                seen.append(took)
    found = {name: dict(zip(PARTS, map(statistics.median, zip(*seen, strict=True)), strict=True)) for name, seen in rounds.items()}
    for own in found.values():
        own["ratio"] = (own["train"] + own["mine"]) / found[BASE]["train"]
        own["ratio_with_measuring"] = sum(own[part] for part in PARTS) / (found[BASE]["train"] + found[BASE]["measure"])
        own["ratio_to_random"] = (own["train"] + own["mine"]) / (found[DRAWN]["train"] + found[DRAWN]["mine"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", nargs="?", help="as for negspace train (default: generated)")
    parser.add_argument("--recipes", default=",".join(RECIPES), metavar="NAME,...")
    parser.add_argument("--negatives", type=int, default=4, metavar="N", help="mined negatives a query (default: 4)")
    options = parser.parse_args()
    corpus = load_corpus(options.corpus) if options.corpus else generated()
    print(f"{corpus.name}: {corpus.n_documents:,} documents, {len(corpus.split_query_rows('train')):,} training queries")
    head = ["recipe", "train s", "mine s", "measure s", "train + mine", "with measuring", "to random"]
    found = bench_epochs(corpus, options.recipes.split(","), options.negatives)
    ratios = ("ratio", "ratio_with_measuring", "ratio_to_random")
    rows = [[name, *(f"{own[part]:.2f}" for part in PARTS), *(f"{own[part]:.1f}x" for part in ratios)] for name, own in found.items()]
    print(as_table(head, rows))


if __name__ == "__main__":
    main()
