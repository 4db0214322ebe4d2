"""Maps: reproducible, safe at the edges and between threads, aligned over checkpoints."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from core.errors import ParameterError
from core.project import umap_map
from core.project.align import align
from core.project.knn import knn, normalised
from core.project.umap_map import fidelity, layout, layout_note, warm, warm_in_background

ROOT = Path(__file__).resolve().parents[1]


def clusters(n: int, n_clusters: int = 6, dim: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    of = rng.integers(0, n_clusters, n)
    centres = rng.normal(size=(n_clusters, dim)) * 3
    return (centres[of] + rng.normal(scale=0.5, size=(n, dim))).astype(np.float32), of


@pytest.fixture(scope="module", autouse=True)
def _warmed():
    warm()  # compile once, outside the tests' own time


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_same_seed_same_bytes_and_clusters_stay_together(metric):
    vectors, of = clusters(200)
    before = vectors.copy()
    first = layout(vectors, metric=metric, seed=3)
    assert first.dtype == np.float32 and first.shape == (200, 2) and np.isfinite(first).all()
    assert first.tobytes() == layout(vectors, metric=metric, seed=3).tobytes()
    assert first.tobytes() != layout(vectors, metric=metric, seed=4).tobytes()
    np.testing.assert_array_equal(vectors, before)
    distances = np.linalg.norm(first[:, None] - first[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert np.mean(of[distances.argmin(axis=1)] == of) > 0.98


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_fresh_map_is_umap_learns_own(metric, monkeypatch):
    from umap import UMAP

    starts = []
    stretch = umap_map._unit_box
    monkeypatch.setattr(umap_map, "_unit_box", lambda places: (starts.append(places), stretch(places))[1])
    vectors, _ = clusters(120)
    ours = layout(vectors, metric=metric, n_neighbors=9, min_dist=0.3, seed=5, n_epochs=60)
    points = normalised(vectors) if metric == "cosine" else vectors
    peer = UMAP(
        n_neighbors=9, min_dist=0.3, metric=metric, init=starts[0], n_epochs=60, random_state=5, n_jobs=1,
        precomputed_knn=knn(points, 9, metric),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peer.fit_transform(points)
    assert ours.tobytes() == theirs.tobytes()


@pytest.mark.slow
def test_same_bytes_in_another_process():
    code = (
        "import numpy as np, hashlib; from core.project.umap_map import layout;"
        "v = np.random.default_rng(0).normal(size=(60, 5));"
        "print(hashlib.sha256(layout(v, n_epochs=20).tobytes()).hexdigest())"
    )
    vectors = np.random.default_rng(0).normal(size=(60, 5))
    here = hashlib.sha256(layout(vectors, n_epochs=20).tobytes()).hexdigest()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == here, done.stderr


@pytest.mark.parametrize("n", [0, 1, 2, 4])
def test_few_points_get_the_principal_plane_and_a_note(n):
    vectors = np.random.default_rng(n).normal(size=(n, 7))
    found = layout(vectors, metric="euclidean")
    assert found.shape == (n, 2) and found.dtype == np.float32
    assert str(n) in layout_note(n)
    if n >= 2:
        centred = vectors - vectors.mean(axis=0)
        _, strengths, _ = np.linalg.svd(centred)
        expected = np.r_[strengths, 0][:2] ** 2
        np.testing.assert_allclose((found.astype(float) ** 2).sum(axis=0), expected, atol=1e-4)


@pytest.mark.parametrize("n", [5, 6, 15])
def test_neighbours_are_cut_to_the_points(n):
    found = layout(clusters(n)[0], n_neighbors=15, n_epochs=20)
    assert found.shape == (n, 2) and np.isfinite(found).all()
    assert bool(layout_note(n)) == (n < 15)


@pytest.mark.parametrize(
    "vectors",
    [
        np.zeros((12, 4)),
        np.ones((30, 1)),
        np.r_[np.zeros((3, 6)), np.eye(6), np.eye(6)],
        np.r_[np.ones((10, 3)), -np.ones((1, 3))],  # the one opposite point has no neighbour nearer than 2
        np.r_[np.full((9, 3), 1e-30), np.full((9, 3), 1e15)],
    ],
    ids=["zeros", "one value", "zeros and duplicates", "opposite", "extreme lengths"],
)
def test_degenerate_vectors_have_finite_places(vectors):
    found = layout(vectors, n_epochs=20)
    assert np.isfinite(found).all()
    start = np.where(np.arange(len(vectors))[:, None] % 2, np.nan, 0.0) * np.ones((1, 2))
    assert np.isfinite(layout(vectors, n_epochs=20, init=start)).all()


def test_threads_take_turns_and_agree():
    cases = [clusters(60, seed=seed)[0] for seed in range(4)]
    alone = [layout(case, n_epochs=30).tobytes() for case in cases]
    together: dict[int, bytes] = {}

    def work(index: int) -> None:
        together[index] = layout(cases[index], n_epochs=30).tobytes()

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [together[index] for index in range(4)] == alone


def test_a_fit_waits_for_the_lock():
    done = threading.Event()
    thread = threading.Thread(target=lambda: (layout(clusters(20)[0], n_epochs=2), done.set()))
    with umap_map._fit_lock:
        thread.start()
        assert not done.wait(0.3)
    assert done.wait(30)
    thread.join(30)


def test_warming_in_the_background_starts_one_thread():
    threads = {warm_in_background() for _ in range(5)}
    assert len(threads) == 1
    threads.pop().join(60)
    assert umap_map.is_warm()


def test_from_an_earlier_map_points_stay_near_their_places():
    vectors, _ = clusters(300)
    earlier = layout(vectors, seed=0)
    later_vectors = vectors + np.random.default_rng(1).normal(scale=0.1, size=vectors.shape)
    later = layout(later_vectors, init=earlier, seed=1)
    unrelated = align(layout(later_vectors, seed=1), earlier)
    moved, moved_unrelated = (np.median(np.linalg.norm(other - earlier, axis=1)) for other in (later, unrelated))
    assert moved < 0.5 * moved_unrelated
    assert moved < 0.2 * earlier.std()
    assert fidelity(later_vectors, later) > 0.9 * fidelity(later_vectors, unrelated)


def test_new_points_start_among_their_neighbours():
    vectors, of = clusters(300)
    earlier = layout(vectors, seed=0)
    holed = earlier.copy()
    is_new = np.arange(300) % 10 == 0
    holed[is_new] = np.nan
    later = layout(vectors, init=holed, seed=1)
    assert np.isfinite(later).all()
    for cluster in range(6):
        centre = earlier[of == cluster].mean(axis=0)
        distance = np.linalg.norm(later[is_new & (of == cluster)] - centre, axis=1)
        assert distance.max() < np.ptp(earlier, axis=0).max() / 3
    np.testing.assert_array_equal(layout(vectors, init=np.full((300, 2), np.nan)), earlier)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"metric": "dot"}, "metric"), ({"n_neighbors": 1}, "n_neighbors"), ({"min_dist": 1.5}, "min_dist")],
)
def test_bad_parameters_are_refused(arguments, named):
    with pytest.raises(ParameterError, match=named):
        layout(clusters(20)[0], **arguments)


def test_bad_vectors_are_refused():
    vectors = clusters(20)[0]
    vectors[7, 2] = np.nan
    with pytest.raises(ParameterError, match="row 7"):
        layout(vectors)
    with pytest.raises(ValueError, match="init"):
        layout(clusters(20)[0], init=np.zeros((19, 2)))


def test_align_undoes_turning_mirroring_scaling_and_shifting():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(50, 2))
    for angle, mirror in [(0.3, 1), (2.5, -1), (-1.1, 1)]:
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        b = (a * [1, mirror]) @ turn * 3.7 + [5, -8]
        np.testing.assert_allclose(align(b, a), a, atol=1e-5)
        holed = a.copy()
        holed[::5] = np.nan
        np.testing.assert_allclose(align(b, holed), a, atol=1e-5)


def test_align_is_the_best_similarity_transform():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    best = ((align(b, a) - a) ** 2).sum()
    for _ in range(300):
        angle, scale, mirror = rng.uniform(0, 7), rng.uniform(0, 2), rng.choice([1, -1])
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        other = (b * [1, mirror]) @ turn * scale
        other += a.mean(axis=0) - other.mean(axis=0)
        assert ((other - a) ** 2).sum() >= best - 1e-6
    np.testing.assert_allclose(align(np.ones((3, 2)), a[:3]), np.tile(a[:3].mean(axis=0), (3, 1)), atol=1e-6)
    np.testing.assert_array_equal(align(b, np.full((30, 2), np.nan)), b.astype(np.float32))


def test_importing_the_map_does_not_load_umap():
    code = "import sys, core.project.umap_map; print({'umap', 'numba', 'sklearn', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "set()", done.stderr
