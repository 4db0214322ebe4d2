"""What a trial needs before its first step: checked pairs, tokens, model, negatives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.corpus import Corpus
from core.encode.encoders import Encoder, make_encoder
from core.encode.model import EncoderModel
from core.errors import ParameterError
from core.sampling.augmented import CrossAugmented
from core.sampling.context import CorpusIndex, MiningContext
from core.sampling.crossed import AsksCross
from core.sampling.decisions import decisions_of_trial
from core.sampling.judged import Judged, use_verdicts
from core.sampling.order import share_of_one_group
from core.sampling.recipe import Recipe
from core.train.config import TrialConfig
from core.train.events import EventWriter
from core.train.guide import Guide
from core.train.made import Made, make_pairs
from core.train.negatives import GROUP, ORDER, Negatives
from core.train.pairs import read_pairs, write_pairs
from core.train.step import Batch, Stepper
from core.train.vectors import CurrentVectors
from core.train.written import Extra, with_own_files

if TYPE_CHECKING:
    from core.train.distributed import Group


@dataclass
class Setup:
    """The parts of a trial; ``query_rows``, ``positive_rows`` int64 (N,) are the training pairs, ``positions`` int64 (N,) each
    pair's place among the distinct training queries. ``protected``, ``light``: as a Batch has them, for the distinct queries.
    ``batch_size``: pairs in one step, all its parts together. ``groups`` int64 (N,): what the recipe's order found, or None.
    ``teacher`` float32 (N,): the teacher's scores of the training pairs, None where the signal has none.
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
    groups: np.ndarray | None
    seed: int
    teacher: np.ndarray | None = None
    made: Made | None = None
    extra: Extra | None = None

    def order(self, epoch: int) -> np.ndarray:
        """int64 (N,): the pairs as they follow one another in this epoch."""
        rng = np.random.default_rng([self.seed, ORDER, epoch])
        return self.recipe.order.arrange(self.groups, len(self.query_rows), self.batch_size, rng)

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
            None if self.teacher is None else (self.teacher[chosen], _wide(self.negatives.teacher[positions], mined_rows, np.nan)),
            None if self.negatives.log_weights is None else _wide(self.negatives.log_weights[positions], mined_rows, 0.0),
            texts,
        )


def _wide(values: np.ndarray, rows: np.ndarray, fill: float) -> np.ndarray:
    """``values`` (B, m) as wide as ``rows`` (B, M): written negatives stand behind the mined ones and have no value of their own."""
    return np.pad(values, ((0, 0), (0, rows.shape[1] - values.shape[1])), constant_values=fill)


def make_stepper(
    config: TrialConfig, corpus: Corpus, group: Group | None = None, home: Path | None = None, events: EventWriter | None = None
) -> Stepper:
    """The model before its first step and its optimisers, with the corpus's tokens.

    ``group``: the processes that share a step's batch; ``home``: the folder of the trials, where a recipe starts from one;
    ``events``: where to say so.
    """
    encoder, recipe = make_encoder(config.encoder), config.recipe_value
    doc_texts, query_texts = encoder.document_texts(corpus), encoder.query_texts(corpus)
    fixes = recipe.batch.fixes_documents
    model = _two_towers(recipe, encoder, doc_texts, config.seed, home, events) if fixes else encoder.build(doc_texts, config.seed)
    if home is not None and home.name == "trials":
        model.keep_in(home.parent / "cache" / "frozen")
    doc_tokens, query_tokens = model.tokenize(doc_texts), model.tokenize(query_texts)
    return Stepper(recipe, model, config.learning_rate, query_tokens, doc_tokens, group)


