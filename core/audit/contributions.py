"""What each token adds to the score of a query and a document: exact for encoders that pool by the mean.

A mean-pooled score is a sum over tokens. With q the query's vector, d the document's, v_t the vector of one of its n tokens:

* dot: ``q . v_t / n``; cosine: the same divided by ``|q| |d|``;
* l2: minus the squared distance is ``sum_t (2 q - d) . v_t / n`` and a rest that no token has, ``-|q|^2``.

The tokens' shares and the rest add up to the score. The query's own tokens share the same score in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.encode.token_tables import TokenTables
from core.search.words import WORD, tokenize

DECISIVE = 5


@dataclass(frozen=True)
class Stretch:
    """Characters ``start`` to ``end`` of the text and what their tokens add to the score."""

    start: int
    end: int
    share: float


@dataclass(frozen=True)
class Explained:
    """A text's part in one score. ``stretches``: in the order of the text, without overlap; ``rest``: what no token has (l2);
    the shares and the rest add up to ``score``."""

    text: str
    score: float
    rest: float
    n_tokens: int
    stretches: tuple[Stretch, ...]

    def of_words(self) -> dict[str, float]:
        """Lower-cased word -> what all its places in the text add; signs between words count for "" together."""
        found: dict[str, float] = {}
        for part in self.stretches:
            words = tokenize(self.text[part.start : part.end]) or [""]
            for word in words:  # a stretch is a word, or signs around several that share its tokens
                found[word] = found.get(word, 0.0) + part.share / len(words)
        return found


def explain(model: TokenTables, query: str, document: str, similarity: str) -> tuple[Explained, Explained]:
    """(the query's, the document's) part in their score by the model; ``similarity``: dot, cosine or l2.

    Computed in double precision from the model's float32 vectors. An empty text scores 0 by dot and cosine and has no
    stretch.
    """
    query_spans, query_vectors = model.of(query, "query")
    document_spans, document_vectors = model.of(document, "document")
    q, d = _mean(query_vectors), _mean(document_vectors)
    return (
        _explained(query, query_spans, query_vectors, q, d, similarity),
        _explained(document, document_spans, document_vectors, d, q, similarity),
    )


def decisive_words(candidate: Explained, positive: Explained, n: int = DECISIVE) -> list[tuple[str, float, float]]:
    """The n words whose shares differ most between the two documents: (word, share in the candidate, in the positive).

    The largest difference first; ties by the word.
    """
    mine, theirs = candidate.of_words(), positive.of_words()
    words = sorted((set(mine) | set(theirs)) - {""}, key=lambda w: (-abs(mine.get(w, 0.0) - theirs.get(w, 0.0)), w))
    return [(word, mine.get(word, 0.0), theirs.get(word, 0.0)) for word in words[:n]]


def _mean(vectors: np.ndarray) -> np.ndarray:
    return vectors.mean(axis=0) if len(vectors) else np.zeros(vectors.shape[1])


def _explained(text: str, spans: np.ndarray, vectors: np.ndarray, own: np.ndarray, other: np.ndarray, similarity: str) -> Explained:
    n, rest, direction = max(1, len(vectors)), 0.0, other
    if similarity == "l2":
        direction, rest = 2 * other - own, -float(other @ other)
    elif similarity == "cosine":
        norms = float(np.linalg.norm(own) * np.linalg.norm(other))
        direction = other / norms if norms > 0 else np.zeros_like(other)
    shares = vectors @ direction / n
    return Explained(text, rest + float(shares.sum()), rest, len(vectors), _joined(text, spans, shares))


def _joined(text: str, spans: np.ndarray, shares: np.ndarray) -> tuple[Stretch, ...]:
    """Tokens joined to words: a token belongs to the word that it touches first, or stands alone as a sign."""
    words = np.array([found.span() for found in WORD.finditer(text)], np.int64).reshape(-1, 2)
    found: dict[tuple[int, int], float] = {}
    for (start, end), share in zip(spans.tolist(), shares.tolist(), strict=True):
        at = int(np.searchsorted(words[:, 1], start, "right")) if len(words) else 0
        is_word = at < len(words) and words[at, 0] < end
        place = (int(words[at, 0]), int(words[at, 1])) if is_word else (start, end)
        found[place] = found.get(place, 0.0) + share
    stretches: list[Stretch] = []
    for (start, end), share in sorted(found.items()):
        if stretches and start == end:  # a sign without a letter of its own in the text, such as the dot that lowering sets free
            last = stretches[-1]
            stretches[-1] = Stretch(last.start, last.end, last.share + share)
        else:
            stretches.append(Stretch(start, end, share))
    return tuple(stretches)
