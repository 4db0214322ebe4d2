"""Machine code for the inner loops, kept on disk where that is possible.

Only modules that are nothing but inner loops import this one: numba takes a second to load, so it is loaded
by the first search and not by the first page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit, types

f4, f8, i1, i4, i8, u1 = types.float32, types.float64, types.int8, types.int32, types.int64, types.boolean


# numba looks only at the file of a function to see whether its kept code is old. The loops shared between files are
# inlined, so their text becomes part of the name under which code is kept.
_SHARED = ("compiled.py", "select_loops.py")
_STAMP = hashlib.sha256(b"".join(Path(__file__).with_name(name).read_bytes() for name in _SHARED)).hexdigest()[:8]


def given(kind: Any, ndim: int = 1) -> Any:
    """The type of an argument that is only read: memory-mapped arrays are read-only and welcome."""
    return types.Array(kind, ndim, "C", readonly=True)


def filled(kind: Any, ndim: int = 1) -> Any:
    """The type of an argument that the loop writes to."""
    return types.Array(kind, ndim, "C")


def compiled(signature: Any, *, any_order: bool = False, inlined: bool = False) -> Callable[[Callable], Callable]:
    """Compile at once for one signature, or for each of a list, without the interpreter's lock while it runs.

    The code is kept beside the source or in the user's cache folder. Neither may be writable (RuntimeError when
    the folder is looked for, OSError when it is written): then it is compiled anew by each process.
    Arithmetic is IEEE's in the order written; ``any_order`` lets a sum be split over vector lanes, and no more.
    ``inlined``: into its callers, as it was compiled here: a call counts the references of every array that it is given, and two
    threads that count the references of one array wait for each other longer than a short loop takes.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "forceinline": inlined}
    if any_order:
        options["fastmath"] = {"reassoc", "contract", "nsz"}

    def decorate(function: Callable) -> Callable:
        function.__qualname__ = f"{function.__name__}_{_STAMP}"
        try:
            return njit(signature, cache=True, **options)(function)
        except (RuntimeError, OSError):
            return njit(signature, **options)(function)

    return decorate
