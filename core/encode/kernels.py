"""The inner loops of a training step, compiled: each passes once over the rows that a batch uses.

The same work in torch calls makes eleven passes over gathered copies and takes three times as long.
Each row is one thread's, with a fixed order of additions: equal inputs give equal bytes on any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numba
import numpy as np


def _compiled(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    options |= {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to write the cache (read-only installation without a home): compile each time
        return numba.njit(**options)(function)


#: Long sums within a row may be added up in vectors' lanes: another order than written, but always the same one.
_compiled_with_sums = partial(_compiled, fastmath={"reassoc", "contract"})


@_compiled
def bag_means(vectors, ids, offsets, out):  # type: ignore[no-untyped-def]
    """Write the mean of each bag's rows of ``vectors`` to ``out`` float32 (N, dim); an empty bag's is zero.

    ``ids``, ``offsets`` int64: as in Tokens; ``offsets`` may begin anywhere. Four rows are on their way from memory at once, and are
    added up in the order in which they stand.
    """
    dim = vectors.shape[1]
    for bag in range(len(offsets) - 1):
        row = out[bag]
        row[:] = 0
        i, last = offsets[bag], offsets[bag + 1]
        while i + 4 <= last:
            a, b, c, d = vectors[ids[i]], vectors[ids[i + 1]], vectors[ids[i + 2]], vectors[ids[i + 3]]
            for j in range(dim):
                row[j] = (((row[j] + a[j]) + b[j]) + c[j]) + d[j]
            i += 4
        while i < last:
            a = vectors[ids[i]]
            for j in range(dim):
                row[j] += a[j]
            i += 1
        share = np.float32(1) / np.float32(max(last - offsets[bag], 1))
        for j in range(dim):
            row[j] *= share


@_compiled_with_sums
def unit_rows(rows, least, out, scale):  # type: ignore[no-untyped-def]
    """Write each row over its length to ``out`` and one over that length, at least ``least``, to ``scale`` float32 (N,)."""
    for i in range(len(rows)):
        row, unit = rows[i], out[i]
        square = np.float64(0)
        for j in range(len(row)):
            square += np.float64(row[j]) * np.float64(row[j])
        scale[i] = np.float32(1 / max(np.sqrt(square), least))
        for j in range(len(row)):
            unit[j] = row[j] * scale[i]


@_compiled_with_sums
def unit_gradient(units, scale, grad, out):  # type: ignore[no-untyped-def]
    """Write the gradient of the rows from that of their ``units``: what lies along the row does not count."""
    for i in range(len(units)):
        unit, own, row = units[i], grad[i], out[i]
        along = np.float64(0)
        for j in range(len(unit)):
            along += np.float64(unit[j]) * np.float64(own[j])
        share = np.float32(along)
        for j in range(len(unit)):
            row[j] = (own[j] - unit[j] * share) * scale[i]


@_compiled
def bag_gradient(order, sorted_ids, bag_of, share, grad, used, rows):  # type: ignore[no-untyped-def]
    """Write the distinct ids, ascending, and the gradient of each one's row.

    ``order``: positions of the ids in ascending order of id; ``sorted_ids``: the ids in that order; ``bag_of``: the bag of
    each position; ``share`` float32 (N,): one over each bag's size; ``grad``: float32 (N, dim), the gradient of each
    bag's mean. ``used`` int64 (n_used,) and ``rows`` float32 (n_used, dim) are written.
    """
    dim = grad.shape[1]
    n = -1
    for i in range(len(order)):
        is_first = i == 0 or sorted_ids[i] != sorted_ids[i - 1]
        if is_first:
            n += 1
            used[n] = sorted_ids[i]
        bag = bag_of[order[i]]
        row, own, part = rows[n], grad[bag], share[bag]
        if is_first:
            for j in range(dim):
                row[j] = own[j] * part
        else:
            for j in range(dim):
                row[j] += own[j] * part


@_compiled
def adam_rows(vectors, moments, slots, n_old, ids, values, new_mean, new_square, eps, rate):  # type: ignore[no-untyped-def]
    """Update ``vectors`` and both moments in place, at the rows ``ids``, of which none comes twice.

    ``ids`` (int64) and ``values`` (float32 (len(ids), dim)) are a sparse gradient. ``moments`` float32 (n, 2, dim): mean and mean
    square, of each id at its ``slots`` int64 (len(ids),); what lies at ``n_old`` and behind is not set yet and begins at zero.
    Scalars are float32: ``new_mean``, ``new_square``: the share of the new value in each moment (1 - beta); ``rate``: the step.
    """
    dim = vectors.shape[1]
    for i in range(len(ids)):
        slot = slots[i]
        vector, m, v, value = vectors[ids[i]], moments[slot, 0], moments[slot, 1], values[i]
        if slot >= n_old:
            m[:] = 0
            v[:] = 0
        for j in range(dim):
            m_new = m[j] + (value[j] - m[j]) * new_mean
            v_new = v[j] + (value[j] * value[j] - v[j]) * new_square
            m[j] = m_new
            v[j] = v_new
            vector[j] -= rate * (m_new / (np.sqrt(v_new) + eps))


@_compiled_with_sums
def own_dots(queries, vectors, rows, out):  # type: ignore[no-untyped-def]
    """Write to ``out`` float32 (N, m) the dot product of each query and the vectors at its ``rows`` int64 (N, m); 0 where -1."""
    for i in range(len(rows)):
        query = queries[i]
        for j in range(rows.shape[1]):
            total = np.float32(0)
            if rows[i, j] >= 0:
                vector = vectors[rows[i, j]]
                for d in range(len(query)):
                    total += query[d] * vector[d]
            out[i, j] = total


@_compiled
def own_sums(vectors, rows, weights, out):  # type: ignore[no-untyped-def]
    """Write to ``out`` float32 (N, dim) the sum of the vectors at each query's ``rows``, times their ``weights`` float32 (N, m).

    Vectors that weigh nothing are not read.
    """
    out[:] = 0
    for i in range(len(rows)):
        own = out[i]
        for j in range(rows.shape[1]):
            weight = weights[i, j]
            if weight != 0 and rows[i, j] >= 0:
                vector = vectors[rows[i, j]]
                for d in range(len(own)):
                    own[d] += weight * vector[d]


# Numbers of rows of work below which a second thread costs more than it brings.
LEAST_WORK = 512


def in_parts(ends: np.ndarray, work: Callable[[int, int], Any]) -> None:
    """``work(first, last)`` on stretches that make up ``range(len(ends) - 1)``, a thread each; raises what one of them raises.

    ``ends`` int (n + 1,), ascending: item ``i`` is ``ends[i + 1] - ends[i]`` rows of work; the stretches get about equal shares.
    """
    n, total = len(ends) - 1, int(ends[-1] - ends[0])
    n_parts = min(_n_threads(), total // LEAST_WORK)
    if n_parts < 2:
        work(0, n)
        return
    inner = np.searchsorted(ends, ends[0] + total * np.arange(1, n_parts) // n_parts).tolist()
    edges = [0, *inner, n]
    others = [_pool().submit(work, first, last) for first, last in zip(edges[1:-1], edges[2:], strict=True)]
    work(edges[0], edges[1])
    for other in others:
        other.result()


@cache
def _n_threads() -> int:
    """At most four: the loops wait for memory more than they compute."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(int(wanted) if wanted.isdigit() else os.cpu_count() or 1, 4))


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(3, thread_name_prefix="rows")
