"""Inner loops that pick the best k of one row of scores, shared by BM25 and exact search."""

from __future__ import annotations

import numpy as np

from core.search.compiled import compiled, f4, filled, given, i4, i8, u1

CHUNK = 64
LOW_32 = 0xFFFFFFFF


def _take_largest(values, n, k):
    """Reorder the first n values so that the k largest are the last k of them; return the k-th largest, 1 <= k <= n.

    Hoare's selection: numba's own partition and sort take ten times as long to compile as this does.
    """
    low, high, wanted = 0, n - 1, n - k
    while low < high:
        pivot = values[(low + high) >> 1]
        left, right = low, high
        while left <= right:
            while values[left] < pivot:
                left += 1
            while values[right] > pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    return values[wanted]


take_largest_numbers = compiled([kind(filled(kind), i8, i8) for kind in (f4, i4)])(_take_largest)
take_largest_keys = compiled(i8(filled(i8), i8, i8))(_take_largest)


@compiled([kind(given(kind), i8, kind) for kind in (f4, i4)])
def floor_of_best(row, k, lowest):
    """A number that at least k entries of the row reach, close to the k-th largest entry; ``lowest`` when n is near k.

    The row is folded into 4k columns, keeping each column's maximum. The k-th largest maximum is such a number, and
    with 4k columns about 1.15 k entries of the row reach it. The fold is one vectorised pass.
    """
    n = row.shape[0]
    width = max(64, 4 * k)
    if n < 2 * width:
        return lowest
    maxima = row[:width].copy()
    for start in range(width, n, width):
        part = row[start : start + width]  # indexed from 0: numba then sees no negative index and vectorises
        for j in range(part.shape[0]):
            maxima[j] = part[j] if part[j] > maxima[j] else maxima[j]
    return take_largest_numbers(maxima, width, k)


@compiled([u1(given(kind), kind) for kind in (f4, i4)], inlined=True)
def any_reaches(part, floor):
    """Whether an entry is >= floor: one vectorised test, which it is only as a function of its own."""
    hits = np.int32(0)
    for j in range(part.shape[0]):
        hits |= np.int32(part[j] >= floor)
    return hits != 0


@compiled([i8(given(kind), kind, filled(i4)) for kind in (f4, i4)])
def reaching(row, floor, found):
    """Write the positions with row >= floor to ``found``, ascending; return how many."""
    n_found = 0
    for start in range(0, row.shape[0], CHUNK):
        part = row[start : start + CHUNK]
        if any_reaches(part, floor):  # most chunks hold none
            for j in range(part.shape[0]):
                if part[j] >= floor:
                    found[n_found] = start + j
                    n_found += 1
    return n_found


@compiled(i8(i4, i8), inlined=True)
def sort_key(bits, doc_row):
    """One integer that sorts like (score, smaller row): ``bits`` are those of the float32 score, not of -0.0."""
    ordered = i8(bits) if bits >= 0 else i8(bits ^ np.int32(0x7FFFFFFF))
    return (ordered << 32) | (LOW_32 - doc_row)


@compiled(i4(i8))
def bits_of(key):
    """The bits of the score that :func:`sort_key` was given."""
    bits = np.int32(key >> 32)
    return bits if bits >= 0 else bits ^ np.int32(0x7FFFFFFF)


@compiled((filled(i8), i8, i8))
def sort_keys(keys, start, stop):
    """Sort keys[start:stop], ascending: the larger part of each division waits on a stack, so 64 places are enough."""
    waiting = np.empty((64, 2), np.int64)
    n_waiting = 0
    while True:
        while stop - start > 16:
            pivot = keys[(start + stop) >> 1]
            left, right = start, stop - 1
            while left <= right:
                while keys[left] < pivot:
                    left += 1
                while keys[right] > pivot:
                    right -= 1
                if left <= right:
                    keys[left], keys[right] = keys[right], keys[left]
                    left += 1
                    right -= 1
            if right + 1 - start > stop - left:
                waiting[n_waiting, 0], waiting[n_waiting, 1] = start, right + 1
                start = left
            else:
                waiting[n_waiting, 0], waiting[n_waiting, 1] = left, stop
                stop = right + 1
            n_waiting += 1
        for i in range(start + 1, stop):
            key = keys[i]
            j = i - 1
            while j >= start and keys[j] > key:
                keys[j + 1] = keys[j]
                j -= 1
            keys[j + 1] = key
        if n_waiting == 0:
            return
        n_waiting -= 1
        start, stop = waiting[n_waiting, 0], waiting[n_waiting, 1]


@compiled((filled(i8), i8, i8, filled(i8), filled(i4)))
def write_best(keys, n_keys, k, doc_rows, score_bits):
    """Write the best k of the first ``n_keys`` keys, best first; the keys are reordered."""
    n = min(k, n_keys)
    if n < n_keys:
        take_largest_keys(keys, n_keys, n)
    sort_keys(keys, n_keys - n, n_keys)
    for place in range(n):
        key = keys[n_keys - 1 - place]
        doc_rows[place] = LOW_32 - (key & LOW_32)
        score_bits[place] = bits_of(key)
