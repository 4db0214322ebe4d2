"""What a source or a filter may ask for while it mines: corpus, lexical index, vectors, twins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.corpus.judgements import Judgements

if TYPE_CHECKING:
    from core.corpus.corpus import Corpus
    from core.sampling.given_scores import GivenScores
    from core.sampling.judged import Judged
    from core.search.bm25 import BM25
    from core.search.cross_encoder import CrossEncoder, CrossModel
    from core.search.hits import Hits
    from core.search.index import BuiltIndex, Index
    from core.search.products import VectorPair


@dataclass(frozen=True)
class Vectors:
    """Embeddings of all queries and documents of a corpus by one state of a model.

    ``queries``: float32 (Q, D); ``documents``: float32 (C, D); row numbers are the corpus's.
    ``similarity``: dot | cosine | l2. ``label`` says which model and step, for tables and cache keys. ``seconds``: what encoding
    took, 0 = not known.
    """

    queries: np.ndarray
    documents: np.ndarray
    similarity: str
    label: str
    seconds: float = 0.0

    def score_pairs(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 scores of the pairs (larger = closer); -inf where ``doc_rows`` is -1."""
        from core.search.exact import scores_of

        return score_pairs_padded(lambda q, d: scores_of(self._pair, q, d), query_rows, doc_rows)

    def search(self, query_rows: np.ndarray, k: int) -> Hits:
        """The k documents closest to each of these queries, exactly (:func:`core.search.exact.top_k`)."""
        from core.search.exact import top_k_of

        return top_k_of(self._pair.taking(query_rows), k)

    def search_from(self, doc_rows: np.ndarray, k: int) -> Hits:
        """The k documents closest to each of these documents, exactly; the document itself is one of them."""
        from core.search.exact import top_k_of
        from core.search.products import VectorPair

        return top_k_of(VectorPair.against(self.documents[doc_rows], self._pair.side), k)

    @cached_property
    def _pair(self) -> VectorPair:
        from core.search.products import VectorPair

        return VectorPair.of(self.queries, self.documents, self.similarity)

    def score_documents(self, from_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
        """float32 (Q, C) scores of documents ``doc_rows`` (Q, C) with document ``from_rows`` (Q,); -inf where either is -1."""
        from core.search.exact import score_pairs

        scores = score_pairs_padded(
            lambda a, b: score_pairs(self.documents, self.documents, a, b, similarity=self.similarity),
            np.maximum(from_rows, 0),
            doc_rows,
        )
        return np.where(from_rows[:, None] >= 0, scores, np.float32(-np.inf))


def score_pairs_padded(score, query_rows: np.ndarray, doc_rows: np.ndarray) -> np.ndarray:
    """Scores of (Q, C) candidates, -inf where padded; ``score`` takes two 1-D arrays of rows."""
    rows = np.broadcast_to(query_rows.reshape(-1, *[1] * (doc_rows.ndim - 1)), doc_rows.shape)
    is_real = doc_rows >= 0
    scores = np.full(doc_rows.shape, -np.inf, np.float32)
    scores[is_real] = score(rows[is_real], doc_rows[is_real])
    return scores


class CorpusIndex:
    """What mining needs of a corpus and no model changes: made when first asked for, shared by every context of the corpus.

    ``cross_folder``: where cross-encoders are kept for other processes, None = in memory only. ``seed``: the one that they are
    trained with.
    """

    def __init__(self, corpus: Corpus, *, cross_folder: Path | None = None, seed: int = 0):
        self.corpus, self.cross_folder, self.seed = corpus, cross_folder, seed
        self._twins: dict[float, Judgements] = {}
        self._given: dict[str, GivenScores] = {}

    @cached_property
    def bm25(self) -> BM25:
        """The lexical index over the whole corpus."""
        from core.search.bm25 import BM25

        return BM25.of_words(*self.words)

    @cached_property
    def words(self) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
        """The documents' words as numbers (:func:`core.search.words.number_words`)."""
        from core.search.words import number_words

        return number_words(self.corpus.document_texts())

    @cached_property
    def training_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(query_rows, doc_rows) of every positive pair of the training split."""
        train = self.corpus.splits.get("train")
        if train is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        query_rows, doc_rows, _ = train.only_positive().pairs()
        return query_rows, doc_rows

    @cached_property
    def protected(self) -> Judgements:
        """Known positives and documents with exactly a positive's text: never a negative of that query."""
        return self.with_copies(self.corpus.positives)

    @cached_property
    def _text_groups(self) -> np.ndarray:
        return identical_groups(self.corpus.document_texts())

    def with_copies(self, pairs: Judgements) -> Judgements:
        """The pairs, and for each its query with every document that has exactly the same text."""
        groups = self._text_groups
        query_rows, doc_rows, _ = pairs.pairs()
        order = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[order], groups[doc_rows], "left")
        ends = np.searchsorted(groups[order], groups[doc_rows], "right")
        counts = ends - starts
        if counts.size == 0 or counts.max() == 1:
            return pairs
        index = np.repeat(starts, counts) + (np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts))
        return Judgements.from_pairs(
            np.repeat(query_rows, counts), order[index], np.ones(len(index), np.int16), pairs.n_queries
        )

    def cross(self, piece: CrossEncoder) -> CrossModel:
        """The cross-encoder that this piece makes of the corpus's labels; trained when first asked for."""
        from core.search.cross_cache import cross_model

        return cross_model(self.corpus, piece, bm25=self.bm25, seed=self.seed, folder=self.cross_folder)

    def given_scores(self, path: str) -> GivenScores:
        """The scores of pairs in a file, read once; raises ParameterError."""
        from core.sampling.given_scores import read_scores

        if path not in self._given:
            self._given[path] = read_scores(Path(path), self.corpus)
        return self._given[path]

    def twins(self, threshold: float) -> Judgements:
        """Documents whose shingles overlap a known positive's by ``threshold`` or more, by query."""
        if threshold not in self._twins:
            self._twins[threshold] = self._find_twins(threshold)
        return self._twins[threshold]

    def _find_twins(self, threshold: float) -> Judgements:
        from core.search.twins import shingles_of_words, twins_among

        query_rows, doc_rows, _ = self.corpus.positives.pairs()
        rows, inverse = np.unique(doc_rows, return_inverse=True)
        matrix = twins_among(shingles_of_words(*self.words), rows, threshold=threshold).tocsr()
        of_pair = matrix[inverse].tocoo()
        return Judgements.from_pairs(
            query_rows[of_pair.row],
            of_pair.col.astype(np.int64),
            np.ones(of_pair.nnz, np.int16),
            self.corpus.positives.n_queries,
        )


