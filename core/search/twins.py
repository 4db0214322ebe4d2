"""Near-duplicate documents: the same word shingles, but for a few."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from core.search.words import number_words

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LARGEST = 1 << 62  # of the numbers of a shingle before they are made compact
BLOCK_PAIRS = 1 << 24  # pairs of documents with a shingle in common, at a time


def twin_matrix(texts: Sequence[str], rows: np.ndarray, *, threshold: float = 0.8, shingle: int = 3) -> csr_matrix:
    """The documents that are nearly the same as document ``rows[i]``, as a bool sparse matrix (len(rows), C).

    Entry (i, j) is true where the Jaccard similarity of the sets of ``shingle`` successive words of texts ``rows[i]``
    and j is at least ``threshold``, and j is not ``rows[i]``. Exact: every pair is compared, and shingles are
    numbered, not hashed. A text shorter than ``shingle`` words is one shingle of its own; empty texts are twins of
    each other. Raises ValueError for a threshold outside (0, 1], a shingle below 1 or a row that does not exist.

    >>> twin_matrix(["how to list all files", "How to list all files?", "zip it"], [0]).indices
    array([1], dtype=int32)

    Source: Broder 1997, On the resemblance and containment of documents.
    """
    return twins_among(shingle_matrix(texts, shingle), rows, threshold=threshold)


def twins_among(shingles: csr_matrix, rows: np.ndarray, *, threshold: float = 0.8) -> csr_matrix:
    """:func:`twin_matrix` of texts whose :func:`shingle_matrix` is at hand."""
    from scipy.sparse import csr_matrix

    rows = np.atleast_1d(np.asarray(rows, np.int64))
    n_documents = shingles.shape[0]
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be in (0, 1]; got {threshold}.")
    if rows.size and not (rows.min() >= 0 and rows.max() < n_documents):
        raise ValueError(f"rows must be in [0, {n_documents}); got {rows.min()} to {rows.max()}.")
    if not rows.size:
        return csr_matrix((0, n_documents), dtype=bool)

    sizes = np.diff(shingles.indptr)
    # A shingle of one document cannot be shared. Most are; without them the product is several times cheaper.
    spread = np.bincount(shingles.indices, minlength=shingles.shape[1])
    shared = shingles[:, spread > 1]
    other = shared.T.tocsr()

    # How many pairs the product of each row can touch, at most: bounds the memory of a block.
    reach = np.minimum(shared @ np.diff(other.indptr).astype(np.int64), n_documents)[rows]
    blocks = np.searchsorted(np.cumsum(reach), np.arange(BLOCK_PAIRS, reach.sum() + 1, BLOCK_PAIRS))
    found_rows, found_docs = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for block in np.split(np.arange(len(rows)), np.unique(blocks)):
        common = (shared[rows[block]] @ other).tocoo()
        query_sizes = sizes[rows[block]]
        union = query_sizes[common.row] + sizes[common.col] - common.data
        # |A and B| / |A or B| >= t, without the rounding of a quotient where t is a short decimal fraction.
        is_twin = (common.data >= threshold * union - 1e-9) & (common.col != rows[block][common.row])
        found_rows.append(block[common.row[is_twin]])
        found_docs.append(common.col[is_twin].astype(np.int64))
    places = (np.concatenate(found_rows), np.concatenate(found_docs))
    twins = csr_matrix((np.ones(len(places[0]), bool), places), shape=(len(rows), n_documents))
    twins.sort_indices()
    return twins


def shingle_matrix(texts: Sequence[str], shingle: int) -> csr_matrix:
    """int32 (C, S): 1 where document has the shingle; every shingle has a number of its own."""
    return shingles_of_words(*number_words(texts), shingle=shingle)


def shingles_of_words(terms: np.ndarray, starts: np.ndarray, vocabulary: dict[str, int], *, shingle: int = 3) -> csr_matrix:
    """:func:`shingle_matrix` of texts as :func:`core.search.words.number_words` gives them."""
    from scipy.sparse import csr_matrix

    if shingle < 1:
        raise ValueError(f"shingle must be at least 1; got {shingle}.")
    lengths = np.diff(starts)
    # Pad short texts with a number that no word has, so that every text has at least one shingle.
    padded = np.maximum(lengths, shingle)
    padded_starts = np.concatenate([[0], np.cumsum(padded)])
    words = np.full(padded_starts[-1], len(vocabulary), np.int64)
    words[np.arange(len(terms)) + np.repeat(padded_starts[:-1] - starts[:-1], lengths)] = terms

    n_shingles = padded - shingle + 1
    first = np.arange(n_shingles.sum()) + np.repeat(
        padded_starts[:-1] - np.concatenate([[0], np.cumsum(n_shingles)])[:-1], n_shingles
    )
    numbers, base, n_numbers = words[first], len(vocabulary) + 1, len(vocabulary) + 1
    for step in range(1, shingle):
        if n_numbers * base > LARGEST:  # number the beginnings again before they are made longer
            numbers = np.unique(numbers, return_inverse=True)[1]
            n_numbers = len(numbers)
        numbers = numbers * base + words[first + step]
        n_numbers *= base
    numbers = np.unique(numbers, return_inverse=True)[1]
    doc_rows = np.repeat(np.arange(len(lengths)), n_shingles)
    shape = (len(lengths), int(numbers.max(initial=-1)) + 1)
    matrix = csr_matrix((np.ones(len(numbers), np.int32), (doc_rows, numbers)), shape=shape)
    matrix.sum_duplicates()
    matrix.data[:] = 1
    return matrix

