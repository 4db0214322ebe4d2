"""Presets whose positives are not the labels: made of the texts, or read from a log."""

from __future__ import annotations

from core.sampling.batch import InBatch
from core.sampling.positives_extract import AUGTRIEVER, SalientExtract, SalientSpans, TitleAsQuery
from core.sampling.positives_log import EBR, Clicked, HardPositives
from core.sampling.positives_passages import NeighbouringPieces, RecurringSpans
from core.sampling.positives_queries import QueryClusters, SparLambda
from core.sampling.positives_spans import ContiguousSpans, InverseCloze, RandomCrops, WordNoise
from core.sampling.positives_written import GPL, GeneratedQueries, Paraphrases
from core.sampling.preset import Preset
from core.sampling.queues import MoCo
from core.sampling.recipe import Recipe
from core.sampling.written import SYNEG, Counterfactuals, NegativesFromFile

SYNTHETIC = (
    Preset(
        name="counterfactuals",
        title="Rule-made counterfactuals",
        family="synthetic",
        lesson="A positive with a name, a date or a number exchanged is a negative, beside the batch's own.\n"
        "Made by rule, offline, for nothing. The text keeps nearly every word and is no answer any more - where the rule hit what was "
        "asked for. Encoders that average words hardly see one that changed; those that read in order gain more.",
        source=SYNEG,
        recipe=Recipe(batch=InBatch(shared_negatives=False), written=Counterfactuals()),
        cost="low",
        difficulty="easy",
    ),
    Preset(
        name="llm-negatives",
        title="SyNeg: negatives written by a model",
        family="synthetic",
        lesson="A language model writes texts that look like an answer and are none; they join the query's negatives.\n"
        "'negspace write --kind negatives' asks a chat endpoint, after it has said what that costs, and any file of texts will do. "
        "Every such text is marked synthetic and is never searched. Whether the model wrote an answer after all, nobody checks but you.",
        source=SYNEG,
        recipe=Recipe(batch=InBatch(shared_negatives=False), written=NegativesFromFile()),
        cost="high",
        difficulty="medium",
    ),
    Preset(
        name="generated-queries",
        title="GPL: generated queries",
        family="synthetic",
        lesson="A language model writes queries for each document; they are trained on in place of labels.\n"
        "'negspace write --kind queries' asks a chat endpoint; a file of doc-id and text will do. The first half of GPL: its mined "
        "negatives and their weighing by a cross-encoder are not part of it.",
        source=GPL,
        recipe=Recipe(positives=GeneratedQueries()),
        cost="high",
        difficulty="medium",
    ),
    Preset(
        name="paraphrases",
        title="Paraphrased queries",
        family="synthetic",
        lesson="Labelled queries are asked in the words of a language model, too.\n"
        "Each epoch a pair takes the query itself or one of its paraphrases. 'negspace write --kind paraphrases' asks a chat endpoint; "
        "a file of query-id and text will do. A paraphrase that drifts makes a wrong label.",
        source=GPL,
        recipe=Recipe(positives=Paraphrases()),
        cost="high",
        difficulty="easy",
    ),
)

