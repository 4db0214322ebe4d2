"""Inner loops of rounding vectors to eight bits."""

from __future__ import annotations

import numpy as np

from core.search.compiled import compiled, f4, f8, filled, given, i1, i4, i8


@compiled((given(f4, 2), given(f8), i8, i8, filled(f8)))
def largest_of_rows(vectors, factors, first, last, largest):
    """Set ``largest`` first..last to each row's largest absolute value times its factor."""
    for row in range(first, last):
        vector = vectors[row]
        most = np.float32(0)
        for j in range(vector.shape[0]):
            value = abs(vector[j])
            most = value if value > most else most
        largest[row] = f8(most) * factors[row]


@compiled((given(f4, 2), given(f8), given(f8), i8, i8, filled(i1, 2), filled(f8), filled(f8)), any_order=True)
def round_rows(vectors, factors, steps, first, last, rounded, lengths, errors):
    """Set rows first..last of ``rounded`` to the vectors times their factors in whole ``steps``; a step of 0 gives zeros.

    ``lengths``: of the rounded vectors; ``errors``: how far each lies from the one it stands for.
    """
    for row in range(first, last):
        vector, out, step = vectors[row], rounded[row], steps[row]
        factor = factors[row]
        ratio = factor / step if step > 0 else 0.0
        square, error = 0.0, 0.0
        for j in range(vector.shape[0]):
            value = f8(vector[j])
            # + 192.5 - 192: to the nearest, without a sign to ask for; |value * ratio| is at most 127.
            whole = i4(value * ratio + 192.5) - i4(192)
            out[j] = i1(whole)
            near = f8(whole) * step
            square += near * near
            error += (value * factor - near) * (value * factor - near)
        lengths[row], errors[row] = np.sqrt(square), np.sqrt(error)
