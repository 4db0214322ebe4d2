"""Positives from several passages: neighbours in a source, and passages in which a span recurs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from core.corpus.articles import articles, has_passages
from core.errors import ParameterError
from core.params import Citation, param
from core.sampling.positive_base import MadePairs, PositiveBuilder
from core.sampling.text_units import STOP_WORDS, Units, bare

NO_PASSAGES = (
    "{} needs documents that are passages of longer sources, and this corpus does not say which: give its documents the fields "
    "'source' (the same for passages of one text) and 'passage' (their number)."
)


@dataclass(frozen=True, kw_only=True)
class NeighbouringPieces(PositiveBuilder):
    """A passage asks for one that stands beside it in the same source.

    How: passages of a source are put in the order of their numbers; each epoch one of the nearest on either side is drawn for
    every passage and the two are a pair, whole and unchanged. Nothing overlaps, so only subject and course of thought can be
    learned. Both passages are kept from being the query's negatives; further ones of the same source are not.

    Fails where neighbours have little to do with each other (lists, tables, a new chapter). A corpus without passages
    cannot use it; contiguous spans do the same inside one text. The paper took neighbouring pieces of text from web pages.
    """

    key = "neighbouring-pieces"
    title = "Neighbouring pieces"
    difficulty = "easy"
    needs = ("passages",)
    source = Citation(
        "Neelakantan et al.", 2022, "Text and Code Embeddings by Contrastive Pre-Training", "https://arxiv.org/abs/2201.10005"
    )
    distance: int = param(1, "how many passages away the other one may stand", unit="passages", ge=1, le=100)

    def lacks(self, corpus, recipe=None):
        return "" if articles(corpus) else NO_PASSAGES.format(self.title)

    def read(self, context):
        neighbours: dict[int, np.ndarray] = {}
        for rows in articles(context.corpus):
            for i, row in enumerate(rows):
                near = rows[max(0, i - self.distance) : i + self.distance + 1]
                neighbours[int(row)] = near[near != row]
        texts = context.corpus.document_texts()
        return {row: (texts[row], near) for row, near in sorted(neighbours.items()) if texts[row] and all(texts[n] for n in near)}

    def draw(self, material, rng):
        positives = [int(near[rng.integers(len(near))]) for _, near in material.values()]
        own = np.array(list(material), np.int64).reshape(-1, 1)
        return MadePairs([text for text, _ in material.values()], positives, protected=own)


@dataclass(frozen=True)
class Recurrence:
    """A span in one passage: words ``first`` to ``last`` of ``row``; ``others`` hold it too, ``without`` (same group) do not."""

    row: int
    first: int
    last: int
    others: np.ndarray
    without: np.ndarray


def recurring_spans(passages: list[list[str]], longest: int) -> dict[tuple[str, ...], dict[int, int]]:
    """Each run of 2 to ``longest`` words that stands in two passages or more: {run: {passage: its first place there}}.

    No stop word and no bare mark at either end. A run inside a longer one that stands in the same passages is left out.
    """
    found: dict[tuple[str, ...], dict[int, int]] = {}
    before: dict[tuple[str, ...], dict[int, int]] = {}
    for n in range(2, longest + 1):
        places: defaultdict[tuple[str, ...], dict[int, int]] = defaultdict(dict)
        for p, words in enumerate(passages):
            for i in range(len(words) - n + 1):
                run = tuple(words[i : i + n])
                if n == 2 or (run[1:] in before and run[:-1] in before):
                    places[run].setdefault(p, i)
        level = {run: at for run, at in places.items() if len(at) > 1}
        if not level:
            break
        found |= {run: at for run, at in level.items() if not _ends_badly(run)}
        before = level
    for run, at in list(found.items()):
        for n in range(2, len(run)):
            for part in (run[i : i + n] for i in range(len(run) - n + 1)):
                if part in found and found[part].keys() == at.keys():
                    del found[part]
    return found


def _ends_badly(run: tuple[str, ...]) -> bool:
    return any(not word or word in STOP_WORDS for word in (run[0], run[-1]))


@dataclass(frozen=True, kw_only=True)
class RecurringSpans(PositiveBuilder):
    """The words around a span ask for another passage in which the same span stands.

    How: runs of 2 to 10 words that stand in two passages of one source, without a stop word at their ends, are found once.
    Each epoch one is drawn for every passage that has any: a window of 5 to 30 words around it is the pseudo-query, with the span
    itself left out half of the time; another passage with the span is the positive. A passage of the same source
    without the span is its hard negative, and the passage that the query was cut from is never a negative.

    Fails where what recurs is boilerplate ("all rights reserved"), and on corpora whose documents are no passages: there
    `same source` can be switched off, and spans may recur anywhere, which joins texts that only share a phrase.
    """

    key = "recurring-spans"
    title = "Recurring spans"
    difficulty = "medium"
    source = Citation(
        "Ram et al.", 2022, "Learning to Retrieve Passages without Supervision", "https://arxiv.org/abs/2112.07708"
    )
    same_source: bool = param(True, "both passages are of one source; otherwise of the whole corpus")
    kept: float = param(0.5, "probability that the span stays in the query", ge=0.0, le=1.0)
    longest_span: int = param(10, "words of the longest span", unit="words", ge=2, le=50)
    shortest_window: int = param(5, "words of the shortest query", unit="words", ge=2, le=500)
    longest_window: int = param(30, "words of the longest query", unit="words", ge=2, le=500)
    hard_negative: bool = param(True, "a passage of the same source without the span is a hard negative")

    def check(self):
        if self.longest_window < self.shortest_window:
            raise ParameterError(
                "RecurringSpans.longest_window must be >= RecurringSpans.shortest_window; "
                f"got {self.longest_window} < {self.shortest_window}."
            )

    def lacks(self, corpus, recipe=None):
        if not self.same_source or has_passages(corpus):
            return ""
        return NO_PASSAGES.format(self.title) + " Or switch 'same source' off, so that spans may recur anywhere."

    def read(self, context):
        corpus = context.corpus
        texts = corpus.documents["text"].to_pylist()
        groups = articles(corpus) if self.same_source else [np.arange(corpus.n_documents)]
        has_text = np.array([bool(text) for text in corpus.document_texts()], bool)
        units: dict[int, Units] = {}
        spans: dict[int, list[Recurrence]] = defaultdict(list)
        for rows in groups:
            rows = rows[has_text[rows]]
            own = [Units(texts[row]) for row in rows]
            for run, at in recurring_spans([[bare(word) for word in each.words()] for each in own], self.longest_span).items():
                holders = rows[list(at)]
                without = np.setdiff1d(rows, holders) if self.same_source else np.empty(0, np.int64)
                for p, first in at.items():
                    others = holders[holders != rows[p]]
                    spans[int(rows[p])].append(Recurrence(int(rows[p]), first, first + len(run), others, without))
            units |= {int(row): each for row, each in zip(rows, own, strict=True) if int(row) in spans}
        return [(units[row], spans[row]) for row in sorted(spans)]

    def draw(self, material, rng):
        queries, positives, negatives = [], [], []
        taken: list[Recurrence] = []
        for units, spans in material:
            span = spans[rng.integers(len(spans))]
            queries.append(self._window(units, span, rng))
            positives.append(int(span.others[rng.integers(len(span.others))]))
            wanted = self.hard_negative and len(span.without)
            negatives.append(int(span.without[rng.integers(len(span.without))]) if wanted else -1)
            taken.append(span)
        width = max((len(span.others) for span in taken), default=0)
        protected = np.full((len(taken), 1 + min(width, 32)), -1, np.int64)
        for i, span in enumerate(taken):
            own = np.append(span.row, span.others[:32])
            protected[i, : len(own)] = own
        hard = np.array(negatives, np.int64).reshape(-1, 1) if self.hard_negative else None
        return MadePairs(queries, positives, protected=protected, negative_rows=hard)

    def _window(self, units: Units, span: Recurrence, rng: np.random.Generator) -> str:
        """Words around the span, it included or not; a window that is nothing but the span keeps it."""
        n_span = span.last - span.first
        length = max(n_span, int(rng.integers(self.shortest_window, self.longest_window + 1)))
        length = min(length, len(units))
        low, high = max(0, span.last - length), min(span.first, len(units) - length)
        first = int(rng.integers(low, high + 1))
        window = Units(units.cut(first, first + length))
        if length == n_span or rng.random() < self.kept:
            return window.text
        return window.without(span.first - first, span.last - first)
