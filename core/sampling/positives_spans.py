"""Positives from one document by itself: a part of it asks for the rest, or for another part."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from core.errors import ParameterError
from core.params import Citation, param
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.text_units import Units, sentences, share_of, titled

MASK = "[MASK]"
#: Documents that one training makes pairs of; of a larger corpus so many are drawn, always the same ones.
MOST_DOCUMENTS = 200_000
CONTRIEVER = Citation(
    "Izacard et al.", 2022, "Unsupervised Dense Information Retrieval with Contrastive Learning", "https://arxiv.org/abs/2112.09118"
)


@dataclass(frozen=True)
class Texts:
    """Documents that are long enough: ``rows`` int64 (N,), their titles, and the words of what is cut."""

    rows: np.ndarray
    titles: list[str]
    units: list[Units]


def read_texts(context, least: int, *, with_title: bool) -> Texts:
    """The documents of at least ``least`` words. ``with_title``: the title is the first of the words, not kept apart."""
    documents, n = context.corpus.documents, context.corpus.n_documents
    rows = np.arange(n) if n <= MOST_DOCUMENTS else np.sort(np.random.default_rng(0).permutation(n)[:MOST_DOCUMENTS])
    if n > MOST_DOCUMENTS:
        documents = documents.select(["title", "text"]).take(rows)
    titles, texts = documents["title"].to_pylist(), documents["text"].to_pylist()
    if with_title:
        titles, texts = [""] * len(texts), [titled(a, b) for a, b in zip(titles, texts, strict=True)]
    units = [Units(text) for text in texts]
    kept = [place for place, own in enumerate(units) if len(own) >= least]
    return Texts(rows[kept], [titles[place] for place in kept], [units[place] for place in kept])


@dataclass(frozen=True, kw_only=True)
class InverseCloze(PositiveBuilder):
    """A sentence cut out of a document asks for the rest of that document.

    How: each epoch one sentence of every document is drawn as the pseudo-query and the document without it is the positive;
    with a small probability the sentence stays in, so that matching words is learned, too, beside what belongs together. A
    document of one sentence gives a run of its words instead. The title stays with the document.

    Fails where users' questions do not look like sentences of documents: the model learns what stands near what, and a
    statement's neighbour is seldom its answer. With short documents little is left once a sentence is gone.
    The paper cuts sentences; with `words` a run of 10 to 50 % of the words is cut, wherever it begins.
    """

    key = "inverse-cloze"
    title = "Inverse cloze"
    difficulty = "easy"
    source = Citation(
        "Lee, Chang and Toutanova",
        2019,
        "Latent Retrieval for Weakly Supervised Open Domain Question Answering",
        "https://arxiv.org/abs/1906.00300",
    )
    span: str = param("sentence", "what is cut out", choices=("sentence", "words"))
    kept: float = param(0.1, "probability that the span stays in the document", ge=0.0, le=1.0)

    def read(self, context):
        return read_texts(context, 4, with_title=False)

    def draw(self, material, rng):
        queries, documents = [], []
        for title, units in zip(material.titles, material.units, strict=True):
            first, last = _span(units, self.span, rng)
            is_kept = rng.random() < self.kept
            queries.append(units.cut(first, last))
            documents.append(titled(title, units.text if is_kept else units.without(first, last)))
        return MadePairs(queries, material.rows, documents)


def _span(units: Units, kind: str, rng: np.random.Generator) -> tuple[int, int]:
    """The words of one sentence, or of a run; never the whole text."""
    found = sentences(units.text) if kind == "sentence" else []
    if len(found) > 1:
        start, end = found[rng.integers(len(found))]
        first, last = bisect_left(units.starts, start), bisect_left(units.starts, end)
        if last > first:
            return first, last
    length = share_of(len(units), 0.1, 0.5, rng)
    first = int(rng.integers(len(units) - length + 1))
    return first, first + length


def noised(units: Units, way: str, p: float, words: np.ndarray | None, rng: np.random.Generator) -> str:
    """The text with each of its words deleted, replaced or masked with probability ``p``; one word always stays."""
    own = units.words()
    is_hit = rng.random(len(own)) < p
    if is_hit.all() and len(own):
        is_hit[rng.integers(len(own))] = False
    if way == "replace":
        assert words is not None
        others = words[rng.integers(len(words), size=len(own))]
        return units.joined([str(other) if hit else word for word, hit, other in zip(own, is_hit, others, strict=True)])
    instead = None if way == "delete" else MASK
    return units.joined([instead if hit else word for word, hit in zip(own, is_hit, strict=True)])


@dataclass(frozen=True, kw_only=True)
class RandomCrops(PositiveBuilder):
    """Two random crops of one document are each other's query and positive.

    How: each epoch two runs of words are cut from every document, independently, so they may overlap or not; from both a
    tenth of the words is deleted. Lengths are shares of the document. Overlap teaches exact words, distance teaches
    subject; the paper found crops better than the inverse cloze task without labels.

    Fails on short documents, where a tenth of the words is two or three: such crops are about anything. A document is a
    bag of its own subjects here, so the model learns what a document is about, never which question it answers.
    Words stand for the paper's subword tokens, so that a crop can be read; title and text are cropped as one.
    """

    key = "random-crops"
    title = "Random crops"
    difficulty = "easy"
    source = CONTRIEVER
    shortest: float = param(0.1, "shortest crop, as a share of the document's words", ge=0.01, le=1.0)
    longest: float = param(0.5, "longest crop, as a share of the document's words", ge=0.01, le=1.0)
    deleted: float = param(0.1, "probability that a word of a crop is deleted", ge=0.0, le=0.9)

    def check(self):
        if self.shortest > self.longest:
            raise ParameterError(f"RandomCrops.longest must be >= RandomCrops.shortest; got {self.longest:g} < {self.shortest:g}.")

    def read(self, context):
        return read_texts(context, 2, with_title=True)

    def draw(self, material, rng):
        crops: tuple[list[str], list[str]] = ([], [])
        for units in material.units:
            for side in crops:
                length = share_of(len(units), self.shortest, self.longest, rng)
                first = int(rng.integers(len(units) - length + 1))
                crop = units.cut(first, first + length)
                side.append(noised(Units(crop), "delete", self.deleted, None, rng) if self.deleted else crop)
        return MadePairs(crops[0], material.rows, crops[1])


@dataclass(frozen=True, kw_only=True)
class WordNoise(PositiveBuilder):
    """A document with a tenth of its words deleted, replaced or masked asks for the whole document.

    How: each epoch every word of the document is hit with the same small probability; the noisy text is the pseudo-query,
    the document as it is the positive. Replacements are drawn uniformly from the different words of the corpus.

    Fails as a task of its own: nine words in ten agree, so the pair is easy and the softmax is soon content. In the
    literature it is the finish on crops or on spans taken from the text, where the overlap is smaller. With an encoder that
    averages token vectors a mask is one more vector in the mean.
    """

    key = "word-noise"
    title = "Word delete, replace or mask"
    difficulty = "easy"
    source = CONTRIEVER
    way: str = param("delete", "what becomes of a word that is hit", choices=("delete", "replace", "mask"))
    probability: float = param(0.1, "probability that a word is hit", ge=0.0, le=0.9)

    def read(self, context):
        texts = read_texts(context, 2, with_title=True)
        words = np.unique(np.array([word for units in texts.units for word in set(units.words())], object))
        return texts, words

    def draw(self, material, rng):
        texts, words = material
        return MadePairs([noised(units, self.way, self.probability, words, rng) for units in texts.units], texts.rows)


@dataclass(frozen=True, kw_only=True)
class ContiguousSpans(PositiveBuilder):
    """The words before a place in a text ask for the words after it, or the other way round.

    How: each epoch a place is drawn in every document; the run of words up to it and the run from it on are the pair,
    and a coin decides which is the query. The two share no word by overlap, only by subject, so this is harder
    than crops. DeCLUTR takes overlapping and contained spans as well; here they only touch.

    Fails where texts change their subject half-way, and on texts so short that a side is a few words.
    """

    key = "contiguous-spans"
    title = "Contiguous spans"
    difficulty = "easy"
    source = Citation(
        "Giorgi et al.", 2021, "DeCLUTR: Deep Contrastive Learning for Unsupervised Textual Representations", "https://arxiv.org/abs/2006.03659"
    )
    least: int = param(4, "fewest words on a side", unit="words", ge=1, le=1000)
    most: int = param(64, "most words on a side", unit="words", ge=1, le=10_000)

    def check(self):
        if self.most < self.least:
            raise ParameterError(f"ContiguousSpans.most must be >= ContiguousSpans.least; got {self.most} < {self.least}.")

    def read(self, context):
        return read_texts(context, 2 * self.least, with_title=True)

    def draw(self, material, rng):
        queries, documents = [], []
        for units in material.units:
            place = int(rng.integers(self.least, len(units) - self.least + 1))
            sides = units.cut(max(0, place - self.most), place), units.cut(place, min(len(units), place + self.most))
            is_first = bool(rng.integers(2))
            queries.append(sides[0] if is_first else sides[1])
            documents.append(sides[1] if is_first else sides[0])
        return MadePairs(queries, material.rows, documents)
