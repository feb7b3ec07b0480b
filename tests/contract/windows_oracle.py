"""Gathering and blending by plain NumPy loops, and rolling sums seen as a whole grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend, RollingSums


def random(shape: tuple[int, ...], dtype: Any = np.float32, seed: int = 0) -> NDArray[Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def gathered(volume: NDArray[Any], start: tuple[int, ...], roi: tuple[int, ...], fill: float | None) -> NDArray[Any]:
    """The window out of a volume padded by more than it can hang over; fill None repeats the edge."""
    margin = max(max(abs(s) + r for s, r in zip(start, roi, strict=True)), *volume.shape[1:])
    around = ((0, 0), *((margin, margin),) * 3)
    padded = np.pad(volume, around, mode="edge") if fill is None else np.pad(volume, around, constant_values=fill)
    x, y, z = (slice(margin + s, margin + s + r) for s, r in zip(start, roi, strict=True))
    return padded[:, x, y, z]


def blended(
    shape: tuple[int, ...],
    slot: NDArray[Any],
    starts: list[tuple[int, int, int]],
    repeats: list[int],
    importance: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """float32 [K, X, Y, Z] by a loop over voxels of each window, in order."""
    sums = np.zeros((slot.shape[1], *shape), np.float32)
    for n, start in enumerate(starts):
        for index in np.ndindex(*slot.shape[2:]):
            x, y, z = (s + i for s, i in zip(start, index, strict=True))
            if 0 <= x < shape[0] and 0 <= y < shape[1] and 0 <= z < shape[2]:
                weight = np.float32(repeats[n]) * (np.float32(1) if importance is None else importance[index])
                sums[:, x, y, z] += weight * slot[(n, slice(None), *index)].astype(np.float32)
    return sums


def unrolled(backend: Backend, ring: RollingSums) -> NDArray[np.float32]:
    """The ring seen as the whole grid; rows that share a place show the same sum."""
    sums = backend.download(ring.sums)
    x, y, z = (np.arange(n) % h for n, h in zip(ring.shape, sums.shape[1:], strict=True))
    return sums[np.ix_(np.arange(sums.shape[0]), x, y, z)]


def full_ring(backend: Backend, channels: int, shape: tuple[int, int, int]) -> RollingSums:
    return RollingSums(backend.zeros((channels, *shape), np.float32), shape)
