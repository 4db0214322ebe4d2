"""Positives whose query is taken from the document: its title, a masked sentence, its most telling span."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from core.errors import ParameterError
from core.params import Citation, param
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.positives_spans import MASK, read_texts
from core.sampling.text_units import STOP_WORDS, Units, bare, sentences

AUGTRIEVER = Citation(
    "Meng et al.",
    2023,
    "AugTriever: Unsupervised Dense Retrieval and Domain Adaptation by Scalable Data Augmentation",
    "https://arxiv.org/abs/2212.08841",
)
_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DATE = re.compile(rf"\b(?:\d{{1,2}} )?(?:{_MONTHS})(?: \d{{1,2}}(?!\d))?,?(?: \d{{4}})?\b|\b(?:1\d|20)\d\d\b")
#: Titles that this many documents share say nothing about one of them.
COMMON_TITLE = 16


@dataclass(frozen=True, kw_only=True)
class TitleAsQuery(PositiveBuilder):
    """The title asks for the text that stands under it.

    How: the structure of documents is free supervision: whoever wrote the title said in a few words what the text is about. The
    title is the pseudo-query, the text without it the positive, in every epoch the same. Documents under one title are not
    each other's negatives; titles of more than sixteen documents are left out. The paper also takes anchor texts of links.

    Fails where titles are names ("Section 3", file names) or repeat the first words of the text. Documents keep their
    titles when they are searched, so the model is tested on slightly other texts than it is trained on; `keep title`
    trains on the same texts and gives the answer away.
    """

    key = "title-as-query"
    title = "Title as query"
    difficulty = "easy"
    is_redrawn = False
    needs = ("titles",)
    source = AUGTRIEVER
    keep_title: bool = param(False, "the document keeps its title")

    def lacks(self, corpus, recipe=None):
        if any(map(str.strip, corpus.documents["title"].to_pylist())):
            return ""
        return f"{self.title} needs titles, and no document of this corpus has one. Add 'title' to corpus.jsonl, or choose other positives."

    def read(self, context):
        documents = context.corpus.documents
        titles = [title.strip() for title in documents["title"].to_pylist()]
        texts = [text.strip() for text in documents["text"].to_pylist()]
        under: dict[str, list[int]] = {}
        for row, title in enumerate(titles):
            under.setdefault(title, []).append(row)
        rows = [row for row, title in enumerate(titles) if title and texts[row] and len(under[title]) <= COMMON_TITLE]
        protected = np.full((len(rows), max((len(under[titles[row]]) for row in rows), default=0)), -1, np.int64)
        for i, row in enumerate(rows):
            protected[i, : len(under[titles[row]])] = under[titles[row]]
        return MadePairs([titles[row] for row in rows], rows, None if self.keep_title else [texts[row] for row in rows], protected)

    def draw(self, material, rng):
        return material


def salient_spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of the names and dates of a text, by rule, in order.

    A date is a month with or without day and year, or a year from 1000 to 2099. A name is a run of capitalised words; where a
    sentence begins, one capitalised word says nothing, so a single word counts only inside a sentence.

    >>> text = "In 1932 the Harbour Bridge opened. It was painted in Sydney."
    >>> [text[a:b] for a, b in salient_spans(text)]
    ['1932', 'Harbour Bridge', 'Sydney']
    """
    found = [match.span() for match in _DATE.finditer(text)]
    for start, end in sentences(text):
        units = Units(text[start:end])
        words = units.words()
        i = 0
        while i < len(words):
            j = i
            while j < len(words) and _is_capital(words[j]) and not (i == j and bare(words[j]) in STOP_WORDS):
                j += 1
                if re.search(r"[.,;:!?)]$", words[j - 1]):
                    break
            if j - i > 1 or (j - i == 1 and i > 0):
                first = start + units.starts[i]
                last = start + units.ends[j - 1]
                raw = text[first:last]
                core = raw.strip("\"'()[].,;:!?")
                offset = raw.find(core)
                if core:
                    found.append((first + offset, first + offset + len(core)))
            i = max(j, i + 1)
    kept: list[tuple[int, int]] = []
    for span in sorted(set(found), key=lambda s: (s[0], -s[1])):
        if not kept or span[0] >= kept[-1][1]:
            kept.append(span)
    return kept


def _is_capital(word: str) -> bool:
    letters = word.lstrip("\"'([")
    return len(bare(word)) > 1 and letters[:1].isupper()


