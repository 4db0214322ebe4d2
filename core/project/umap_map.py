"""Two-dimensional maps of vectors by UMAP: same seed, same bytes; one fit at a time; warmed once.

McInnes, Healy & Melville 2018, UMAP, https://arxiv.org/abs/1802.03426. The graph and its optimisation are
umap-learn's own functions. Its neighbour search is replaced by an exact blocked product, quick at map sizes
and without pynndescent's compilation; its class is not used because it squeezes every start into a box of
10 by 10, which tears an earlier map apart (a test holds both to equal bytes for fresh maps).
"""

from __future__ import annotations

import threading
import warnings
from functools import cache

import numpy as np

from core.errors import ParameterError
from core.project.align import align
from core.project.cache import LayoutCache
from core.project.fidelity import fidelity, neighbours, trustworthiness
from core.project.knn import METRICS, knn, normalised
from core.project.points import choose_points, joint_space

__all__ = [
    "LayoutCache",
    "align",
    "choose_points",
    "fidelity",
    "is_warm",
    "joint_space",
    "layout",
    "layout_note",
    "neighbours",
    "trustworthiness",
    "warm",
    "warm_in_background",
]

UMAP_FROM = 5  # fewer points than this have no neighbourhood worth a graph
# (rounds, learning rate) of a fresh map and of one that starts from an earlier map: gentle steps keep its
# places, and kept more neighbours than full ones (300-1,000 clustered points, 0.47 against 0.42).
FRESH, CONTINUED = (200, 1.0), (100, 0.25)
_fit_lock = threading.Lock()  # UMAP and numba's thread pool are not thread-safe
_warm_lock = threading.Lock()
_start_lock = threading.Lock()  # its own, so that a page asking to warm never waits for a fit
_warmed = threading.Event()
_warming: threading.Thread | None = None


def layout(
    vectors: np.ndarray,
    *,
    n_neighbors: int = 15,
    min_dist: float = 0.1,
    metric: str = "cosine",
    seed: int = 0,
    init: np.ndarray | None = None,
    n_epochs: int | None = None,
) -> np.ndarray:
    """A place in the plane for every vector, float32 (N, 2); the axes and their units mean nothing.

    ``vectors``: (N, dim), finite. ``metric``: "cosine" (lengths are ignored) or "euclidean". Same
    arguments, same bytes on one machine (one thread). ``n_neighbors`` is cut to N; with N < 5 the plane is that
    of the two principal components (:func:`layout_note` says so). Zero vectors and duplicates are fine.

    ``init``: float (N, 2), the places that an earlier layout gave the same points, NaN for points it did
    not have; the new map starts there with small steps and is aligned onto it, so that two checkpoints'
    maps can be compared. ``n_epochs``: rounds of optimisation; None = 200, or 100 from an earlier map.

    Waits while another thread fits. The first call in a process also compiles: see :func:`warm`.
    Raises ParameterError for an unknown metric, n_neighbors < 2, min_dist outside [0, 1], or vectors that are
    not finite.
    """
    vectors = _checked(vectors, n_neighbors, min_dist, metric)
    n = len(vectors)
    if init is not None and np.shape(init) != (n, 2):
        raise ValueError(f"init must have shape {(n, 2)}; got {np.shape(init)}")
    points = normalised(vectors) if metric == "cosine" else vectors
    if n < UMAP_FROM:
        plane = _principal_plane(points)
        return plane if init is None else align(plane, init)
    k = min(n_neighbors, n)
    indices, distances = knn(points, k, metric)
    rng = np.random.default_rng(seed)
    if init is None or not _has_extent(init):
        start, init = _unit_box(_jittered(_principal_plane(points), rng)), None
    else:
        start = _jittered(_with_new_points(np.asarray(init, dtype=np.float64), indices), rng)
    default_epochs, learning_rate = FRESH if init is None else CONTINUED
    with _fit_lock:
        fitted = _fit(
            points, indices, distances, start, min_dist, metric, seed, n_epochs or default_epochs, learning_rate
        )
    _warmed.set()
    return fitted if init is None else align(fitted, init)


def layout_note(n_points: int, n_neighbors: int = 15) -> str:
    """One sentence on how a map of so many points departs from what was asked; empty when it does not."""
    if n_points < UMAP_FROM:
        return f"With {n_points} points there is no neighbourhood to map: shown are the two principal components."
    if n_points < n_neighbors:
        return f"n_neighbors was cut from {n_neighbors} to {n_points}, the number of points."
    return ""


def warm() -> None:
    """Import and compile everything a map needs; idempotent, callable from any thread, seconds once."""
    with _warm_lock:
        if not _warmed.is_set():
            layout(np.random.default_rng(0).normal(size=(40, 8)), n_epochs=2)


def warm_in_background() -> threading.Thread:
    """The one thread that warms; started on the first call, the same (perhaps finished) one afterwards."""
    global _warming
    with _start_lock:
        if _warming is None:
            _warming = threading.Thread(target=warm, name="warm-umap", daemon=True)
            _warming.start()
        return _warming


def is_warm() -> bool:
    """Whether a map has been fitted in this process, so that the next one does not compile."""
    return _warmed.is_set()


