"""How many threads a search uses, and how its queries are shared between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any


def thread_count(threads: int | None) -> int:
    """The asked number, else OMP_NUM_THREADS, else the cores that this process may use; at least 1."""
    if threads is not None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1; got {threads}.")
        return int(threads)
    share = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if share.isdigit() and int(share) >= 1:
        return int(share)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_shares(n: int, threads: int, work: Callable[[int, int], None], *, least: int = 8, each: int = 4) -> None:
    """Call ``work(start, stop)`` so that the calls cover ``range(n)``, on up to ``threads`` threads at once.

    ``each``: shares a thread; with several, a thread that drew cheap rows takes more of them.
    ``least``: rows below which a share is not worth a thread. Python threads and kernels without the
    interpreter's lock are used because numba's own parallel loops end the process when two Python threads
    enter them at once, as two visitors of a page would.
    """
    threads = min(threads, max(1, n // least))
    if threads <= 1:
        if n:
            work(0, n)
        return
    size = max(least, -(-n // (each * threads)))
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, start, min(start + size, n)) for start in range(0, n, size)]:
            done.result()


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    # Listing the loaded libraries takes milliseconds, so it is done once.
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def blas_threads(threads: int | None) -> Iterator[int]:
    """The number of threads of numpy's products inside the block; the former number comes back after it.

    ``None`` changes nothing and gives :func:`thread_count` for the rest of the work.
    """
    if threads is None:
        yield thread_count(None)
        return
    with _blas().limit(limits=thread_count(threads)):
        yield thread_count(threads)
