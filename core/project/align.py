"""Layouts brought into one frame, so that what moves on the screen moved in the model."""

from __future__ import annotations

import numpy as np


def align(layout_b: np.ndarray, layout_a: np.ndarray) -> np.ndarray:
    """Layout b turned, mirrored, scaled and shifted onto layout a, float32 (N, 2).

    Row i is the same point in both, (N, 2) each; rows with a NaN in a (new points) take part in nothing
    but are moved along. Ordinary Procrustes by SVD (Schönemann & Carroll 1970,
    https://doi.org/10.1007/BF02291478): the similarity transform with the least sum of squared distances.
    Distances inside b keep their proportions. Fewer than two shared points: only shifted.
    """
    b = np.asarray(layout_b, dtype=np.float64)
    a = np.asarray(layout_a, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"layouts of one shape are needed; got {b.shape} and {a.shape}")
    is_shared = ~np.isnan(a).any(axis=1)
    if not is_shared.any():
        return b.astype(np.float32)
    centre_a, centre_b = a[is_shared].mean(axis=0), b[is_shared].mean(axis=0)
    shared_a, shared_b = a[is_shared] - centre_a, b[is_shared] - centre_b
    spread = np.sum(shared_b**2)
    if spread == 0 or not np.any(shared_a):
        return (b - centre_b + centre_a).astype(np.float32)
    left, strengths, right = np.linalg.svd(shared_b.T @ shared_a)
    rotation, scale = left @ right, strengths.sum() / spread
    return ((b - centre_b) @ rotation * scale + centre_a).astype(np.float32)
