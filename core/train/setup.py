"""What a trial needs before its first step: checked pairs, tokens, model, negatives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.corpus.corpus import Corpus
from core.encode.encoders import make_encoder
from core.errors import ParameterError
from core.sampling.augmented import CrossAugmented
from core.sampling.context import CorpusIndex, MiningContext
from core.sampling.crossed import AsksCross
from core.sampling.decisions import decisions_of_trial
from core.sampling.judged import Judged, use_verdicts
from core.sampling.recipe import Recipe
from core.train.config import TrialConfig
from core.train.events import EventWriter
from core.train.guide import Guide
from core.train.negatives import Negatives
from core.train.pairs import read_pairs, write_pairs
from core.train.step import Batch, Stepper
from core.train.vectors import CurrentVectors


@dataclass
class Setup:
    """The parts of a trial; ``query_rows``, ``positive_rows`` int64 (N,) are the training pairs, ``positions`` int64 (N,) each
    pair's place among the distinct training queries. ``protected``, ``light``: as a Batch has them, for the distinct queries.
    ``teacher`` float32 (N,): the teacher's scores of the training pairs, None where the signal has none."""

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
    teacher: np.ndarray | None = None

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
            None if self.teacher is None else (self.teacher[chosen], self.negatives.teacher[positions]),
            None if self.negatives.log_weights is None else self.negatives.log_weights[positions],
        )


def prepare(config: TrialConfig, corpus: Corpus, folder: Path, events: EventWriter) -> Setup:
    """Check the corpus against the configuration and build every part; raises ParameterError with the remedy."""
    recipe = config.recipe_value
    encoder = make_encoder(config.encoder)
    if recipe.batch.uses_key_encoder and getattr(encoder, "towers", "shared") != "shared":
        raise ParameterError("MoCo needs shared towers: its key encoder follows the query side. Set encoder.towers=shared.")
    doc_texts, query_texts = corpus.document_texts(), corpus.query_texts()
    model = encoder.build(doc_texts, config.seed)
    doc_tokens, query_tokens = model.tokenize(doc_texts), model.tokenize(query_texts)
    stepper = Stepper(recipe, model, config.learning_rate, query_tokens, doc_tokens)
    cross = folder.parent.parent / "cache" / "cross" if folder.parent.name == "trials" else None
    index = CorpusIndex(corpus, cross_folder=cross, seed=config.seed)
    judged = _judged(config, index, folder)
    vectors = CurrentVectors(stepper, corpus, folder.parent)
    for name in dict.fromkeys(name for lane in recipe.mined for rule in lane.filters for name in rule.models):
        vectors.keep(name)
    context = MiningContext(corpus, vectors.of, index, judged)
    _tell_cross_encoders(recipe, context, events)
    if recipe.batch.guided_by is not None:  # now: a trial that goes on has the encoder as it started only here
        stepper.guide = Guide(context.vectors(recipe.batch.guided_by))
    query_rows, positive_rows = _pairs(recipe, context, folder, events)
    context.train_on(query_rows, positive_rows)
    if judged is not None:
        query_rows, positive_rows = judged.with_promoted(query_rows, positive_rows)
        events.write("log", text=judged.sentence(np.unique(query_rows)))
    _check(corpus, recipe, query_rows)
    teacher = None
    if recipe.signal.needs_teacher:
        events.write("log", text=recipe.signal.teacher_sentence(context, query_rows, positive_rows))
        teacher = recipe.signal.teach(context, query_rows, positive_rows)
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
        teacher=teacher,
    )


def _pairs(recipe: Recipe, context: MiningContext, folder: Path, events: EventWriter) -> tuple[np.ndarray, np.ndarray]:
    """The training pairs; those that a cross-encoder added are written down, and a trial that goes on reads them."""
    if not isinstance(recipe.positives, CrossAugmented):
        return recipe.positives.pairs(context)
    pairs = read_pairs(folder)
    if pairs is None:
        pairs = recipe.positives.pairs(context)
        events.write("log", text=recipe.positives.told(context, *pairs))
        write_pairs(folder, *pairs)
    return pairs


def _judged(config: TrialConfig, index: CorpusIndex, folder: Path) -> Judged | None:
    decisions = decisions_of_trial(folder, config.verdicts, index.corpus)
    return None if decisions is None else use_verdicts(decisions, index, config.verdict_use, config.verdict_weight)


def _tell_cross_encoders(recipe: Recipe, context: MiningContext, events: EventWriter) -> None:
    """Train what the pieces will ask for now, and say so: the first mining would otherwise stand still for its time."""
    asking = [piece for piece in recipe.pieces() if isinstance(piece, AsksCross) and piece.asks_cross]
    for piece in {piece.model: piece for piece in asking}.values():
        events.write("log", text="Training the cross-encoder on the corpus's labels, or opening the one made before.")
        events.write("log", text=piece.cross(context).report.sentence)


def _check(corpus: Corpus, recipe: Recipe, query_rows: np.ndarray) -> None:
    if len(query_rows) == 0:
        raise ParameterError(
            "The corpus has no training pair of the grade that the recipe asks for. "
            "Add judged pairs to qrels/train.tsv, or lower positives.min_grade."
        )
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
