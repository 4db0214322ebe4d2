"""The words of a corpus as a cross-encoder reads them: distinct words of each text, what each word is, its vector."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.corpus.corpus import Corpus
from core.search.words import WORD

#: Words read of a query and of a document; what lies behind is ignored.
MOST_QUERY_WORDS, MOST_DOCUMENT_WORDS = 48, 400
# A word is a name when most of its occurrences inside a sentence are capitalised.
NAME_SHARE = 0.6
STEM_LETTERS = 5
NEGATIONS = frozenset(
    "no not never none nobody nothing neither nor cannot without isn aren wasn weren don doesn didn hasn haven hadn won wouldn".split()
)
#: What a query asks for, by its first words; a query has none or several.
QUESTIONS = {
    "who": {"who", "whom", "whose"},
    "when": {"when", "year", "date"},
    "where": {"where"},
    "how": {"how"},
    "count": {"many", "much", "long", "far", "big", "tall", "old", "large", "number", "size"},
    "why": {"why"},
    "which": {"which", "what"},
}


@dataclass(frozen=True, eq=False)
class Bags:
    """Texts as distinct items in the order of first occurrence: text i owns ``items[starts[i]:starts[i + 1]]``.

    ``items``: int32, flat. ``starts``: int64 (N + 1,).
    """

    items: np.ndarray
    starts: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        """int64 (N,): items of each text."""
        return np.diff(self.starts)

    def take(self, rows: np.ndarray) -> Bags:
        """The bags of these texts, in that order."""
        starts = self.starts[rows]
        sizes = self.starts[rows + 1] - starts
        ends = np.concatenate([[0], np.cumsum(sizes)])
        return Bags(self.items[np.arange(ends[-1]) + np.repeat(starts - ends[:-1], sizes)], ends)


@dataclass(frozen=True, eq=False)
class WordTable:
    """Words of a corpus's queries and documents, numbered together.

    ``vectors``: float32 (U, dim), unit length (zero where unknown): the mean of the word's static subword vectors.
    ``idf``: float32 (U,), log(1 + (C - df + .5) / (df + .5)). ``stems``: int32 (U,), equal for words with equal first letters.
    ``is_name``, ``is_number``, ``is_negation``: bool (U,). ``queries``, ``documents``, ``titles``: Bags of words;
    ``query_pairs``, ``document_pairs``: Bags of neighbouring words, ascending. ``questions``: float32 (Q, len(QUESTIONS)).
    """

    vectors: np.ndarray
    idf: np.ndarray
    stems: np.ndarray
    is_name: np.ndarray
    is_number: np.ndarray
    is_negation: np.ndarray
    queries: Bags
    documents: Bags
    titles: Bags
    query_pairs: Bags
    document_pairs: Bags
    questions: np.ndarray

    @classmethod
    def of(cls, corpus: Corpus) -> WordTable:
        """The table of this corpus; costs about as much as tokenising it."""
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        capitals, inside = Counter[int](), Counter[int]()
        documents = _number(corpus.document_texts(), numbers, MOST_DOCUMENT_WORDS, capitals, inside)
        queries = _number(corpus.query_texts(), numbers, MOST_QUERY_WORDS)
        titles = _number(corpus.documents["title"].to_pylist(), numbers, MOST_DOCUMENT_WORDS)
        words = list(numbers)
        bags = _distinct(documents)
        frequencies = np.bincount(bags.items, minlength=len(words))
        idf = np.log1p((corpus.n_documents - frequencies + 0.5) / (frequencies + 0.5))
        stems = {stem: i for i, stem in enumerate(dict.fromkeys(word[:STEM_LETTERS] for word in words))}
        query_pairs, document_pairs = _neighbours(queries, documents, len(words))
        return cls(
            vectors=_vectors(words),
            idf=idf.astype(np.float32),
            stems=np.array([stems[word[:STEM_LETTERS]] for word in words], np.int32),
            is_name=np.array([capitals[i] > NAME_SHARE * max(inside[i], 1) for i in range(len(words))], bool),
            is_number=np.array([any(c.isdigit() for c in word) for word in words], bool),
            is_negation=np.array([word in NEGATIONS for word in words], bool),
            queries=_distinct(queries),
            documents=bags,
            titles=_distinct(titles),
            query_pairs=query_pairs,
            document_pairs=document_pairs,
            questions=_questions(queries, words),
        )


def _number(
    texts: Sequence[str],
    numbers: defaultdict[str, int],
    most: int,
    capitals: Counter[int] | None = None,
    inside: Counter[int] | None = None,
) -> Bags:
    """Every word of every text by number; counts words inside sentences, and those of them with a capital."""
    items, starts = array("i"), np.zeros(len(texts) + 1, np.int64)
    for row, text in enumerate(texts, 1):
        for n, match in enumerate(WORD.finditer(text)):
            if n == most:
                break
            word = match.group()
            number = numbers[word.lower()]
            items.append(number)
            if inside is not None and capitals is not None and match.start() > 1 and text[match.start() - 2] not in ".?!:":
                inside[number] += 1
                capitals[number] += word[0].isupper()
        starts[row] = len(items)
    return Bags(np.array(items, np.int32), starts)


def _distinct(bags: Bags) -> Bags:
    """Each text's items once, where they came first."""
    rows = np.repeat(np.arange(len(bags.sizes)), bags.sizes)
    width = int(bags.items.max(initial=0)) + 1
    first = np.sort(np.unique(rows * width + bags.items, return_index=True)[1])
    starts = np.searchsorted(rows[first], np.arange(len(bags.sizes) + 1))
    return Bags(bags.items[first], starts.astype(np.int64))


def _neighbours(queries: Bags, documents: Bags, n_words: int) -> tuple[Bags, Bags]:
    """Neighbouring words as numbers that both sides share; those that no query has are left out."""
    keys = []
    for bags in (queries, documents):
        rows = np.repeat(np.arange(len(bags.sizes)), bags.sizes)
        is_pair = rows[1:] == rows[:-1] if len(rows) else np.empty(0, bool)
        keys.append((rows[1:][is_pair], bags.items[:-1][is_pair].astype(np.int64) * n_words + bags.items[1:][is_pair]))
    known = np.unique(keys[0][1])
    made = []
    for (rows, pairs), bags in zip(keys, (queries, documents), strict=True):
        places = np.minimum(np.searchsorted(known, pairs), max(len(known) - 1, 0))
        is_known = known[places] == pairs if len(known) else np.zeros(len(pairs), bool)
        joined = np.unique(rows[is_known] * max(len(known), 1) + places[is_known])
        rows, places = np.divmod(joined, max(len(known), 1))
        starts = np.searchsorted(rows, np.arange(len(bags.sizes) + 1))
        made.append(Bags(places.astype(np.int32), starts.astype(np.int64)))
    return made[0], made[1]


def _vectors(words: list[str]) -> np.ndarray:
    from core.encode.encoders import StaticEncoder

    vectors = StaticEncoder().build((), 0).encode_texts(words, "query")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _questions(queries: Bags, words: list[str]) -> np.ndarray:
    asked = np.zeros((len(queries.sizes), len(QUESTIONS)), np.float32)
    rows = np.repeat(np.arange(len(queries.sizes)), queries.sizes)
    for column, kind in enumerate(QUESTIONS.values()):
        is_kind = np.array([word in kind for word in words], bool)
        asked[rows[is_kind[queries.items]], column] = 1
    return asked
