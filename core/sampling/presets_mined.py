"""Presets of strategies that mine: what the current model, the log or the corpus's own structure offers as negatives."""

from __future__ import annotations

from core.params import Citation
from core.sampling.batch import InBatch, NoBatch
from core.sampling.batch_mined import FullRetrieval, HighestLoss, MetricWeighted
from core.sampling.filters import NearDuplicates
from core.sampling.pickers import TriSampler, Uniform
from core.sampling.preset import Preset
from core.sampling.recipe import Lane, Recipe
from core.sampling.schedule import AsyncEverySteps, EverySteps
from core.sampling.signal import PairwiseLogistic
from core.sampling.sources import MNS, Dense, Popularity, RandomCorpus, StaticDense
from core.sampling.sources_mined import Cluster, Context, LookAhead, Momentum, NotClicked
from core.sampling.windows import RankWindow

ADORE = Citation(
    "Zhan et al.", 2021, "Optimizing Dense Retrieval Model Training with Hard Negatives", "https://arxiv.org/abs/2104.08051"
)

PRESETS_MINED = (
    Preset(
        name="popularity",
        title="Popularity-weighted negatives",
        family="static",
        lesson="Documents drawn in proportion to how many training queries they answer.\n"
        "The law that in-batch negatives follow, here without a batch: compare it with gold, where every positive is equally likely. "
        "What is popular is pushed away most, and what is nobody's positive is never met.",
        source=MNS,
        recipe=Recipe(batch=NoBatch(), mined=(Lane(source=Popularity(), per_query=8),)),
        cost="low",
        difficulty="easy",
        is_seed_named=False,
    ),
    Preset(
        name="mns",
        title="Mixed negative sampling",
        family="static",
        lesson="The batch's own negatives and as many uniform ones from the corpus in one softmax.\n"
        "In-batch negatives follow popularity and never show the model what is nobody's positive; one uniform document of each query, "
        "shared by the whole batch, corrects that. The paper also subtracts the log of each item's sampling probability; this "
        "preset does not, because in retrieval corpora most positives are equally frequent.",
        source=MNS,
        recipe=Recipe(batch=InBatch(), mined=(Lane(source=RandomCorpus(), per_query=1),)),
        cost="low",
        difficulty="easy",
        is_seed_named=False,
    ),
    Preset(
        name="impressions",
        title="Non-clicked impressions",
        family="static",
        lesson="What searchers were shown for the query and did not click, beside the batch's own.\n"
        "Hard negatives that cost no search, from impressions.tsv. A result that was not clicked was often not even looked at, and the "
        "lower it stood the less (position bias), so unlabelled answers are among them. Facebook's search found random "
        "negatives better than these.",
        source=NotClicked.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=NotClicked(), window=RankWindow(last=30), picker=Uniform(), per_query=2),),
        ),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="context",
        title="Context negatives",
        family="static",
        lesson="Other passages of the document that the positive was cut from, beside the batch's own.\n"
        "Same author, same subject, same names, and still not the answer. It needs a corpus that says which passages belong together. "
        "Where neighbours answer as well they are false negatives; near-copies of the positive are left out.",
        source=Context.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(
                    source=Context(), window=RankWindow(last=50), filters=(NearDuplicates(),), picker=Uniform(), per_query=2
                ),
            ),
        ),
        cost="low",
        difficulty="easy",
        is_seed_named=False,
    ),
    Preset(
        name="cluster",
        title="Cluster-based mining",
        family="static",
        lesson="Documents of the positive's cluster, without its near-copies, beside the batch's own.\n"
        "The corpus is clustered once by k-means of the untrained encoder's vectors. Its clusters are topics: negatives from the "
        "same one teach what search for the nearest alone would narrow to a few documents.",
        source=Cluster.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(
                    source=Cluster(), window=RankWindow(last=50), filters=(NearDuplicates(),), picker=Uniform(), per_query=2
                ),
            ),
        ),
        cost="medium",
        difficulty="medium",
    ),
    Preset(
        name="star",
        title="STAR: static hard + in-batch",
        family="static",
        lesson="One static hard negative of each query, and everything in the batch as a random one.\n"
        "Static hard negatives alone shift the top of the ranking and lose the rest; the batch's other documents, hard ones of others "
        "included, keep training stable. From the first 200 ranks of a warm-up model: point the source at a finished "
        "trial, or the untrained encoder is searched. ADORE was made to follow it.",
        source=ADORE,
        recipe=Recipe(
            batch=InBatch(),
            mined=(Lane(source=StaticDense(), window=RankWindow(last=200), picker=Uniform(), per_query=1),),
        ),
        cost="medium",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="ance-async",
        title="ANCE, asynchronous",
        family="dynamic",
        lesson="ANCE whose search runs in a second process, while training goes on with the negatives that it has.\n"
        "Every epoch the weights are handed over; five steps later their negatives are taken, so each refresh is five steps stale, and "
        "equal seeds repeat it. Set the schedule's lag to 0 to take them whenever they are there, as the paper did on "
        "millions of passages: then nothing waits, and staleness is what the refresh log says. On small corpora searching at once is "
        "quicker than starting a process.",
        source=Dense.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=Dense(), window=RankWindow(last=20), picker=Uniform(), per_query=2),),
            schedule=AsyncEverySteps(lag=5),
        ),
        cost="high",
        difficulty="hard",
    ),
    Preset(
        name="ance-tele",
        title="ANCE-Tele",
        family="dynamic",
        lesson="ANCE's negatives with those of the last refresh and the positive's neighbours beside them.\n"
        "Negatives that are only the newest mistakes swing to and fro; what the last refresh found keeps old lessons alive, and what "
        "lies near the positive is what the query will meet next. Three lanes, one negative of each; the paper mixes them in one "
        "pool. BM25 stands in for the last refresh at the start. The positive's neighbours are guarded against near-copies.",
        source=Momentum.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(
                Lane(source=Dense(), window=RankWindow(last=20), picker=Uniform(), per_query=1),
                Lane(source=Momentum(), window=RankWindow(last=20), picker=Uniform(), per_query=1),
                Lane(
                    source=LookAhead(), window=RankWindow(last=20), filters=(NearDuplicates(),), picker=Uniform(), per_query=1
                ),
            ),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="hard",
        is_seed_named=False,
    ),
    Preset(
        name="ohem",
        title="Bootstrapping (OHEM)",
        family="dynamic",
        lesson="Many negatives are scored at each step, and only the tenth with the highest loss is learned from.\n"
        "The batch's positives and two random documents of each query serve every query; all pairs are ranked by loss across the batch. "
        "Loss rank, where ANCE takes index rank: nothing is searched, and easy queries sit out. What is mislabelled has the highest loss "
        "of all.",
        source=HighestLoss.source,
        recipe=Recipe(batch=HighestLoss(), mined=(Lane(source=RandomCorpus(), per_query=2),)),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="ltre",
        title="LTRe: full retrieval",
        family="dynamic",
        lesson="Document vectors stay fixed; at each step the whole corpus is searched for the batch's queries, and only these move.\n"
        "Negatives that are never stale at the price of a search a step. Point it at a finished trial: here the document side is the "
        "untrained encoder's, so the query side must make up for all of it.",
        source=FullRetrieval.source,
        recipe=Recipe(batch=FullRetrieval()),
        cost="medium",
        difficulty="hard",
    ),
    Preset(
        name="adore",
        title="ADORE",
        family="dynamic",
        lesson="LTRe with the top 200 of each step and a pairwise loss weighted by the change in RR@10.\n"
        "A pair counts for what swapping its two documents would do to the metric, so the first ranks decide. The paper starts from STAR's "
        "document vectors: train that first and name it as the trial.",
        source=MetricWeighted.source,
        recipe=Recipe(batch=MetricWeighted(), signal=PairwiseLogistic()),
        cost="medium",
        difficulty="hard",
        is_seed_named=False,
    ),
    Preset(
        name="trisampler",
        title="TriSampler",
        family="dynamic",
        lesson="Negatives that make a nearly regular triangle with the query and its positive.\n"
        "Drawn from the top 50 of the current model: those count that lie closer to the positive than to the query, and the more so "
        "the nearer their score is to the positive's. Cosines lie between -1 and 1, so the spread is .05 here (the paper's 4 "
        "belongs to dot products). What is close to the positive is often a copy of it or an answer too: add a filter where labels "
        "are few.",
        source=TriSampler.source,
        recipe=Recipe(
            batch=InBatch(shared_negatives=False),
            mined=(Lane(source=Dense(), window=RankWindow(last=50), picker=TriSampler(spread=0.05), per_query=2),),
            schedule=EverySteps(),
        ),
        cost="high",
        difficulty="medium",
        is_seed_named=False,
    ),
)
