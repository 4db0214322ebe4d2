"""The approximate indexes: a graph, inverted lists, and compressed vectors; and the list of all indexes."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from core.errors import ParameterError
from core.params import Citation, Piece, make_piece, param
from core.search.index import SEED, Flat, Index, faiss_threads

LEAST_PER_LIST = 39  # documents a k-means cell should have, faiss's own rule
_LISTS_HELP = "k-means cells; 0 = four times the square root of the documents, with at least 39 documents a cell on average"
_PROBES_HELP = "cells looked into for a query, the nearest first; all of them = nothing is missed by the cells"


class _FaissIndex(Index):
    """Base of those that faiss builds: the metric, training rows, sizes."""

    def _find(self, structure, queries, k, threads):
        with faiss_threads(threads) as faiss:
            width = structure.d - queries.shape[1]
            padded = np.pad(queries, ((0, 0), (0, width))) if width else queries
            return structure.search(padded, self._depth(k, structure.ntotal), params=self._search_settings(faiss, k, structure))[1]

    def _depth(self, k: int, n_documents: int) -> int:
        return min(k, n_documents)

    def _search_settings(self, faiss: Any, k: int, structure: Any) -> Any:
        raise TypeError(f"{type(self).__name__} has no settings of a search")

    def _size(self, structure, documents):
        with faiss_threads(1) as faiss:
            return faiss.serialize_index(structure).nbytes


def _metric(faiss: Any, similarity: str) -> int:
    return faiss.METRIC_L2 if similarity == "l2" else faiss.METRIC_INNER_PRODUCT


def _filled(structure: Any, documents: np.ndarray, least: int) -> Any:
    """The structure trained on and filled with the documents; fewer than ``least`` are repeated for training."""
    documents = np.pad(documents, ((0, 0), (0, structure.d - documents.shape[1])))
    n = len(documents)
    structure.train(documents if n >= least else documents[np.arange(least) % n])
    structure.add(documents)
    return structure


@dataclass(frozen=True, kw_only=True)
class HNSW(_FaissIndex):
    """A graph of neighbours on several floors: a search walks from document to nearer document.

    How: each document is linked with near ones; sparse upper floors make long steps, the ground floor short ones. A search
    keeps the best `ef_search` documents that it has met and stops when no neighbour is nearer. Very fast at high recall.

    Fails in memory (whole vectors and their links), in building, which costs far more than one exact search of a small corpus
    and begins anew at each refresh of the model, and where scores are dot products of vectors of very unlike length: the walk
    assumes that the neighbour of a neighbour is near.
    """

    key: ClassVar[str] = "hnsw"
    title: ClassVar[str] = "HNSW graph"
    source: ClassVar[Citation] = Citation(
        "Malkov and Yashunin", 2016,
        "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs",
        "https://arxiv.org/abs/1603.09320",
    )  # fmt: skip
    cost: ClassVar = "high"
    difficulty: ClassVar = "medium"
    effort: ClassVar[str] = "ef_search"
    efforts: ClassVar[tuple[int, ...]] = (8, 32, 64, 128, 256)

    links: int = param(32, "neighbours of a document on each floor, twice as many on the ground", ge=2, le=256)
    ef_construction: int = param(80, "documents kept in view while a document is linked in", ge=4, le=2000)
    ef_search: int = param(64, "documents kept in view during a search; never fewer than are asked for", ge=1, le=20_000)

    def _make(self, documents, similarity):
        with faiss_threads(1) as faiss:  # the order in which threads link documents would change the graph
            index = faiss.IndexHNSWFlat(documents.shape[1], self.links, _metric(faiss, similarity))
            index.hnsw.efConstruction = self.ef_construction
            index.add(documents)
            return index

    def effort_at(self, k, n_documents):
        return max(self.ef_search, k)

    def _search_settings(self, faiss, k, structure):
        return faiss.SearchParametersHNSW(efSearch=max(self.ef_search, k))


class _Inverted(_FaissIndex):
    """Base of the inverted files: k-means cells, of which a search opens some."""

    effort: ClassVar[str] = "probes"
    efforts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64)
    lists: int
    probes: int

    def n_lists(self, n_documents: int) -> int:
        """How many cells so many documents get."""
        return min(self.lists, n_documents) or max(1, min(round(4 * n_documents**0.5), n_documents // LEAST_PER_LIST))

    def effort_at(self, k, n_documents):
        return min(self.probes, self.n_lists(n_documents))

    def _coarse(self, faiss: Any, dim: int, similarity: str) -> Any:
        return faiss.IndexFlat(dim, _metric(faiss, similarity))

    def _settle(self, index: Any) -> Any:
        """The same index with a fixed seed, and silent where cells are small."""
        for clustering in (index.cp, *([index.pq.cp] if hasattr(index, "pq") else [])):
            clustering.seed, clustering.min_points_per_centroid = SEED, 1
        return index

    def _search_settings(self, faiss, k, structure):
        return faiss.SearchParametersIVF(nprobe=min(self.probes, structure.nlist))


@dataclass(frozen=True, kw_only=True)
class IVFFlat(_Inverted):
    """Documents lie in k-means cells; a query looks into the nearest few, and there at whole vectors.

    How: k-means divides the space, an inverted list a cell names its documents. A search ranks the cells by their centre and
    compares the query with the documents of the first `probes` cells only.

    Fails for documents near a border: they lie in a cell that was not opened. Hard negatives, which lie around the query on
    all sides, are cut first. With few documents a cell, k-means learns little.
    """

    key: ClassVar[str] = "ivf-flat"
    title: ClassVar[str] = "IVF-Flat"
    source: ClassVar[Citation] = Citation("Douze et al.", 2024, "The Faiss library", "https://arxiv.org/abs/2401.08281")
    cost: ClassVar = "medium"
    difficulty: ClassVar = "medium"

    lists: int = param(0, _LISTS_HELP, ge=0, le=65_536)
    probes: int = param(8, _PROBES_HELP, ge=1, le=65_536)

    def _make(self, documents, similarity):
        with faiss_threads(1) as faiss:
            n_lists, dim = self.n_lists(len(documents)), documents.shape[1]
            index = faiss.IndexIVFFlat(self._coarse(faiss, dim, similarity), dim, n_lists, _metric(faiss, similarity))
            return _filled(self._settle(index), documents, n_lists)


@dataclass(frozen=True, kw_only=True)
class IVFPQ(_Inverted):
    """Cells again, but a document is kept as a few bytes: the numbers of its nearest code words.

    How: the vector, less its cell's centre, is cut into `codes` parts, and each part is replaced by the nearest of 256 learnt
    code words: one byte. Scores come from tables of query part x code word. A vector of 256 numbers shrinks from 1,024 bytes to 32.

    Fails in fine distinctions: near neighbours share code words, and those are what mining asks for. The k documents are chosen
    by the rough scores; only their order is made exact here.
    """

    key: ClassVar[str] = "ivf-pq"
    title: ClassVar[str] = "IVF-PQ"
    source: ClassVar[Citation] = Citation(
        "Jégou, Douze and Schmid", 2011, "Product Quantization for Nearest Neighbor Search",
        "https://inria.hal.science/inria-00514462",
    )  # fmt: skip
    cost: ClassVar = "medium"
    difficulty: ClassVar = "hard"

    lists: int = param(0, _LISTS_HELP, ge=0, le=65_536)
    probes: int = param(8, _PROBES_HELP, ge=1, le=65_536)
    codes: int = param(32, "parts of a vector, one byte each; the vector is padded where they do not divide it", ge=1, le=512)

    def _make(self, documents, similarity):
        with faiss_threads(1) as faiss:
            n_lists, dim = self.n_lists(len(documents)), _padded(documents.shape[1], self.codes)
            coarse = self._coarse(faiss, dim, similarity)
            index = faiss.IndexIVFPQ(coarse, dim, n_lists, self.codes, 8, _metric(faiss, similarity))
            return _filled(self._settle(index), documents, max(n_lists, 256))


@dataclass(frozen=True, kw_only=True)
class ScannStyle(_Inverted):
    """Half a byte a code, tables that stay in the processor's registers, and exact scores for the best candidates.

    How: cells, then product codes of 16 code words for every two numbers, scanned 32 documents at a time; the best
    `rerank` x k by these rough scores are compared exactly and the best k stay. Built of faiss's fast scan.

    Fails where the candidates to re-rank are too few, and needs the whole vectors beside the codes. It differs from ScaNN's
    paper in the codes: they minimise the plain error, not the anisotropic loss that weighs the error along the vector more.
    Google's own package is the index `scann`.
    """

    key: ClassVar[str] = "scann-style"
    title: ClassVar[str] = "ScaNN-style: fast scan and exact re-ranking"
    source: ClassVar[Citation] = Citation(
        "Guo et al.", 2020, "Accelerating Large-Scale Inference with Anisotropic Vector Quantization",
        "https://arxiv.org/abs/1908.10396",
    )  # fmt: skip
    cost: ClassVar = "medium"
    difficulty: ClassVar = "hard"

    lists: int = param(0, _LISTS_HELP, ge=0, le=65_536)
    probes: int = param(8, _PROBES_HELP, ge=1, le=65_536)
    per_code: int = param(2, "numbers of the vector that one code of four bits stands for", ge=1, le=64)
    rerank: int = param(4, "candidates compared exactly for each document asked for", ge=1, le=100)

    def _make(self, documents, similarity):
        with faiss_threads(1) as faiss:
            n_lists, dim = self.n_lists(len(documents)), _padded(documents.shape[1], self.per_code)
            coarse = self._coarse(faiss, dim, similarity)
            index = faiss.IndexIVFPQFastScan(coarse, dim, n_lists, dim // self.per_code, 4, _metric(faiss, similarity))
            return _filled(self._settle(index), documents, max(n_lists, 16))

    def _find(self, structure, queries, k, threads):
        if k * self.rerank >= structure.ntotal:  # every document would be compared exactly
            return np.broadcast_to(np.arange(structure.ntotal), (len(queries), structure.ntotal))
        return super()._find(structure, queries, k, threads)

    def _depth(self, k, n_documents):
        return k * self.rerank

    def _size(self, structure, documents):
        return super()._size(structure, documents) + documents.nbytes


def _padded(dim: int, parts: int) -> int:
    """The next size that ``parts`` divide. Zeros at the end change no product and no distance."""
    return -(-dim // parts) * parts


#: A code has 16 words, which the package learns from at least as many documents; fewer are compared one by one.
SCANN_LEAST = 16


@dataclass(frozen=True, kw_only=True)
class Scann(Index):
    """Google's own ScaNN: a tree of cells, anisotropic codes, exact re-ranking.

    How: as `scann-style`, but the codes are learnt so that the error along the vector, which changes the score of the best
    documents most, counts more than the error across it. An optional package: `pip install "negspace[scann]"`.

    Fails where the package has no build for this machine. Its training has no seed that we could set: equal vectors need not
    give equal structures, so trials that mine with it are not promised to repeat byte for byte.
    """

    key: ClassVar[str] = "scann"
    title: ClassVar[str] = "ScaNN (Google's package)"
    source: ClassVar[Citation] = ScannStyle.source
    cost: ClassVar = "medium"
    difficulty: ClassVar = "hard"
    needs: ClassVar[tuple[str, ...]] = ("the package scann",)
    effort: ClassVar[str] = "probes"
    efforts: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16, 32, 64)

    lists: int = param(0, _LISTS_HELP, ge=0, le=65_536)
    probes: int = param(8, _PROBES_HELP, ge=1, le=65_536)
    per_code: int = param(2, "numbers of the vector that one code of four bits stands for", ge=1, le=64)
    threshold: float = param(0.2, "how much more the error along the vector counts, as ScaNN defines it", ge=0.0, le=1.0)
    rerank: int = param(4, "candidates compared exactly for each document asked for", ge=1, le=100)

    @classmethod
    def missing(cls) -> str:
        if importlib.util.find_spec("scann") is not None:
            return ""
        return "The package scann is not installed. Install it with pip install \"negspace[scann]\", or take the index scann-style."

    def _make(self, documents, similarity):
        if self.missing():
            raise ParameterError(self.missing())
        ops = importlib.import_module("scann").scann_ops_pybind
        n_lists = IVFFlat(lists=self.lists).n_lists(len(documents))
        builder = ops.builder(documents, min(10, len(documents)), "squared_l2" if similarity == "l2" else "dot_product")
        builder = builder.set_n_training_threads(1)
        if len(documents) < SCANN_LEAST:
            return builder.score_brute_force().build(), n_lists, len(documents)
        builder = builder.tree(num_leaves=n_lists, num_leaves_to_search=min(self.probes, n_lists), training_sample_size=len(documents))
        builder = builder.score_ah(self.per_code, anisotropic_quantization_threshold=self.threshold)
        return builder.reorder(min(len(documents), 10 * self.rerank)).build(), n_lists, len(documents)

    def _find(self, structure, queries, k, threads):
        searcher, n_lists, n_documents = structure
        search = searcher.search_batched_parallel if threads > 1 else searcher.search_batched
        effort = {"pre_reorder_num_neighbors": min(k * self.rerank, n_documents), "leaves_to_search": min(self.probes, n_lists)}
        rows, distances = search(queries, final_num_neighbors=min(k, n_documents), **effort if n_documents >= SCANN_LEAST else {})
        return np.where(np.isfinite(distances), np.asarray(rows, np.int64), -1)

    def _size(self, structure, documents):
        n_codes = -(-documents.shape[1] // self.per_code)
        return documents.nbytes + len(documents) * -(-n_codes // 2) + structure[1] * documents.shape[1] * 4


INDEXES: tuple[type[Index], ...] = (Flat, HNSW, IVFFlat, IVFPQ, ScannStyle, Scann)
INDEX_KEYS = tuple(index.key for index in INDEXES)


def make_index(key: str, settings: str = "") -> Index:
    """The index of that key with ``settings`` such as ``probes=4;lists=64``; raises ParameterError."""
    piece: Piece = make_piece(INDEXES, {"key": key}, "index")
    specs = {spec.name: spec for spec in piece.params()}
    for setting in filter(None, (part.strip() for part in settings.split(";"))):
        name, is_set, value = (part.strip() for part in setting.partition("="))
        if not is_set or name not in specs:
            known = ", ".join(specs) or "no parameter"
            raise ParameterError(f"The index {key} has {known}; each setting is name=value, joined by ';'. Got {setting!r}.")
        piece = piece.but(**{name: specs[name].parse(type(piece).__name__, value)})
    assert isinstance(piece, Index)
    return piece
