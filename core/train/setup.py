"""What a trial needs before its first step: checked pairs, tokens, model, negatives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.corpus.corpus import Corpus
from core.encode.encoders import make_encoder
from core.errors import ParameterError
from core.sampling.context import CorpusIndex, MiningContext
from core.sampling.decisions import decisions_of_trial
from core.sampling.filters import CrossEncoderCut
from core.sampling.judged import Judged, use_verdicts
from core.sampling.recipe import Recipe
from core.train.config import TrialConfig
from core.train.events import EventWriter
from core.train.made import Made, make_pairs
from core.train.negatives import Negatives
from core.train.step import Batch, Stepper
from core.train.vectors import CurrentVectors
from core.train.written import Extra, with_own_files


@dataclass
class Setup:
    """The parts of a trial; ``query_rows``, ``positive_rows`` int64 (N,) are the training pairs, ``positions`` int64 (N,) each
    pair's place among the distinct training queries. ``protected``, ``light``: as a Batch has them, for the distinct queries.
    ``made``: pairs that the recipe makes without labels; then each pair is a query of its own. ``extra``: written negatives."""

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
    made: Made | None = None
    extra: Extra | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Make what is made anew each epoch; before the epoch's first step, and when a trial goes on in the middle of one."""
        if self.extra is not None:
            self.extra.begin(epoch)
        if self.made is not None:
            self.made.begin(epoch)
            self.query_rows, self.positive_rows, self.protected = self.made.query_rows, self.made.pairs.doc_rows, self.made.protected

    def batch(self, chosen: np.ndarray) -> Batch:
        """The batch of the pairs at ``chosen``."""
        positions = self.positions[chosen]
        mined_rows, texts = self.negatives.rows[positions], None
        if self.extra is not None:
            mined_rows = np.concatenate([mined_rows, self.extra.rows[positions]], 1)
        if self.made is not None:
            mined_rows = self.made.pairs.negative_rows[chosen]
            texts = None if self.made.positive_texts is None else self.made.positive_texts[chosen]
        return Batch(
            self.query_rows[chosen],
            self.positive_rows[chosen],
            mined_rows,
            self.protected[positions],
            None if self.light is None else self.light[positions],
            self.light_weight,
            texts,
        )


def prepare(config: TrialConfig, corpus: Corpus, folder: Path, events: EventWriter) -> Setup:
    """Check the corpus against the configuration and build every part; raises ParameterError with the remedy."""
    recipe = with_own_files(config.recipe_value, folder)
    encoder = make_encoder(config.encoder)
    if recipe.batch.uses_key_encoder and getattr(encoder, "towers", "shared") != "shared":
        raise ParameterError("MoCo needs shared towers: its key encoder follows the query side. Set encoder.towers=shared.")
    obstacle = recipe.positives.obstacle(corpus) or recipe.lanes_obstacle() or recipe.written.obstacle(corpus)
    if obstacle:
        raise ParameterError(obstacle)
    doc_texts, query_texts = corpus.document_texts(), corpus.query_texts()
    model = encoder.build(doc_texts, config.seed)
    doc_tokens, query_tokens = model.tokenize(doc_texts), model.tokenize(query_texts)
    stepper = Stepper(recipe, model, config.learning_rate, query_tokens, doc_tokens)
    cross = folder.parent.parent / "cache" / "cross" if folder.parent.name == "trials" else None
    # What is trained on stands in the training split, so that masks and lanes know it; evaluation keeps the corpus itself.
    trained = recipe.positives.trained_corpus(corpus)
    index = CorpusIndex(trained, cross_folder=cross, seed=config.seed)
    judged = _judged(config, index, folder)
    context = MiningContext(trained, CurrentVectors(stepper, corpus, folder.parent).of, index, judged)
    made = make_pairs(recipe, context, stepper, config.seed)
    if made is not None:
        query_rows, positive_rows = made.query_rows, made.pairs.doc_rows
        events.write("log", text=made.sentence(corpus))
        if judged is not None:
            events.write("log", text="The verdicts have no effect: they are about the corpus's queries, and this recipe makes its own.")
    else:
        query_rows, positive_rows = recipe.positives.pairs(context)
    if judged is not None and made is None:
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
    protected = context.protected.padded(distinct) if made is None else made.protected
    extra = None
    if recipe.written.gives_negatives:
        extra = Extra(recipe, context, stepper, distinct, config.seed, folder)
        protected = np.concatenate([protected, extra.foreign], 1)
        events.write("log", text=extra.sentence())
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
        protected=protected,
        light=None if made is not None or judged is None or not judged.light.n_pairs else judged.light.padded(distinct),
        light_weight=config.verdict_weight,
        batch_size=batch_size,
        steps_per_epoch=steps,
        snapshot_steps=set(np.linspace(0, config.epochs, min(config.snapshots, config.epochs + 1)).round().astype(int) * steps),
        test_rows=corpus.split_query_rows("test"),
        made=made,
        extra=extra,
    )


def _judged(config: TrialConfig, index: CorpusIndex, folder: Path) -> Judged | None:
    decisions = decisions_of_trial(folder, config.verdicts, index.corpus)
    return None if decisions is None else use_verdicts(decisions, index, config.verdict_use, config.verdict_weight)


def _tell_cross_encoders(recipe: Recipe, context: MiningContext, events: EventWriter) -> None:
    """Train what the filters will ask for now, and say so: the first mining would otherwise stand still for its time."""
    for rule in (rule for lane in recipe.mined for rule in lane.filters if isinstance(rule, CrossEncoderCut)):
        events.write("log", text="Training the cross-encoder on the corpus's labels, or opening the one made before.")
        events.write("log", text=rule.cross(context).report.sentence)


def _check(corpus: Corpus, recipe: Recipe, query_rows: np.ndarray) -> None:
    if len(query_rows) == 0 and recipe.positives.makes_queries:
        raise ParameterError(
            f"{recipe.positives.title} makes no pair from this corpus: no document has what it needs. Choose other positives."
        )
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
