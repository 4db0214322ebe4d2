"""Inner loops of BM25: add the postings of a query's terms, keep the best k."""

from __future__ import annotations

import numpy as np

from core.search.compiled import compiled, f4, filled, given, i4, i8, u1
from core.search.select_loops import floor_of_best, reaching, sort_key, write_best

SMALLEST = np.float32(1e-45)

# starts, doc_rows, weights (one CSR row a term), dense_places, dense: see BM25
_INDEX = (given(i8), given(i4), given(f4), given(i4), given(f4, 2))
# query_starts, terms, times (one CSR row a query)
_QUERIES = (given(i8), given(i4), given(f4))


@compiled((*_INDEX, *_QUERIES, i8, filled(f4)))
def add_up(starts, doc_rows, weights, dense_places, dense, query_starts, terms, times, query, totals):
    """Set ``totals`` to the scores of all documents for one query."""
    totals[:] = 0
    for at in range(query_starts[query], query_starts[query + 1]):
        term, n = terms[at], times[at]
        place = dense_places[term]
        if place >= 0:
            row = dense[place]
            for doc_row in range(totals.shape[0]):
                totals[doc_row] += n * row[doc_row]
        else:
            for posting in range(starts[term], starts[term + 1]):
                totals[doc_rows[posting]] += n * weights[posting]


@compiled((*_INDEX, *_QUERIES, given(u1), i8, i8, i8, i8, filled(i8, 2), filled(f4, 2)))
def search(
    starts, doc_rows, weights, dense_places, dense, query_starts, terms, times,
    is_positive, n_documents, first, last, k, found_rows, found_scores,
):  # fmt: skip
    """Fill rows first..last of the result; ``is_positive[term]``: all weights of the term are above zero.

    With positive weights only, the matching documents are those with a total above zero. Otherwise (a term in half of
    the documents or more) a match may score zero or less, and the matches are marked one by one.
    """
    totals = np.zeros(n_documents, np.float32)
    bits = totals.view(np.int32)
    found = np.empty(n_documents, np.int32)
    keys = np.empty(n_documents, np.int64)
    for query in range(first, last):
        begin, end = query_starts[query], query_starts[query + 1]
        if begin == end:
            continue
        add_up(starts, doc_rows, weights, dense_places, dense, query_starts, terms, times, query, totals)
        all_positive = True
        for at in range(begin, end):
            all_positive &= is_positive[terms[at]]
        if all_positive:
            n_keys = reaching(totals, max(floor_of_best(totals, k, SMALLEST), SMALLEST), found)
            for i in range(n_keys):
                keys[i] = sort_key(bits[found[i]], found[i])
        else:
            is_match = np.zeros(n_documents, np.bool_)
            for at in range(begin, end):
                for posting in range(starts[terms[at]], starts[terms[at] + 1]):
                    is_match[doc_rows[posting]] = True
            n_keys = 0
            for doc_row in range(n_documents):
                if is_match[doc_row]:
                    totals[doc_row] += np.float32(0)  # -0.0 would sort below 0.0
                    keys[n_keys] = sort_key(bits[doc_row], doc_row)
                    n_keys += 1
        write_best(keys, n_keys, k, found_rows[query], found_scores[query].view(np.int32))


@compiled((*_INDEX, *_QUERIES, given(i8), given(i8), i8, i8, filled(f4)))
def score_pairs(
    starts, doc_rows, weights, dense_places, dense, query_starts, terms, times,
    pair_queries, pair_docs, first, last, scores,
):  # fmt: skip
    """Set scores first..last: the same sums in the same order as :func:`add_up`, so equal to the last bit."""
    for pair in range(first, last):
        query, doc_row = pair_queries[pair], pair_docs[pair]
        total = np.float32(0)
        for at in range(query_starts[query], query_starts[query + 1]):
            low, high = starts[terms[at]], starts[terms[at] + 1]
            stop = high
            while low < high:
                middle = (low + high) >> 1
                if doc_rows[middle] < doc_row:
                    low = middle + 1
                else:
                    high = middle
            if low < stop and doc_rows[low] == doc_row:
                total += times[at] * weights[low]
        scores[pair] = total
