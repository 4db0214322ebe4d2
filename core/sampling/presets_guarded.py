"""Presets that doubt the labels more finely: a teacher's opinion, a guide's mask, weights, votes, perturbations."""

from __future__ import annotations

from core.sampling.augmented import CrossAugmented
from core.sampling.batch import InBatch, NoBatch
from core.sampling.distilled import MARGIN_MSE, TIGHT, KLDistillation, MarginMSE
from core.sampling.filters import NV_RETRIEVER, ROCKETQA, Consensus, CrossEncoderCut, NearDuplicates, PercentileCut
from core.sampling.guided import GIST, GuidedInBatch
from core.sampling.perturbation import FGM
from core.sampling.pickers import Uniform
from core.sampling.preset import Preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.schedule import EverySteps
from core.sampling.sources import BM25Source, Dense, RandomCorpus, StaticDense
from core.sampling.weighting import DCLR, Suspicion
from core.sampling.windows import RankWindow

GUARDED = (
    Preset(
        name="margin-mse",
        title="MarginMSE distillation",
        family="denoised",
        lesson="The model learns by how much the positive beats each negative, as a cross-encoder sees it.\n"
        "BM25's and random negatives, each with a target of its own: what the teacher finds almost as good as the positive shall stay "
        "close to it, so an unlabelled answer does little harm. A cross-encoder is trained on the corpus's own labels, or the scores come "
        "from a file (signal.scores). What the teacher does not know, the model cannot learn from it: compare it with in-batch on your "
        "corpus.",
        source=MARGIN_MSE,
        recipe=Recipe(
            batch=NoBatch(),
            mined=(
                Lane(source=BM25Source(), window=RankWindow(last=100), picker=Uniform(), per_query=4),
                Lane(source=RandomCorpus(), per_query=2),
            ),
            signal=MarginMSE(),
        ),
        cost="medium",
        difficulty="medium",
    ),
    Preset(
        name="kl-distillation",
        title="KL distillation over the list",
        family="denoised",
        lesson="The model's softmax over the positive and eight negatives shall be a cross-encoder's.\n"
        "Dense hard negatives of the untrained model and random ones; the labelled pair is one candidate among the others, and a negative "
        "that the teacher believes in keeps its share. Soft labels need more from the teacher than a filter does: its probabilities, "
        "not only their order. A small teacher may be worth less than the labels: compare it with in-batch on your corpus.",
        source=TIGHT,
        recipe=Recipe(
            batch=NoBatch(),
            mined=(
                Lane(source=StaticDense(), window=RankWindow(last=50), picker=Uniform(), per_query=6),
                Lane(source=RandomCorpus(), per_query=2),
            ),
            signal=KLDistillation(),
        ),
        cost="medium",
        difficulty="medium",
    ),
    Preset(
        name="gist",
        title="GISTEmbed: guided mask",
        family="denoised",
        lesson="A guide model masks every pair of the batch that it finds closer than the query and its positive.\n"
        "Over the batch's positives and one BM25 negative of each query. The guide is the encoder before training, or a finished trial "
        "(batch.guide): it stays as it is, so a false negative cannot be unlearned into a true one. Where the guide itself puts the "
        "positive low, it masks most of the batch, and the query teaches little.",
        source=GIST,
        recipe=Recipe(
            batch=GuidedInBatch(),
            mined=(Lane(source=BM25Source(), window=RankWindow(last=50), picker=Uniform(), per_query=1),),
        ),
        cost="low",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="percentile-cut",
        title="Percentile-calibrated cut",
        family="denoised",
        lesson="The top of the current model, without what scores like the corpus's labelled positives.\n"
        "At every search the scores of all training positives are sorted, and a candidate is taken only below their lowest quarter. One "
        "threshold that means the same for every model, similarity and moment: on the sample corpus .4 to .8 % of what it picks is "
        "relevant by the truth, with ANCE 5 to 7 %. It does not look at the query: a query on a crowded subject may keep nothing.",
        source=NV_RETRIEVER,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(source=Dense(), window=RankWindow(last=100), filters=(PercentileCut(),), picker=Uniform(), per_query=2),
            ),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="easy",
        is_seed_named=False,
    ),
    Preset(
        name="consensus",
        title="Consensus of detectors",
        family="denoised",
        lesson="The top of the current model, without what two of three detectors rank above the positive.\n"
        "BM25, the encoder before training and the current model vote. It costs two more searches' scores and no second training; other "
        "trials, best of other seeds, can vote too (consensus.trials). What all of them misunderstand alike stays, and a true "
        "near-miss that shares all words goes.",
        source=Consensus.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(
                    source=Dense(),
                    window=RankWindow(last=50),
                    filters=(NearDuplicates(), Consensus()),
                    picker=Uniform(),
                    per_query=2,
                ),
            ),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="reweight",
        title="Re-weighting by suspicion",
        family="denoised",
        lesson="The top of the current model, each negative weighed by how surely it is none.\n"
        "A cross-encoder reads every candidate; its term in the softmax is multiplied by one minus the probability that it answers. "
        "Nothing is thrown out, so a hard true negative that looks relevant still teaches, a little. An unlabelled answer that the "
        "cross-encoder misses counts in full.",
        source=DCLR,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(source=Dense(), window=RankWindow(last=20), picker=Uniform(), per_query=2, weighting=Suspicion()),
            ),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="medium",
    ),
    Preset(
        name="adversarial",
        title="Adversarial training (FGM)",
        family="denoised",
        lesson="ANCE, and each step a second time with every vector moved where the loss grows fastest.\n"
        "The model must give the same answer in a small ball around each text, so a single wrong negative bends the space less. "
        "Compare it with ANCE on the same seed. It does not find false negatives; it only makes each pair's pull less sharp.",
        source=FGM.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=Dense(), window=RankWindow(last=20), picker=Uniform(), per_query=2),),
            schedule=EverySteps(),
            perturbation=FGM(),
        ),
        cost="high",
        difficulty="medium",
    ),
    Preset(
        name="rocketqa-augmented",
        title="RocketQA: augmented with unlabelled queries",
        family="denoised",
        lesson="Queries that nobody labelled get positives and negatives from a cross-encoder that is sure of them.\n"
        "Above .9 a document becomes a positive, below .1 a negative, and what lies between is left out; labelled queries are trained on "
        "as in RocketQA. Where the corpus has no unlabelled query, the labels of a quarter of the training queries are put aside, and the "
        "trial's log says how many of the new positives are right, by the labels put aside and by the truth where there is one. "
        "Held-out queries never take part.",
        source=ROCKETQA,
        recipe=Recipe(
            positives=CrossAugmented(),
            batch=InBatch(),
            mined=(
                Lane(
                    source=StaticDense(),
                    window=RankWindow(last=50),
                    filters=(CrossEncoderCut(threshold=0.1),),
                    picker=Uniform(),
                    per_query=4,
                ),
            ),
        ),
        cost="medium",
        difficulty="hard",
    ),
)