FROM_OTHER_POSITIVES = (
    Preset(
        name="clicked",
        title="Clicked positives",
        family="positives",
        lesson="What was clicked for a query in the log is its positive, whatever the labels say.\n"
        "The positives of Facebook's search. Position bias comes with them: the first results are looked at most and clicked most, and "
        "what the old ranking never showed cannot be learned. Labels only keep known answers from serving as negatives.",
        source=EBR,
        recipe=Recipe(positives=Clicked()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="hard-positives",
        title="Hard positives",
        family="positives",
        lesson="Clicks, and the likely targets of sessions in which nothing was clicked.\n"
        "A failed session names a query that the old ranking served badly, so its target teaches more than another click. "
        "Targets are found by clicks of other sessions and so inherit their position bias; what a failed session showed near the "
        "top and nobody clicked is left out.",
        source=EBR,
        recipe=Recipe(positives=HardPositives()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="inverse-cloze",
        title="Inverse cloze task",
        family="positives",
        lesson="A sentence of a document asks for the rest of it; no label is used.\n"
        "The first pre-training task of dense retrieval: what is near in a text belongs together. Other documents of the batch are "
        "the negatives. It teaches what documents are about, and little of how people ask.",
        source=InverseCloze.source,
        recipe=Recipe(positives=InverseCloze()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="random-crops",
        title="Random crops",
        family="positives",
        lesson="Two random crops of the same document are a pair; no label is used.\n"
        "Contriever's data with the batch's own negatives. Crops may overlap, so exact words count as well as subjects. On documents of "
        "a few dozen words a crop is a handful of words and says little.",
        source=RandomCrops.source,
        recipe=Recipe(positives=RandomCrops()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="contriever",
        title="Contriever: crops and MoCo",
        family="positives",
        lesson="Random crops of each document against a queue that a slow copy of the encoder fills.\n"
        "The whole recipe of the paper, with a queue and a momentum for small corpora: it kept 131,072 keys at a momentum of .9995, "
        "which needs far more steps than a few epochs of some thousand documents. A queue as large as the corpus holds each "
        "query's own document, which is masked by its row.",
        source=RandomCrops.source,
        recipe=Recipe(positives=RandomCrops(), batch=MoCo(size=512, momentum=0.99)),
        cost="medium",
        difficulty="hard",
    ),
    Preset(
        name="moco-augmented",
        title="MoCo with word augmentation",
        family="positives",
        lesson="A document with some of its words deleted asks for the document, against a momentum queue.\n"
        "Word-level augmentation is on the query side alone; the keys are whole documents, encoded by the slow copy. Queue and momentum "
        "are scaled to small corpora (the paper: 16,384 and .9995). The pairs are easy, so what is learned comes "
        "from the many negatives.",
        source=AUGTRIEVER,
        recipe=Recipe(positives=WordNoise(probability=0.3), batch=MoCo(size=512, momentum=0.99)),
        cost="medium",
        difficulty="hard",
    ),
    Preset(
        name="word-noise",
        title="Word delete, replace or mask",
        family="positives",
        lesson="A document with a tenth of its words deleted asks for the document; no label is used.\n"
        "The lightest augmentation there is. Nearly all words agree, so the task is soon solved; it shows how little an easy "
        "positive teaches. The way and the share of words are parameters.",
        source=WordNoise.source,
        recipe=Recipe(positives=WordNoise()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="contiguous-spans",
        title="Contiguous spans",
        family="positives",
        lesson="What stands before a place in a text asks for what stands after it; no label is used.\n"
        "The pair shares a subject and no words by overlap. Harder than crops, and noisier where a text changes its subject.",
        source=ContiguousSpans.source,
        recipe=Recipe(positives=ContiguousSpans()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="neighbouring-pieces",
        title="Neighbouring pieces",
        family="positives",
        lesson="A passage asks for the one beside it in the same source; no label is used.\n"
        "Needs documents that name their source and their number in it. Nothing of the texts overlaps, so what is learned is which "
        "subjects go together; where passages are about one thing each in another way, that is not what a question asks.",
        source=NeighbouringPieces.source,
        recipe=Recipe(positives=NeighbouringPieces()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="spider",
        title="Spider: recurring spans",
        family="positives",
        lesson="The words around a span ask for another passage with the same span; no label is used.\n"
        "Names and terms come back in the passages of one source, and that is much like a question and its passage: they share "
        "the telling words and little else. A passage of the same source without the span is the hard negative.",
        source=RecurringSpans.source,
        recipe=Recipe(positives=RecurringSpans()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="salient-spans",
        title="Salient-span masking",
        family="positives",
        lesson="A sentence with a name or a date masked asks for its document; no label is used.\n"
        "REALM's queries without its reader: what is missing is a fact, and the document holds it. Names and dates are found "
        "by rule, which suits languages that write names, and only names, with capitals.",
        source=SalientSpans.source,
        recipe=Recipe(positives=SalientSpans()),
        cost="free",
        difficulty="medium",
    ),
    Preset(
        name="title-as-query",
        title="AugTriever: structure",
        family="positives",
        lesson="The title asks for the text under it; no label is used.\n"
        "The cheapest pseudo-queries there are, written by people, and as good as the titles. On a corpus with telling titles "
        "they look more like queries than any span of a text does.",
        source=AUGTRIEVER,
        recipe=Recipe(positives=TitleAsQuery()),
        cost="free",
        difficulty="easy",
    ),
    Preset(
        name="salient-extract",
        title="AugTriever: salience",
        family="positives",
        lesson="Of some spans of a document the one that BM25 finds most telling asks for it; no label is used.\n"
        "A better choice of what to ask with than a crop at random: rare words of the document rather than filler. The untrained "
        "static vectors may choose instead.",
        source=AUGTRIEVER,
        recipe=Recipe(positives=SalientExtract()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="spar-lambda",
        title="SPAR Lambda",
        family="positives",
        lesson="BM25 teaches a dense model: its first ten are the positives, the last five of fifty the hard negatives.\n"
        "The student learns to match words, rare ones above all, and no label is used. The paper joins its vectors with those of "
        "an ordinary dense model; alone it can hardly be better than its teacher.",
        source=SparLambda.source,
        recipe=Recipe(positives=SparLambda(), batch=InBatch()),
        cost="low",
        difficulty="medium",
    ),
    Preset(
        name="query-clusters",
        title="Query augmentation by clusters",
        family="positives",
        lesson="Labelled queries get words that mark the cluster of queries they belong to.\n"
        "Half of the time, anew each epoch, so that a document meets more wordings than its one query has. A cluster that mixes "
        "two needs teaches the wrong ones.",
        source=QueryClusters.source,
        recipe=Recipe(positives=QueryClusters()),
        cost="low",
        difficulty="medium",
    ),
)
