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
def bag_gradient(order, sorted_ids, offsets, grad, n_used):  # type: ignore[no-untyped-def]
    """The distinct ids (int64, ascending) and the gradient of each one's row, float32 (n_used, dim).

    ``order``: positions of the ids in ascending order of id; ``sorted_ids``: the ids in that order.
    ``grad``: float32 (N, dim), the gradient of each bag's mean.
    """
    n_bags, dim = grad.shape
    bag_of = np.empty(len(order), np.int64)
    share = np.empty(n_bags, np.float32)
    for bag in range(n_bags):
        size = offsets[bag + 1] - offsets[bag]
        share[bag] = np.float32(1.0) / np.float32(max(size, 1))
        for place in range(offsets[bag], offsets[bag + 1]):
            bag_of[place] = bag
    used = np.empty(n_used, np.int64)
    rows = np.zeros((n_used, dim), np.float32)
    n = -1
    for i in range(len(order)):
        if i == 0 or sorted_ids[i] != sorted_ids[i - 1]:
            n += 1
            used[n] = sorted_ids[i]
        bag = bag_of[order[i]]
        for j in range(dim):
            rows[n, j] += grad[bag, j] * share[bag]
    return used, rows


@_compiled
def adam_rows(vectors, mean, square, order, ids, values, new_mean, new_square, eps, rate):  # type: ignore[no-untyped-def]
    """Update ``vectors`` and both moments in place, at the rows ``ids``.

    ``ids`` (int64, may repeat) and ``values`` (float32 (len(ids), dim)) are a sparse gradient, ``order`` sorts
    the ids; the values of a repeated id are added first, since the update is not linear. Scalars are float32:
    ``new_mean``, ``new_square``: the share of the new value in each moment (1 - beta); ``rate``: the step.
    """
    dim = vectors.shape[1]
    summed = np.empty(dim, np.float32)
    i = 0
    while i < len(order):
        row = ids[order[i]]
        for j in range(dim):
            summed[j] = values[order[i], j]
        i += 1
        while i < len(order) and ids[order[i]] == row:
            for j in range(dim):
                summed[j] += values[order[i], j]
            i += 1
        for j in range(dim):
            m = mean[row, j] + (summed[j] - mean[row, j]) * new_mean
            v = square[row, j] + (summed[j] * summed[j] - square[row, j]) * new_square
            mean[row, j] = m
            square[row, j] = v
            vectors[row, j] -= rate * (m / (np.sqrt(v) + eps))
