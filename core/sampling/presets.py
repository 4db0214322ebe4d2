"""Strategies of the literature as named recipes: a preset is only a choice of pieces."""

from __future__ import annotations

from core.errors import ParameterError
from core.params import Citation
from core.sampling.batch import DPR, BandInBatch, HardestInBatch, InBatch, NoBatch
from core.sampling.pickers import Top, Uniform
from core.sampling.preset import FAMILY_TITLES, Preset
from core.sampling.presets_batch import COMPOSED
from core.sampling.presets_denoised import DENOISED
from core.sampling.presets_guarded import GUARDED
from core.sampling.presets_mined import PRESETS_MINED
from core.sampling.presets_positives import FROM_OTHER_POSITIVES, SYNTHETIC
from core.sampling.queues import MoCo, Queue
from core.sampling.recipe import Lane, Recipe
from core.sampling.schedule import EverySteps
from core.sampling.signal import Triplet
from core.sampling.sources import BM25Source, Dense, Gold, RandomCorpus, StaticDense
from core.sampling.windows import RankWindow

__all__ = ["FAMILY_TITLES", "PRESETS", "Preset", "name_of", "preset"]

EBR = RandomCorpus.source
ANCE = Dense.source
LUAN = Citation(
    "Luan et al.", 2020, "Sparse, Dense, and Attentional Representations for Text Retrieval", "https://arxiv.org/abs/2005.00181"
)