def _fit(
    points: np.ndarray,
    indices: np.ndarray,
    distances: np.ndarray,
    start: np.ndarray,
    min_dist: float,
    metric: str,
    seed: int,
    n_epochs: int,
    learning_rate: float,
) -> np.ndarray:
    """What ``UMAP(..., init=start)`` computes, from ``start`` as it is."""
    _keep_machine_code()
    from umap.layouts import optimize_layout_euclidean
    from umap.umap_ import INT32_MAX, INT32_MIN, find_ab_params, fuzzy_simplicial_set, make_epochs_per_sample

    random_state = np.random.RandomState(seed)
    k = indices.shape[1]
    graph = fuzzy_simplicial_set(points, k, random_state, metric, knn_indices=indices, knn_dists=distances)[0].tocoo()
    graph.sum_duplicates()
    # Edges too weak to be drawn even once in all rounds.
    graph.data[graph.data < graph.data.max() / n_epochs] = 0.0
    graph.eliminate_zeros()
    a, b = find_ab_params(1.0, min_dist)
    places = np.array(start, dtype=np.float32, order="C")
    return optimize_layout_euclidean(
        places,
        places,
        graph.row,
        graph.col,
        n_epochs,
        len(points),
        make_epochs_per_sample(graph.data, n_epochs),
        a,
        b,
        random_state.randint(INT32_MIN, INT32_MAX, 3).astype(np.int64),
        initial_alpha=learning_rate,
        negative_sample_rate=5,
        parallel=False,
        move_other=True,
    )


@cache
def _keep_machine_code() -> None:
    """Import umap-learn and let numba keep what it compiles of it on disk: most of a first map's time.

    umap-learn does not ask for that itself. Where no folder can be written to, each process compiles.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about packages that are not needed here
        from umap import umap_
    for function in (umap_.smooth_knn_dist, umap_.compute_membership_strengths):
        try:
            function.enable_caching()
        except (RuntimeError, OSError):
            return


def _checked(vectors: np.ndarray, n_neighbors: int, min_dist: float, metric: str) -> np.ndarray:
    if metric not in METRICS:
        raise ParameterError(f"metric must be one of {', '.join(map(repr, METRICS))}; got {metric!r}.")
    if n_neighbors < 2:
        raise ParameterError(f"n_neighbors must be an int in [2, inf); got {n_neighbors!r}.")
    if not 0 <= min_dist <= 1:
        raise ParameterError(f"min_dist must be a number in [0, 1]; got {min_dist!r}.")
    vectors = np.asarray(vectors, dtype=np.float32)
    if vectors.ndim != 2:
        raise ValueError(f"vectors must have shape (N, dim); got {vectors.shape}")
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        raise ParameterError(f"vectors must be finite; row {bad[0]} is not ({len(bad)} rows in all).")
    return vectors


def _principal_plane(points: np.ndarray) -> np.ndarray:
    """Coordinates on the two strongest principal components, float32 (N, 2), signs fixed; zeros where none."""
    plane = np.zeros((len(points), 2), dtype=np.float32)
    if len(points) < 2 or points.shape[1] == 0:
        return plane
    centred = points.astype(np.float64) - points.mean(axis=0, dtype=np.float64)
    n, dim = centred.shape
    # The smaller of the two Gram matrices has the same spectrum.
    if dim <= n:
        _, axes = np.linalg.eigh(centred.T @ centred)
        places = centred @ axes[:, ::-1][:, :2]
    else:
        values, axes = np.linalg.eigh(centred @ centred.T)
        places = (axes * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :2]
    largest = places[np.abs(places).argmax(axis=0), np.arange(places.shape[1])]
    plane[:, : places.shape[1]] = places * np.where(largest < 0, -1.0, 1.0)
    return plane


def _has_extent(places: np.ndarray) -> bool:
    """Whether an earlier map has two points at different places; otherwise there is nothing to go on from."""
    known = np.asarray(places)[~np.isnan(places).any(axis=1)]
    return len(known) > 0 and bool(np.ptp(known, axis=0).any())


def _with_new_points(places: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """The places with each NaN row put at the mean of its nearest points that have one, else of all."""
    is_new = np.isnan(places).any(axis=1)
    near = places[indices[is_new]]
    has_place = ~is_new[indices[is_new]]
    count = has_place.sum(axis=1, keepdims=True)
    sums = np.where(has_place[:, :, None], near, 0.0).sum(axis=1)
    filled = places.copy()
    filled[is_new] = np.where(count > 0, sums / np.maximum(count, 1), places[~is_new].mean(axis=0))
    return filled


def _jittered(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The places with a ten-thousandth of noise: points on one spot could never part."""
    extent = float(np.ptp(places, axis=0).max()) or 1.0
    return (places + rng.normal(scale=1e-4 * extent, size=places.shape)).astype(np.float32)


def _unit_box(places: np.ndarray) -> np.ndarray:
    """The places with each axis stretched to 0..10, where UMAP's learning rate is at home."""
    low = places.min(axis=0)
    return 10.0 * (places - low) / (places.max(axis=0) - low)