class MiningContext:
    """Everything that the lanes of one recipe share on one corpus.

    ``vectors_of``: gives the Vectors of ``"current"`` (the model as it is now), ``"start"`` (before the first step) or of
    a trial. ``index``: the corpus's, when another context made it already. ``judged``: what people decided about pairs,
    in a trial that was given verdicts.
    """

    def __init__(
        self, corpus: Corpus, vectors_of: Callable[[str], Vectors], index: CorpusIndex | None = None, judged: Judged | None = None
    ):
        self.corpus = corpus
        self.index = index or CorpusIndex(corpus)
        self.judged = judged
        self.made = Judgements.empty(corpus.n_queries)
        self._vectors_of = vectors_of
        #: By a source's key, (query rows, candidates' document rows) of the refresh before the one that is being made.
        self.earlier: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self._built: tuple[Vectors, Index, BuiltIndex] | None = None

    def train_on(self, query_rows: np.ndarray, doc_rows: np.ndarray) -> None:
        """Take pairs that a recipe trains on for positives; before anything is mined. Those that a split labels are known anyway."""
        is_new = ~self.corpus.positives.contains(query_rows, doc_rows)
        grades = np.ones(int(is_new.sum()), np.int16)
        self.made = Judgements.from_pairs(query_rows[is_new], doc_rows[is_new], grades, self.corpus.n_queries)

    @cached_property
    def positives(self) -> Judgements:
        """The known positives of every split, and those that the recipe made."""
        return self.corpus.positives.union(self.made) if self.made.n_pairs else self.corpus.positives

    @cached_property
    def known(self) -> Judgements:
        """The same, with every document that has exactly a positive's text."""
        return self.index.protected.union(self.index.with_copies(self.made)) if self.made.n_pairs else self.index.protected

    def built_index(self, vectors: Vectors, index: Index) -> BuiltIndex:
        """The index over the documents of these vectors; the last one is kept, for the next lane or the same refresh."""
        last = self._built
        if last is None or last[0].documents is not vectors.documents or last[0].similarity != vectors.similarity or last[1] != index:
            self._built = None  # two structures at once would need twice the memory
            last = self._built = (vectors, index, index.build(vectors.documents, vectors.similarity))
        return last[2]

    def vectors(self, which: str = "current") -> Vectors:
        """Vectors of one model; see the class."""
        return self._vectors_of(which)

    @property
    def bm25(self) -> BM25:
        """The lexical index over the whole corpus."""
        return self.index.bm25

    @property
    def training_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(query_rows, doc_rows) of every positive pair of the training split."""
        return self.index.training_pairs

    @cached_property
    def protected(self) -> Judgements:
        """Known positives, documents with exactly a positive's text and what people judged so: never a negative of that query."""
        if self.judged is None or not self.judged.refused.n_pairs:
            return self.known
        return self.known.union(self.judged.refused)

    def cross(self, piece: CrossEncoder) -> CrossModel:
        """The cross-encoder that this piece makes of the corpus's labels; trained when first asked for."""
        return self.index.cross(piece)

    def twins(self, threshold: float) -> Judgements:
        """Documents whose shingles overlap a known positive's by ``threshold`` or more, by query."""
        return self.index.twins(threshold)


def identical_groups(texts: list[str]) -> np.ndarray:
    """int64 group number of each text; two texts share a number iff they are the same string."""
    import pyarrow as pa

    return pa.array(texts, pa.large_string()).dictionary_encode().indices.to_numpy().astype(np.int64)
