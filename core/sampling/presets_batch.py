"""Presets of how batches are composed and how large they are."""

from __future__ import annotations

from core.sampling.batch import BandInBatch, InBatch
from core.sampling.order import Clustered, TopicAware
from core.sampling.passes import CrossBatch, GradientCache
from core.sampling.preset import Preset
from core.sampling.recipe import Recipe
from core.sampling.signal import Triplet

COMPOSED = (
    Preset(
        name="batch-hard",
        title="Batch hard",
        family="batch",
        lesson="Of the batch's other positives only those that already beat the query's own positive are used.\n"
        "FaceNet's hard negatives, s- >= s+, with its triplet loss. What is ranked right teaches nothing more, so a good model learns "
        "from fewer and fewer queries. What beats the positive is often an unlabelled answer, and FaceNet itself found that the "
        "hardest alone can collapse the model early: the reason for its semi-hard band.",
        source=BandInBatch.source,
        recipe=Recipe(batch=BandInBatch(band="hard"), signal=Triplet()),
        cost="free",
        difficulty="medium",
        is_seed_named=False,
    ),
    Preset(
        name="tas-b",
        title="TAS-B: topic-aware batches",
        family="batch",
        lesson="The queries of a batch are about one topic, so the others' answers are hard negatives.\n"
        "The training queries are clustered once with the untrained encoder, by k-means; each batch comes from one cluster. No index, no "
        "search, no price in a step. TAS-B adds two teachers and balanced margins, which this recipe leaves out. Where labels are "
        "incomplete, neighbours in a topic answer each other's queries, and the batch is full of false negatives.",
        source=TopicAware.source,
        recipe=Recipe(order=TopicAware(), batch=InBatch()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="clustered-batches",
        title="Clustered batches",
        family="batch",
        lesson="Spherical k-means splits the training pairs, and every batch stays inside one cluster.\n"
        "Arctic-Embed's author took batches from one source at a time, and went on to clusters inside a source. As topic-aware batches, "
        "but by the direction of the documents' vectors. More clusters are harder ones; what is left of each fills mixed batches.",
        source=Clustered.source,
        recipe=Recipe(order=Clustered(), batch=InBatch()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="cross-batch",
        title="Cross-batch negatives",
        family="batch",
        lesson="Four workers encode a batch each, and the documents of all serve every query.\n"
        "RocketQA's first step: A * B - 1 negatives for the encoding of B pairs a worker. Exactly one batch of A * B, because the gradient "
        "flows back through the gather. Here one process plays the workers in turn; torchrun makes them real.",
        source=CrossBatch.source,
        recipe=Recipe(batch=InBatch(), passes=CrossBatch(workers=4)),
        cost="low",
        difficulty="hard",
    ),
    Preset(
        name="large-batch",
        title="Large batch by gradient caching",
        family="batch",
        lesson="Eight times the batch, and so eight times the free negatives, in the memory of one.\n"
        "The chunks are encoded twice: once for their vectors, once to feed in the cached gradient of the whole batch's loss. The "
        "gradient is exactly the large batch's. Steps become rarer by the same factor, so a small corpus needs more epochs or a "
        "larger learning rate for the same way. 32 chunks of 128 are a batch of 4,096.",
        source=GradientCache.source,
        recipe=Recipe(batch=InBatch(), passes=GradientCache(chunks=8)),
        cost="medium",
        difficulty="medium",
    ),
)
