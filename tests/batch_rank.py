"""One process of test_batch_cross.py: takes part in a few steps and writes what it computed.

``python -m tests.batch_rank FOLDER CORPUS PORT COMMAND...`` under torchrun's environment: the steps, two trials, and then the product's
command, for which the processes meet again at another port. Starting a process costs more than all that it does here.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np

from core.encode.encoders import make_encoder
from core.sampling.batch import InBatch
from core.sampling.passes import CrossBatch
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Lane, Recipe
from core.sampling.signal import InfoNCE, Triplet
from core.sampling.sources import RandomCorpus
from core.train.step import Batch, Stepper

DOCS = [f"document about thing{i} and thing{i + 1}" for i in range(40)]
ASKED = [f"thing{i} please" for i in range(13)]
LANE = (Lane(source=RandomCorpus(), per_query=2, weight=2.0),)
CASES = {
    "in-batch": (InBatch(), InfoNCE(), (), "shared"),
    "separate": (InBatch(), InfoNCE(), (), "separate"),
    "mined": (InBatch(), InfoNCE(similarity="l2", temperature=1.0), LANE, "shared"),
    "own": (InBatch(shared_negatives=False), Triplet(), LANE, "shared"),
    "queue": (Queue(size=6), InfoNCE(), LANE, "shared"),
    "moco": (MoCo(size=6, momentum=0.9), InfoNCE(), (), "shared"),
}
#: The cases that real processes run; the others differ from these in nothing that a process sees.
SHARED = ("in-batch", "separate", "mined", "moco")
#: Uneven over two processes, and one pair, which leaves a process without work.
SIZES = (13, 1)


@cache
def untrained(towers: str):
    model = make_encoder({"key": "static-scratch", "towers": towers, "dim": 8, "spread": 0.3}).build(DOCS, 0)
    return model, model.tokenize(ASKED), model.tokenize(DOCS)


def batch_of(n: int, mined) -> Batch:
    rows = np.arange(n)
    wanted = np.stack([(rows * 3 + 14) % 40, np.where(rows % 4, (rows * 5 + 15) % 40, -1)], 1) if mined else np.empty((n, 0), np.int64)
    light = wanted[:, :1] if mined else None
    return Batch(rows, rows, wanted, rows[:, None], light, 0.5)


def run_case(name: str, passes, group=None) -> dict[str, np.ndarray]:
    """Loss, gradients and report of the first step of each size, from the same start; then the weights after all of them."""
    batch, signal, mined, towers = CASES[name]
    found: dict[str, np.ndarray] = {}
    for n in SIZES:
        start, *tokens = untrained(towers)
        model = start.clone()
        recipe = Recipe(batch=batch, signal=signal, mined=mined, passes=passes)
        stepper = Stepper(recipe, model, 0.01, *tokens, group)
        sent = batch_of(n, mined)
        if group is not None:  # the followers know a batch only as the leader sends it
            if group.rank == 0:
                group.send_batch(sent)
            else:
                sent = group.receive_batch(0.5)
        report = stepper.step(sent)
        found[f"{name}.{n}.loss"] = np.array(report.loss)
        found[f"{name}.{n}.pull"] = report.mined_weights
        for i, weights in enumerate(model.parameters()):
            grad = weights.grad
            found[f"{name}.{n}.grad{i}"] = np.zeros(0) if grad is None else grad.to_dense().numpy()
            found[f"{name}.{n}.weights{i}"] = weights.detach().numpy()
    return found


def run_trials(folder: Path, corpus_folder: Path, group) -> None:
    """A trial that is never stopped and one that is, after three steps, and goes on: the first process leads, the other follows."""
    from core.corpus.load import load_corpus
    from core.train.distributed import follow
    from core.train.trial import Stopped, run_trial

    corpus = load_corpus(corpus_folder)
    for name, stop_after in (("whole", None), ("broken", 3), ("broken", None)):
        if group.rank:
            follow(folder / name, corpus, group)
            continue
        calls = iter(range(10**6))
        try:
            run_trial(folder / name, corpus=corpus, group=group, should_stop=lambda: stop_after is not None and next(calls) >= stop_after)  # noqa: B023
        except Stopped:
            assert stop_after == 3


def main(folder: Path, corpus_folder: Path) -> None:
    from core.train.distributed import join

    group = join()
    assert group.share_text("where the trial is" if group.rank == 0 else "") == "where the trial is"
    found = {}
    for name in SHARED:
        found |= run_case(name, CrossBatch(workers=2), group)
    run_trials(folder, corpus_folder, group)
    group.leave()
    np.savez(folder / f"rank{os.environ['RANK']}.npz", **found)


if __name__ == "__main__":
    from core.cli import main as command

    main(Path(sys.argv[1]), Path(sys.argv[2]))
    os.environ["MASTER_PORT"] = sys.argv[3]
    sys.exit(command(sys.argv[4:]))
