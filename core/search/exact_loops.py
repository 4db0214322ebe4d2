"""Inner loops of exact search: the matrix product proposes, sums in float64 decide."""

from __future__ import annotations

import numpy as np

from core.search.compiled import compiled, f4, f8, filled, given, i4, i8
from core.search.select_loops import CHUNK, LOW_32, bits_of, floor_of_best, reaching, sort_key, take_largest_keys, write_best

L2 = 2
HELD = 1 << 16  # proposals scored together

# queries, documents; the factors of each (1, or 1 / norm for cosine); the kind of similarity
_VECTORS = (given(f4, 2), given(f4, 2), given(f8), given(f8), i8)


@compiled(f8(given(f4), given(f4), i8), any_order=True, inlined=True)
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


@compiled(f4(*_VECTORS, i8, i8), inlined=True)
def exact_score(queries, documents, query_factors, doc_factors, kind, query, doc_row):
    """The score of one pair, rounded to float32 once."""
    total = exact_sum(queries[query], documents[doc_row], kind)
    return f4(total * (query_factors[query] * doc_factors[doc_row])) + np.float32(0)  # + 0: never -0.0


@compiled((given(i4), given(i4), given(i8), i8, filled(i8), filled(i8)))
def by_document(found, rows, places, n_places, order, ends):
    """Sort the ``places`` in ``found`` by document, counting: ``ends[d]`` is where those of document d end in ``order``.

    An entry of ``order`` holds the place and, above 32 bits, its row: what is read in this order must not be fetched from all over.
    """
    ends[:] = 0
    for i in range(n_places):
        ends[found[places[i]] + 1] += 1
    for doc_row in range(ends.shape[0] - 1):
        ends[doc_row + 1] += ends[doc_row]
    for i in range(n_places):
        at = places[i]
        order[ends[found[at]]] = i8(rows[at]) << 32 | at
        ends[found[at]] += 1


@compiled((*_VECTORS, i8, given(i4), given(i4), given(i8), i8, filled(i8), filled(i8), filled(i8)))
def score_places(queries, documents, query_factors, doc_factors, kind, offset, found, rows, places, n_places, order, ends, keys):
    """Set ``keys`` at the ``places`` to those of the exact scores of documents ``found`` for queries offset + ``rows``.

    In the order of documents, so that a document's vector is fetched once for some hundred queries.
    """
    score = np.empty(1, np.float32)
    bits = score.view(np.int32)
    if n_places * 4 <= documents.shape[0]:  # too few to pay for the sort
        for i in range(n_places):
            at = places[i]
            score[0] = exact_score(queries, documents, query_factors, doc_factors, kind, offset + rows[at], found[at])
            keys[at] = sort_key(bits[0], found[at])
        return
    by_document(found, rows, places, n_places, order, ends)
    i = 0
    for doc_row in range(documents.shape[0]):
        while i < ends[doc_row]:
            query = offset + (order[i] >> 32)
            score[0] = exact_score(queries, documents, query_factors, doc_factors, kind, query, doc_row)
            keys[order[i] & LOW_32] = sort_key(bits[0], doc_row)
            i += 1


@compiled([i8(given(kind), kind, filled(i4), i8, i8) for kind in (f4, i4)])
def to_front(products, floor, found, begin, end):
    """Reorder found[begin:end] so that documents whose product reaches the floor come first; return where the others begin."""
    for i in range(begin, end):
        if products[found[i]] >= floor:
            found[i], found[begin] = found[begin], found[i]
            begin += 1
    return begin


_BEST = given(f8), given(f8), given(f8), i8, i8, i8, i8, filled(i8, 2), filled(f4, 2)


@compiled([(*_VECTORS, given(number, 2), number, *_BEST) for number in (f4, i4)])
def best(
    queries, documents, query_factors, doc_factors, kind,
    products, lowest, units, errors, shifts, offset, first, last, k, found_rows, found_scores,
):  # fmt: skip
    """Fill rows offset + first..last of the result from the rows first..last of ``products``; below ``lowest``: never to be found.

    A product times the query's unit is the score + the query's shift, wrong by its error at most: for whole products a unit less, since
    bounds are cut to whole numbers. At least k products reach the floor, so every document of
    the true best k has a product of at least floor - 2 errors: those are proposed. The ones that reach the floor are scored
    exactly, and the k-th best of these scores is one that the true best k reach. So of the other proposals only those
    are scored whose product is no more than one error below it.
    """
    n_documents = products.shape[1]
    space = HELD + n_documents
    found, rows = np.empty(space, np.int32), np.empty(space, np.int32)
    keys, order, places = np.empty(space, np.int64), np.empty(space, np.int64), np.empty(space, np.int64)
    begins, middles, ends = np.empty(last - first, np.int64), np.empty(last - first, np.int64), np.empty(last - first, np.int64)
    buckets = np.empty(n_documents + 1, np.int64)
    score, bound = np.empty(1, np.float32), np.empty(1, products.dtype)
    bits = score.view(np.int32)
    row = first
    while row < last:
        begin_row, n_found, n_places = row, 0, 0
        while row < last and n_found <= HELD:
            begin, slack = n_found, 2 * errors[offset + row] / units[offset + row]
            floor = floor_of_best(products[row], k, lowest)
            bound[0] = max(f8(floor) - slack, f8(lowest))
            n_found += reaching(products[row], bound[0], found[begin : begin + n_documents])
            rows[begin:n_found] = row
            middle = to_front(products[row], floor, found, begin, n_found)
            for at in range(begin, middle):
                places[n_places] = at
                n_places += 1
            begins[row - begin_row], middles[row - begin_row], ends[row - begin_row] = begin, middle, n_found
            row += 1
        loop = queries, documents, query_factors, doc_factors, kind, offset
        score_places(*loop, found, rows, places, n_places, order, buckets, keys)
        n_places = 0
        for i in range(row - begin_row):
            begin, middle, end = begins[i], middles[i], ends[i]
            if middle < end:  # then at least k stand before it
                bits[0] = bits_of(take_largest_keys(keys[begin:], middle - begin, k))
                query = offset + begin_row + i
                bound[0] = max((f8(score[0]) + shifts[query] - errors[query]) / units[query], f8(lowest))
                ends[i] = to_front(products[begin_row + i], bound[0], found, middle, end)
                for at in range(middle, ends[i]):
                    places[n_places] = at
                    n_places += 1
        score_places(*loop, found, rows, places, n_places, order, buckets, keys)
        for i in range(row - begin_row):
            query, begin = offset + begin_row + i, begins[i]
            write_best(keys[begin:], ends[i] - begin, k, found_rows[query], found_scores[query].view(np.int32))


@compiled((*_VECTORS, given(i8), given(i8), i8, i8, filled(f4)))
def score_pairs(queries, documents, query_factors, doc_factors, kind, pair_queries, pair_docs, first, last, scores):
    """Set scores first..last."""
    for pair in range(first, last):
        scores[pair] = exact_score(
            queries, documents, query_factors, doc_factors, kind, pair_queries[pair], pair_docs[pair]
        )


@compiled(i8(given(f4), f4), inlined=True)
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