_ALL = (
    Preset(
        name="in-batch",
        title="In-batch negatives",
        family="batch",
        lesson="The other queries' positives in the batch serve as negatives, free of charge.\n"
        "One matrix product scores every pair of the batch. The baseline that everything else is measured against: its "
        "negatives are random in nature, so most teach little, and a larger batch helps by making a hard one likelier.",
        source=DPR,
        recipe=Recipe(batch=InBatch()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="gold",
        title="Gold negatives",
        family="batch",
        lesson="Positives of other training queries, drawn from the whole training set.\n"
        "As in-batch, but independent of which queries happen to share a batch, and of the batch's size.",
        source=DPR,
        recipe=Recipe(batch=NoBatch(), mined=(Lane(source=Gold(), per_query=8),)),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="hardest-in-batch",
        title="Online hardest in batch",
        family="batch",
        lesson="Of the batch's other positives only the two nearest are used.\n"
        "Hard negatives without an index. Bounded by the batch: what is not in it cannot be found.",
        source=EBR,
        recipe=Recipe(batch=HardestInBatch()),
        cost="free",
        difficulty="medium",
    ),
    Preset(
        name="semi-hard",
        title="Semi-hard in batch",
        family="batch",
        lesson="Of the batch's other positives only those a little below the query's own positive are used.\n"
        "With the triplet loss, as in FaceNet: what lies beyond the margin teaches nothing anyway, and what already beats the "
        "positive is left out, because it may be an unlabelled answer. Once the model is good, most bands are empty.",
        source=BandInBatch.source,
        recipe=Recipe(batch=BandInBatch(), signal=Triplet()),
        cost="free",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="memory-queue",
        title="Memory queue",
        family="batch",
        lesson="Documents of earlier batches go on serving as negatives from a queue.\n"
        "Many negatives for one batch's encoding; the older ones were encoded by an earlier state of the model.",
        source=Queue.source,
        recipe=Recipe(batch=Queue()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="moco",
        title="MoCo",
        family="batch",
        lesson="A queue filled by a slowly moving copy of the encoder.\n"
        "Entries agree with each other better than in a plain queue. The price: the document side gets no gradient, and "
        "the momentum must fit the length of the training.",
        source=MoCo.source,
        recipe=Recipe(batch=MoCo()),
        cost="medium",
        difficulty="hard",
    ),
    Preset(
        name="random",
        title="Random negatives",
        family="static",
        lesson="Any documents of the corpus, drawn anew each epoch, beside the batch's own.\n"
        "They reach documents that are nobody's positive, which in-batch never shows the model. Safe and easy: their softmax "
        "weight is almost zero once the model has learned topics.",
        source=EBR,
        recipe=Recipe(batch=InBatch(), mined=(Lane(source=RandomCorpus(), per_query=2),)),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="bm25",
        title="BM25 hard negatives",
        family="static",
        lesson="Documents that share the query's words but are not labelled as its answer, beside the batch's own.\n"
        "Two of the first fifty of BM25 are drawn for each query and epoch, and meet only their own query. They teach "
        "the difference between same words and same meaning; the very first ranks often hold unlabelled answers.",
        source=DPR,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=BM25Source(), window=RankWindow(last=50), picker=Uniform(), per_query=2),),
        ),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="dpr",
        title="DPR: in-batch + one BM25",
        family="static",
        lesson="The batch's positives and one BM25 negative of each query serve every query of the batch.\n"
        "2B - 1 negatives for each query with one hard among them: the recipe of the paper that made dense retrieval popular.",
        source=DPR,
        recipe=Recipe(batch=InBatch(), mined=(Lane(source=BM25Source(), window=RankWindow(last=50), picker=Top(), per_query=1),)),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="bm25-random",
        title="BM25 + random",
        family="static",
        lesson="Hard lexical negatives and uniform random ones in one set.\n"
        "The random ones keep the whole space in order while the lexical ones sharpen it.",
        source=LUAN,
        recipe=Recipe(
            batch=NoBatch(),
            mined=(
                Lane(source=BM25Source(), window=RankWindow(last=50), picker=Uniform(), per_query=4),
                Lane(source=RandomCorpus(), per_query=4),
            ),
        ),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="static-dense",
        title="Static dense negatives",
        family="static",
        lesson="The best-ranked wrong documents of an earlier model, mined once before training.\n"
        "Point it at a finished trial to mine with that model; without one the untrained encoder is searched. Stale as soon as the "
        "new model has learned them.",
        source=StaticDense.source,
        recipe=Recipe(
            batch=InBatch(),
            mined=(Lane(source=StaticDense(), window=RankWindow(last=50), picker=Uniform(), per_query=2),),
        ),
        cost="medium",
        difficulty="medium",
    ),
    Preset(
        name="rank-window",
        title="Rank window 101-500",
        family="static",
        lesson="Uniform from ranks 101 to 500 of a dense search, where few answers are left.\n"
        "Facebook's search found this window best on its billions of documents, and mixed such negatives with random ones. On a "
        "small corpus ranks that deep are nearly random.",
        source=EBR,
        recipe=Recipe(
            batch=InBatch(),
            mined=(Lane(source=StaticDense(), window=RankWindow(first=101, last=500), picker=Uniform(), per_query=2),),
        ),
        cost="medium",
        difficulty="easy",
    ),
    Preset(
        name="easy-hard-blend",
        title="Easy : hard blend",
        family="static",
        lesson="Many random negatives for each hard one.\n"
        "Facebook's search found that models trained on hard negatives alone lose to random ones, and that blends up to 100 : 1 "
        "went on improving. Here 16 : 1; both counts are parameters.",
        source=EBR,
        recipe=Recipe(
            batch=NoBatch(),
            mined=(
                Lane(source=RandomCorpus(), per_query=16),
                Lane(source=StaticDense(), window=RankWindow(last=100), picker=Uniform(), per_query=1),
            ),
        ),
        cost="medium",
        difficulty="medium",
    ),
    Preset(
        name="ance",
        title="ANCE",
        family="dynamic",
        lesson="The model's own best-ranked wrong documents, searched again as it learns.\n"
        "Once an epoch the corpus is encoded and searched with the model of that moment; negatives are drawn from its top 20 (the "
        "paper: 200 of 8.8 million passages; corpora here are smaller). "
        "The largest gradients there are. Where labels are incomplete, many of these negatives are true answers.",
        source=ANCE,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=Dense(), window=RankWindow(last=20), picker=Uniform(), per_query=2),),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="hard",
    ),
    *COMPOSED,
    *PRESETS_MINED,
    *DENOISED,
    *GUARDED,
    *SYNTHETIC,
    *FROM_OTHER_POSITIVES,
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}


def preset(name: str) -> Preset:
    """The preset of that name; raises ParameterError that lists the names."""
    if name not in PRESETS:
        raise ParameterError(f"recipe must be one of {', '.join(PRESETS)}; got {name!r}.")
    return PRESETS[name]


def name_of(recipe: Recipe) -> str:
    """The title of the preset that equals the recipe, or "custom"."""
    for known in PRESETS.values():
        if known.recipe == recipe:
            return known.title
    return "custom"


