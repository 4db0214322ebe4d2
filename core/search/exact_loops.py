"""Inner loops of exact search: the matrix product proposes, sums in float64 decide."""

from __future__ import annotations

import numpy as np

from core.search.compiled import compiled, f4, f8, filled, given, i4, i8
from core.search.select_loops import CHUNK, floor_of_best, reaching, sort_key, write_best

LOWEST = np.float32(-3.4028235e38)  # keeps excluded pairs (-inf) from being proposed
L2 = 2
HELD = 1 << 16  # proposals scored together

# queries, documents; the factors of each (1, or 1 / norm for cosine); the kind of similarity
_VECTORS = (given(f4, 2), given(f4, 2), given(f8), given(f8), i8)


@compiled(f8(given(f4), given(f4), i8), any_order=True)
def exact_sum(a, b, kind):
    """The dot product or minus the squared distance, in float64.

    The order of the sum is the compiler's, but it is one order for all pairs: it depends on nothing but the length.
    """
    total = 0.0
    if kind == L2:
        for i in range(a.shape[0]):
            difference = f8(a[i]) - f8(b[i])
            total -= difference * difference
    else:
        for i in range(a.shape[0]):
            total += f8(a[i]) * f8(b[i])
    return total


@compiled(f4(*_VECTORS, i8, i8))
def exact_score(queries, documents, query_factors, doc_factors, kind, query, doc_row):
    """The score of one pair, rounded to float32 once."""
    total = exact_sum(queries[query], documents[doc_row], kind)
    return f4(total * (query_factors[query] * doc_factors[doc_row])) + np.float32(0)  # + 0: never -0.0


@compiled((given(i4), i8, i8, filled(i8)))
def by_document(found, n_found, n_documents, order):
    """Set ``order`` to the places of ``found``, sorted by document: a counting sort."""
    starts = np.zeros(n_documents + 1, np.int64)
    for at in range(n_found):
        starts[found[at] + 1] += 1
    for doc_row in range(n_documents):
        starts[doc_row + 1] += starts[doc_row]
    for at in range(n_found):
        order[starts[found[at]]] = at
        starts[found[at]] += 1


@compiled((*_VECTORS, given(f4, 2), given(f8), i8, i8, i8, i8, filled(i8, 2), filled(f4, 2)))
def best(
    queries, documents, query_factors, doc_factors, kind,
    products, slacks, offset, first, last, k, found_rows, found_scores,
):  # fmt: skip
    """Fill rows offset + first..last of the result from the rows first..last of ``products``.

    A product may be wrong by half its query's slack. So every document of the true best k has a product of at least
    (k-th largest product) - slack: those are proposed, and only they are scored exactly. The proposals of some
    hundred queries are scored together in the order of documents, so that a document's vector is fetched once.
    """
    n_documents = products.shape[1]
    space = HELD + n_documents
    found, rows = np.empty(space, np.int32), np.empty(space, np.int32)
    keys, order = np.empty(space, np.int64), np.empty(space, np.int64)
    ends = np.empty(last - first, np.int64)
    score = np.empty(1, np.float32)
    bits = score.view(np.int32)
    row = first
    while row < last:
        begin_row, n_found = row, 0
        while row < last and n_found <= HELD:
            floor = f4(f8(floor_of_best(products[row], k)) - slacks[offset + row])
            n_more = reaching(products[row], max(floor, LOWEST), found[n_found : n_found + n_documents])
            rows[n_found : n_found + n_more] = row
            n_found += n_more
            ends[row - begin_row] = n_found
            row += 1
        if n_found * 4 > n_documents:
            by_document(found, n_found, n_documents, order)
        else:  # too few to pay for the sort
            for at in range(n_found):
                order[at] = at
        for i in range(n_found):
            at = order[i]
            query = offset + rows[at]
            score[0] = exact_score(queries, documents, query_factors, doc_factors, kind, query, found[at])
            keys[at] = sort_key(bits[0], found[at])
        begin = 0
        for i in range(row - begin_row):
            query = offset + begin_row + i
            write_best(keys[begin:], ends[i] - begin, k, found_rows[query], found_scores[query].view(np.int32))
            begin = ends[i]


@compiled((*_VECTORS, given(i8), given(i8), i8, i8, filled(f4)))
def score_pairs(queries, documents, query_factors, doc_factors, kind, pair_queries, pair_docs, first, last, scores):
    """Set scores first..last."""
    for pair in range(first, last):
        scores[pair] = exact_score(
            queries, documents, query_factors, doc_factors, kind, pair_queries[pair], pair_docs[pair]
        )


@compiled(i8(given(f4), f4))
def n_above(part, bound):
    """How many entries are > bound."""
    n = np.int32(0)
    for j in range(part.shape[0]):
        n += np.int32(part[j] > bound)
    return n


@compiled((*_VECTORS, given(f4, 2), given(f8), given(f8), given(i8), given(i8), given(i8), i8, i8, filled(i8)))
def count_ranks(
    queries, documents, query_factors, doc_factors, kind,
    products, slacks, shifts, pair_rows, pair_queries, pair_docs, first, last, ranks,
):  # fmt: skip
    """Set ranks first..last. ``pair_rows[i]``: the row of ``products`` with the products of query ``pair_queries[i]``.

    Documents whose product differs from the pair's score (plus the query's shift) by more than the slack are
    counted by their product; the few others by their exact score.
    """
    for pair in range(first, last):
        query, doc_row = pair_queries[pair], pair_docs[pair]
        score = exact_score(queries, documents, query_factors, doc_factors, kind, query, doc_row)
        low = f4(f8(score) + shifts[query] - slacks[query])
        high = f4(f8(score) + shifts[query] + slacks[query])
        row = products[pair_rows[pair]]
        rank = 1
        for start in range(0, row.shape[0], CHUNK):
            part = row[start : start + CHUNK]
            n = n_above(part, high)
            rank += n
            if n_above(part, low) == n:
                continue
            for j in range(part.shape[0]):
                if low < part[j] <= high:
                    other = start + j
                    s = exact_score(queries, documents, query_factors, doc_factors, kind, query, other)
                    if s > score or (s == score and other < doc_row):
                        rank += 1
        ranks[pair] = rank
