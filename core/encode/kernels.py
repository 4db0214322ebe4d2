"""The two inner loops of a training step, compiled: each passes once over the rows that a batch uses.

The same work in torch calls makes eleven passes over gathered copies and takes three times as long.
One thread and a fixed order of additions: equal inputs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # nowhere to write the cache (read-only installation without a home): compile each time
        return numba.njit(nogil=True, error_model="numpy")(function)


@_compiled
def bag_gradient(order, sorted_ids, bag_of, share, grad, used, rows):  # type: ignore[no-untyped-def]
    """Write the distinct ids, ascending, and the gradient of each one's row.

    ``order``: positions of the ids in ascending order of id; ``sorted_ids``: the ids in that order; ``bag_of``: the bag of
    each position; ``share`` float32 (N,): one over each bag's size; ``grad``: float32 (N, dim), the gradient of each
    bag's mean. ``used`` int64 (n_used,) and ``rows`` float32 (n_used, dim), zeros, are written.
    """
    dim = grad.shape[1]
    n = -1
    for i in range(len(order)):
        if i == 0 or sorted_ids[i] != sorted_ids[i - 1]:
            n += 1
            used[n] = sorted_ids[i]
        bag = bag_of[order[i]]
        row, own, part = rows[n], grad[bag], share[bag]
        for j in range(dim):
            row[j] += own[j] * part


@_compiled
def adam_rows(vectors, mean, square, ids, values, new_mean, new_square, eps, rate):  # type: ignore[no-untyped-def]
    """Update ``vectors`` and both moments in place, at the rows ``ids``, of which none comes twice.

    ``ids`` (int64) and ``values`` (float32 (len(ids), dim)) are a sparse gradient. Scalars are float32: ``new_mean``,
    ``new_square``: the share of the new value in each moment (1 - beta); ``rate``: the step.
    """
    dim = vectors.shape[1]
    for i in range(len(ids)):
        vector, m, v, value = vectors[ids[i]], mean[ids[i]], square[ids[i]], values[i]
        for j in range(dim):
            m_new = m[j] + (value[j] - m[j]) * new_mean
            v_new = v[j] + (value[j] * value[j] - v[j]) * new_square
            m[j] = m_new
            v[j] = v_new
            vector[j] -= rate * (m_new / (np.sqrt(v_new) + eps))
