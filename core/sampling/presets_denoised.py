"""Presets that guard against false negatives."""

from __future__ import annotations

from core.sampling.batch import InBatch, SelfGuidedInBatch
from core.sampling.filters import NV_RETRIEVER, ROCKETQA, CrossEncoderCut, NearDuplicates, PercentageCut
from core.sampling.pickers import SimANS, Top, Uniform
from core.sampling.preset import Preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.schedule import EverySteps
from core.sampling.sources import Dense, StaticDense
from core.sampling.windows import RankWindow

DENOISED = (
    Preset(
        name="simans",
        title="SimANS",
        family="denoised",
        lesson="Negatives that score about as high as the positive: ambiguous, not false.\n"
        "Drawn from the top 100 of the current model with a probability that falls with the squared distance from the positive's score, "
        "so documents far above it, probably unlabelled answers, are seldom taken.",
        source=SimANS.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=Dense(), window=RankWindow(last=100), picker=SimANS(), per_query=2),),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="nv-retriever",
        title="NV-Retriever: percentage cut",
        family="denoised",
        lesson="The top of the current model, but only below 95 % of the positive's score.\n"
        "A positive-aware cut: what the model finds nearly as good as the labelled answer is left alone. Near-copies of the "
        "positive are refused too. It costs one comparison. It takes from the top what the cut leaves, so it can still hold more "
        "unlabelled answers than a draw from a window: on the sample corpus it halves the share of its own recipe without the cut.",
        source=NV_RETRIEVER,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(
                    source=Dense(),
                    window=RankWindow(last=100),
                    filters=(NearDuplicates(), PercentageCut()),
                    picker=Top(),
                    per_query=2,
                ),
            ),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="easy",
        is_seed_named=False,
    ),
    Preset(
        name="self-guided",
        title="Self-guided mask",
        family="denoised",
        lesson="What the model itself scores clearly above the positive is masked in every softmax.\n"
        "The mask of Qwen3-Embedding over the batch's positives and one negative of the current model's top for each query. It needs "
        "no second model, and it trusts the one that is being trained: a positive that it misplaces loses its best teachers.",
        source=SelfGuidedInBatch.source,
        recipe=Recipe(
            batch=SelfGuidedInBatch(),
            mined=(Lane(source=Dense(), window=RankWindow(last=100), picker=Uniform(), per_query=1),),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="rocketqa",
        title="RocketQA: denoised hard negatives",
        family="denoised",
        lesson="Dense hard negatives mined once, of which a cross-encoder throws out the likely answers, beside the batch's own.\n"
        "A cross-encoder is trained on the corpus's own labels and reads each candidate together with its query. What it finds likelier "
        "relevant than not is no negative. The paper kept only what it gave less than .1; set the filter's threshold to do the same.",
        source=ROCKETQA,
        recipe=Recipe(
            batch=InBatch(),
            mined=(
                Lane(
                    source=StaticDense(), window=RankWindow(last=50), filters=(CrossEncoderCut(),), picker=Uniform(), per_query=4
                ),
            ),
        ),
        cost="medium",
        difficulty="hard",
    ),
    Preset(
        name="ance-denoised",
        title="ANCE, denoised",
        family="denoised",
        lesson="ANCE without the candidates that a cross-encoder holds for answers, and without near-copies of the positive.\n"
        "The model's own best-ranked wrong documents, searched again as it learns, are where unlabelled answers gather; the cross-encoder "
        "reads them together with the query and refuses what is likelier relevant than not. Compare it with ANCE on the same seed: "
        "the difference is what false negatives cost.",
        source=ROCKETQA,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(
                    source=Dense(),
                    window=RankWindow(last=20),
                    filters=(NearDuplicates(), CrossEncoderCut()),
                    picker=Uniform(),
                    per_query=2,
                ),
            ),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="hard",
        is_seed_named=False,
    ),
)