def prepare(config: TrialConfig, corpus: Corpus, folder: Path, events: EventWriter, group: Group | None = None) -> Setup:
    """Check the corpus against the configuration and build every part; raises ParameterError with the remedy."""
    recipe = with_own_files(config.recipe_value, folder)
    encoder = make_encoder(config.encoder)
    if recipe.batch.uses_key_encoder and getattr(encoder, "towers", "shared") != "shared":
        raise ParameterError("MoCo needs shared towers: its key encoder follows the query side. Set encoder.towers=shared.")
    if lacks := recipe.lacks(corpus):
        raise ParameterError(" ".join(lacks))
    if group is not None and (recipe.batch.fixes_documents or recipe.batch.guided_by is not None):
        raise ParameterError(f"{recipe.batch.title} keeps vectors of the whole corpus in one process. Train it without torchrun.")
    if group is not None and (recipe.positives.makes_queries or recipe.written.gives_negatives or recipe.weighs):
        raise ParameterError("Made texts, written ones, a teacher and weights are known to one process alone. Train it without torchrun.")
    cache = folder.parent.parent / "cache" if folder.parent.name == "trials" else None
    stepper = make_stepper(config, corpus, group, folder.parent, events)
    # What is trained on stands in the training split, so that masks and lanes know it; evaluation keeps the corpus itself.
    trained = recipe.positives.trained_corpus(corpus)
    index = CorpusIndex(trained, cross_folder=cache and cache / "cross", seed=config.seed)
    judged = _judged(config, index, folder)
    vectors = CurrentVectors(stepper, corpus, folder.parent)
    for name in dict.fromkeys(name for lane in recipe.mined for rule in lane.filters for name in rule.models):
        vectors.keep(name)
    context = MiningContext(trained, vectors.of, index, judged)
    _tell_cross_encoders(recipe, context, events)
    if recipe.batch.guided_by is not None:  # now: a trial that goes on has the encoder as it started only here
        stepper.guide = Guide(context.vectors(recipe.batch.guided_by))
    made = make_pairs(recipe, context, stepper, config.seed)
    if made is not None:
        query_rows, positive_rows = made.query_rows, made.pairs.doc_rows
        events.write("log", text=made.sentence(corpus))
        if judged is not None:
            events.write("log", text="The verdicts have no effect: they are about the corpus's queries, and this recipe makes its own.")
    else:
        query_rows, positive_rows = _pairs(recipe, context, folder, events)
        context.train_on(query_rows, positive_rows)
    if judged is not None and made is None:
        query_rows, positive_rows = judged.with_promoted(query_rows, positive_rows)
        events.write("log", text=judged.sentence(np.unique(query_rows)))
    _check(corpus, recipe, query_rows)
    teacher = None
    if recipe.signal.needs_teacher:
        events.write("log", text=recipe.signal.teacher_sentence(context, query_rows, positive_rows))
        teacher = recipe.signal.teach(context, query_rows, positive_rows)
    wanted = recipe.passes.pairs(config.batch_size)
    batch_size = min(wanted, len(query_rows))
    if batch_size < wanted:
        parts = "" if wanted == config.batch_size else f" ({recipe.passes.parts} times {config.batch_size})"
        events.write(
            "log",
            text=f"Batch size {wanted}{parts} is larger than the {len(query_rows)} training pairs; "
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
    groups = _groups(config, recipe, context, (query_rows, positive_rows), batch_size, events)
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
        groups=groups,
        seed=config.seed,
        teacher=teacher,
        made=made,
        extra=extra,
    )


def _two_towers(
    recipe: Recipe, encoder: Encoder, doc_texts: list[str], seed: int, home: Path | None, events: EventWriter | None
) -> EncoderModel:
    """The model whose query side alone will learn, started from the trial that the recipe names or untrained."""
    from core.train.fixed import start_model, two_towers

    trial = recipe.batch.trial
    model = two_towers(start_model(trial, home) if trial and home else encoder.build(doc_texts, seed))
    whose = f"trial {trial}" if trial else "the untrained encoder"
    if events is not None:
        events.write("log", text=f"Document vectors stay those of {whose}; only the query side learns, in a tower of its own.")
    return model


def _groups(config: TrialConfig, recipe: Recipe, context: MiningContext, pairs, size: int, events: EventWriter) -> np.ndarray | None:
    """The groups that batches are drawn from. A resumed trial makes them again, from the same untrained model and stream."""
    groups = recipe.order.groups(context, *pairs, size, np.random.default_rng([config.seed, GROUP]))
    if groups is not None:
        sizes = np.unique(groups, return_counts=True)[1]
        first = recipe.order.arrange(groups, len(groups), size, np.random.default_rng([config.seed, ORDER, 0]))
        share = share_of_one_group(groups, first, size)
        events.write(
            "log",
            text=f"{recipe.order.title}: {len(sizes)} clusters of {sizes.min()} to {sizes.max()} training pairs; "
            f"{share:.0%} of the batches of {size} hold one cluster alone.",
        )
    return groups


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