@dataclass(frozen=True, kw_only=True)
class SalientSpans(PositiveBuilder):
    """A sentence with a name or a date masked asks for the document that it stands in.

    How: names and dates are found by rule (capitalised runs, months, years). Each epoch one is drawn for every document that
    has any; its sentence, with a mask in the place of the span, is the pseudo-query and the document, which holds the answer, the
    positive. What is asked for is a fact, as in many questions, not just a subject.

    Fails where capitals do not mean names (German nouns, headlines) and in scripts without capitals, where only dates
    remain. The other words of the sentence stand in the document as they are, so matching words is enough. REALM
    found the spans with a tagger and let a reader fill the mask; here only the retrieval side of it is trained.
    """

    key = "salient-spans"
    title = "Salient-span masking"
    difficulty = "medium"
    source = Citation(
        "Guu et al.", 2020, "REALM: Retrieval-Augmented Language Model Pre-Training", "https://arxiv.org/abs/2002.08909"
    )
    least: int = param(3, "fewest other words in the sentence", unit="words", ge=1, le=100)

    def read(self, context):
        masked: dict[int, list[str]] = {}
        for row, text in enumerate(context.corpus.documents["text"].to_pylist()):
            bounds = sentences(text)
            for start, end in salient_spans(text):
                own = next((s for s in bounds if s[0] <= start and end <= s[1]), None)
                if own is not None and len(Units(text[own[0] : start])) + len(Units(text[end : own[1]])) >= self.least:
                    masked.setdefault(row, []).append(text[own[0] : start] + MASK + text[end : own[1]])
        return masked

    def draw(self, material, rng):
        return MadePairs([options[rng.integers(len(options))] for options in material.values()], list(material))


@dataclass(frozen=True, kw_only=True)
class SalientExtract(PositiveBuilder):
    """The span that says most about its document asks for the document.

    How: each epoch some spans of one length are drawn from every document, and the one most salient to the document is the
    pseudo-query. Salience is BM25's score of the span against its own document, so rare words that come often there win; or
    the cosine of both by the untrained static encoder, as the paper does with a dual encoder. All candidates of
    a document have the same length, so that long ones do not win by being long.

    Fails where rare words are noise (codes, misspellings): BM25 finds them telling. A span of the document shares every word with
    it, so labels still have to teach how people ask. How many spans and how long are our choice for short documents;
    the paper also scores by a language model, which is not offered here.
    """

    key = "salient-extract"
    title = "Most salient span"
    cost = "low"
    difficulty = "medium"
    source = AUGTRIEVER
    by: str = param("bm25", "who says what is salient", choices=("bm25", "vectors"))
    candidates: int = param(8, "spans drawn for each document", ge=1, le=64)
    shortest: int = param(4, "words of the shortest span", unit="words", ge=1, le=100)
    longest: int = param(12, "words of the longest span", unit="words", ge=1, le=100)

    def check(self):
        if self.longest < self.shortest:
            raise ParameterError(f"SalientExtract.longest must be >= SalientExtract.shortest; got {self.longest} < {self.shortest}.")

    def read(self, context):
        texts = read_texts(context, self.shortest, with_title=True)
        if self.by == "bm25":
            bm25 = context.bm25
            return texts, lambda spans, index: bm25.score_pairs(spans, np.arange(len(spans)), texts.rows[index])
        return texts, vector_salience([units.text for units in texts.units])

    def draw(self, material, rng):
        texts, score = material
        spans: list[str] = []
        for units in texts.units:
            length = min(len(units), int(rng.integers(self.shortest, self.longest + 1)))
            firsts = rng.integers(0, len(units) - length + 1, self.candidates)
            spans += [units.cut(int(first), int(first) + length) for first in firsts]
        if not spans:
            return MadePairs([], texts.rows)
        index = np.repeat(np.arange(len(texts.rows)), self.candidates)
        best = score(spans, index).reshape(-1, self.candidates).argmax(1)
        chosen = [spans[i * self.candidates + int(b)] for i, b in enumerate(best)]
        return MadePairs(chosen, texts.rows)


def vector_salience(documents: list[str]):
    """A function (spans, index) -> float32 cosines of each span and ``documents[index]`` by the untrained static encoder."""
    encode = static_encoder()
    vectors = encode(documents)

    def score(spans: list[str], index: np.ndarray) -> np.ndarray:
        return (encode(spans) * vectors[index]).sum(1)

    return score


def static_encoder() -> Callable[[list[str]], np.ndarray]:
    """Texts to unit vectors, float32 (N, dim), by the static encoder as it is before any training, whichever encoder is trained."""
    from core.encode.encoders import StaticEncoder

    model = StaticEncoder().build([], 0)

    def encode(texts: list[str]) -> np.ndarray:
        found = model.encode_texts(texts, "document")
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)

    return encode
