"""What a trial needs before its first step: checked pairs, tokens, model, negatives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.corpus.corpus import Corpus
from core.encode.encoders import Encoder, make_encoder
from core.encode.model import EncoderModel
from core.errors import ParameterError
from core.sampling.context import CorpusIndex, MiningContext
from core.sampling.decisions import decisions_of_trial
from core.sampling.filters import CrossEncoderCut
from core.sampling.judged import Judged, use_verdicts
from core.sampling.recipe import Recipe
from core.train.config import TrialConfig
from core.train.events import EventWriter
from core.train.negatives import Negatives
from core.train.step import Batch, Stepper
from core.train.vectors import CurrentVectors


@dataclass
class Setup:
    """The parts of a trial; ``query_rows``, ``positive_rows`` int64 (N,) are the training pairs, ``positions`` int64 (N,) each
    pair's place among the distinct training queries. ``protected``, ``light``: as a Batch has them, for the distinct queries."""

    recipe: Recipe
    corpus: Corpus
    context: MiningContext
    stepper: Stepper
    negatives: Negatives
    query_rows: np.ndarray
    positive_rows: np.ndarray
    positions: np.ndarray
    protected: np.ndarray
    light: np.ndarray | None
    light_weight: float
    batch_size: int
    steps_per_epoch: int
    snapshot_steps: set[int]
    test_rows: np.ndarray

    def batch(self, chosen: np.ndarray) -> Batch:
        """The batch of the pairs at ``chosen``."""
        positions = self.positions[chosen]
        return Batch(
            self.query_rows[chosen],
            self.positive_rows[chosen],
            self.negatives.rows[positions],
            self.protected[positions],
            None if self.light is None else self.light[positions],
            self.light_weight,
        )


def prepare(config: TrialConfig, corpus: Corpus, folder: Path, events: EventWriter) -> Setup:
    """Check the corpus against the configuration and build every part; raises ParameterError with the remedy."""
    recipe = config.recipe_value
    encoder = make_encoder(config.encoder)
    if recipe.batch.uses_key_encoder and getattr(encoder, "towers", "shared") != "shared":
        raise ParameterError("MoCo needs shared towers: its key encoder follows the query side. Set encoder.towers=shared.")
    doc_texts, query_texts = corpus.document_texts(), corpus.query_texts()
    model = _two_towers(recipe, encoder, doc_texts, config.seed, folder.parent, events) if recipe.batch.fixes_documents else None
    model = model or encoder.build(doc_texts, config.seed)
    doc_tokens, query_tokens = model.tokenize(doc_texts), model.tokenize(query_texts)
    stepper = Stepper(recipe, model, config.learning_rate, query_tokens, doc_tokens)
    cross = folder.parent.parent / "cache" / "cross" if folder.parent.name == "trials" else None
    index = CorpusIndex(corpus, cross_folder=cross, seed=config.seed)
    judged = _judged(config, index, folder)
    context = MiningContext(corpus, CurrentVectors(stepper, corpus, folder.parent).of, index, judged)
    query_rows, positive_rows = recipe.positives.pairs(context)
    if judged is not None:
        query_rows, positive_rows = judged.with_promoted(query_rows, positive_rows)
        events.write("log", text=judged.sentence(np.unique(query_rows)))
    _check(corpus, recipe, query_rows)
    _tell_cross_encoders(recipe, context, events)
    batch_size = min(config.batch_size, len(query_rows))
    if batch_size < config.batch_size:
        events.write(
            "log",
            text=f"Batch size {config.batch_size} is larger than the {len(query_rows)} training pairs; "
            f"one batch of {batch_size} is used.",
        )
    if recipe.depth > corpus.n_documents:
        events.write(
            "log",
            text=f"The recipe looks {recipe.depth} ranks deep, the corpus has {corpus.n_documents} documents; all of them are looked at.",
        )
    distinct, positions = np.unique(query_rows, return_inverse=True)
    steps = -(-len(query_rows) // batch_size)
    return Setup(
        recipe=recipe,
        corpus=corpus,
        context=context,
        stepper=stepper,
        negatives=Negatives(recipe, context, distinct, config.seed, folder / "candidates"),
        query_rows=query_rows,
        positive_rows=positive_rows,
        positions=positions.reshape(-1),
        protected=context.protected.padded(distinct),
        light=None if judged is None or not judged.light.n_pairs else judged.light.padded(distinct),
        light_weight=config.verdict_weight,
        batch_size=batch_size,
        steps_per_epoch=steps,
        snapshot_steps=set(np.linspace(0, config.epochs, min(config.snapshots, config.epochs + 1)).round().astype(int) * steps),
        test_rows=corpus.split_query_rows("test"),
    )


def _two_towers(
    recipe: Recipe, encoder: Encoder, doc_texts: list[str], seed: int, home: Path, events: EventWriter
) -> EncoderModel:
    """The model whose query side alone will learn, started from the trial that the recipe names or untrained."""
    from core.train.fixed import start_model, two_towers

    trial = recipe.batch.trial
    model = two_towers(start_model(trial, home) if trial else encoder.build(doc_texts, seed))
    whose = f"trial {trial}" if trial else "the untrained encoder"
    events.write("log", text=f"Document vectors stay those of {whose}; only the query side learns, in a tower of its own.")
    return model


def _judged(config: TrialConfig, index: CorpusIndex, folder: Path) -> Judged | None:
    decisions = decisions_of_trial(folder, config.verdicts, index.corpus)
    return None if decisions is None else use_verdicts(decisions, index, config.verdict_use, config.verdict_weight)


def _tell_cross_encoders(recipe: Recipe, context: MiningContext, events: EventWriter) -> None:
    """Train what the filters will ask for now, and say so: the first mining would otherwise stand still for its time."""
    for rule in (rule for lane in recipe.mined for rule in lane.filters if isinstance(rule, CrossEncoderCut)):
        events.write("log", text="Training the cross-encoder on the corpus's labels, or opening the one made before.")
        events.write("log", text=rule.cross(context).report.sentence)


def _check(corpus: Corpus, recipe: Recipe, query_rows: np.ndarray) -> None:
    if len(query_rows) == 0:
        raise ParameterError(
            "The corpus has no training pair of the grade that the recipe asks for. "
            "Add judged pairs to qrels/train.tsv, or lower positives.min_grade."
        )
    if found := recipe.lacks(corpus):
        raise ParameterError(" ".join(found))
    if corpus.n_documents < 2:
        raise ParameterError(
            f"The corpus has {corpus.n_documents} document, so nothing can be a negative. Add documents to corpus.jsonl."
        )
    if len(corpus.split_query_rows("test")) == 0:
        raise ParameterError("The corpus has no held-out query with a positive. Add judged pairs to qrels/test.tsv.")
    if len(query_rows) < 2 and not recipe.mined:
        raise ParameterError(
            "The corpus has one training pair, so a batch holds no negatives. Add pairs, or use a recipe that mines, such as bm25."
        )
