"""One in-batch epoch of the static encoder against the sentence-transformers trainer, side by side in one process."""

from __future__ import annotations

import gc
import statistics
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from core.corpus.corpus import Corpus
from core.encode.encoders import make_encoder
from core.errors import ParameterError, UserError
from core.sampling.batch import InBatch
from core.sampling.recipe import Recipe
from core.sampling.signal import InfoNCE
from core.train.step import Batch, Stepper

TEMPERATURE = 0.05
LEARNING_RATE = 2e-3


def bench_train(corpus: Corpus, *, batch_size: int = 128, repeats: int = 3) -> dict[str, Any]:
    """Seconds of one epoch over the training pairs on both sides, medians over alternating rounds, and their ratio.

    Both sides start each round from the same WordLlama weights, take the same pairs in batches of one size, and use the softmax
    over the batch with the same temperature and learning rate. The peer tokenises in every epoch; here a trial tokenises
    once, so ``train_ratio`` is without and ``train_ratio_with_tokenizing`` with that time on our side. The peer's
    optimiser is its trainer's default (AdamW over the whole table), ours Adam over the rows that a batch uses.
    ``train_first_loss_difference``: how far the two losses of the first batch lie apart before any step.
    """
    import torch

    from core.train.trial import STEP_THREADS

    pairs = _one_positive_each(corpus)
    if len(pairs[0]) < 2 * batch_size:
        raise ParameterError(f"bench needs at least {2 * batch_size} training pairs; the corpus has {len(pairs[0])}.")
    queries, documents = corpus.query_texts(pairs[0]), corpus.document_texts(pairs[1])
    model = make_encoder("static").build(documents, 0)
    start = model.state()

    def here() -> float:
        threads = torch.get_num_threads()
        torch.set_num_threads(STEP_THREADS)  # as a trial does; the peer keeps all
        model.load_state(start)
        begun = perf_counter()
        tokens = model.tokenize(queries), model.tokenize(documents)
        seconds["tokenizing"].append(perf_counter() - begun)
        begun = perf_counter()
        stepper = Stepper(Recipe(batch=InBatch(), signal=InfoNCE(temperature=TEMPERATURE)), model, LEARNING_RATE, *tokens)
        first = 0.0
        for low in range(0, len(queries), batch_size):
            rows = np.arange(low, min(low + batch_size, len(queries)))
            report = stepper.step(Batch(rows, rows, np.empty((len(rows), 0), np.int64), rows[:, None]))
            first = first or report.loss
        losses["here"] = first
        took = perf_counter() - begun
        torch.set_num_threads(threads)
        return took

    losses: dict[str, float] = {}
    seconds: dict[str, list[float]] = {"here": [], "peer": [], "tokenizing": []}
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model", "cosine")
        peer = _Peer(Path(folder), queries, documents, batch_size)
        here()  # compilation, first touch of memory
        peer.epoch(few=True)
        for _ in range(repeats):
            for side, epoch in (("here", here), ("peer", peer.epoch)):
                gc.collect()  # neither side sweeps up after the other
                seconds[side].append(epoch())
        losses["peer"] = peer.first_loss()
    medians = {side: statistics.median(values) for side, values in seconds.items()}
    return {
        "train_ratio": medians["peer"] / medians["here"],
        "train_ratio_with_tokenizing": medians["peer"] / (medians["here"] + medians["tokenizing"]),
        "train_seconds_here": medians["here"],
        "train_seconds_tokenizing_here": medians["tokenizing"],
        "train_seconds_sentence_transformers": medians["peer"],
        "train_first_loss_difference": abs(losses["here"] - losses["peer"]),
        "train_pairs": len(queries),
        "train_batch_size": batch_size,
    }


def _one_positive_each(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """Each training query with its first positive, each document once: then no batch holds a pair that one side would mask."""
    query_rows, doc_rows, _ = corpus.splits["train"].only_positive().pairs()
    _, first_of_query = np.unique(query_rows, return_index=True)
    query_rows, doc_rows = query_rows[first_of_query], doc_rows[first_of_query]
    _, first_of_document = np.unique(doc_rows, return_index=True)
    kept = np.sort(first_of_document)
    return query_rows[kept], doc_rows[kept]


class _Peer:
    def __init__(self, folder: Path, queries: list[str], documents: list[str], batch_size: int):
        try:
            from datasets import Dataset
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise UserError(f"{error.name} is not installed: pip install 'negspace[bench]'") from error
        self.folder, self.batch_size = folder, batch_size
        self.data = Dataset.from_dict({"anchor": queries, "positive": documents})
        self._open = lambda: SentenceTransformer(str(folder / "model"), device="cpu")

    def epoch(self, few: bool = False) -> float:
        """Seconds of the trainer's ``train()``; the model is opened and the trainer built before the clock starts."""
        import transformers
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        transformers.logging.set_verbosity_error()
        model = self._open()
        arguments = SentenceTransformerTrainingArguments(
            output_dir=str(self.folder / "out"),
            num_train_epochs=1,
            max_steps=3 if few else -1,
            per_device_train_batch_size=self.batch_size,
            learning_rate=LEARNING_RATE,
            save_strategy="no",
            logging_strategy="no",
            eval_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
        )
        loss = MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE)
        trainer = SentenceTransformerTrainer(model=model, args=arguments, train_dataset=self.data, loss=loss)
        trainer.remove_callback(transformers.PrinterCallback)
        begun = perf_counter()
        trainer.train()
        return perf_counter() - begun

    def first_loss(self) -> float:
        """The peer's loss of the first batch in the data's order, before any step."""
        import torch
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        model = self._open()
        batch = self.data[: self.batch_size]
        loss = MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE)
        with torch.no_grad():
            return float(loss([model.preprocess(batch["anchor"]), model.preprocess(batch["positive"])], None))
