"""Gaussian importance maps, of which the last one stays in memory: calls of a series mostly have the same window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian

MOST_KEPT = 16 << 20
"""Bytes of the largest map that stays in memory: a window of 160×160×160."""


def gaussian_map(grid: str, roi: Sequence[int], sigma_scale: Sequence[float], *, shared: bool) -> NDArray[np.float32]:
    """float32 [*roi] of `grid` (monai or nnunet); read-only if `shared`, which allows an earlier map of these settings.

    sigma_scale  σ as part of the roi, per axis
    """
    settings = grid, tuple(roi), tuple(sigma_scale)
    if shared and math.prod(roi) * np.float32().itemsize <= MOST_KEPT:
        return _kept(*settings)
    return _map(*settings)


def _map(grid: str, roi: tuple[int, ...], sigma_scale: tuple[float, ...]) -> NDArray[np.float32]:
    return (nnunet_gaussian if grid == "nnunet" else monai_gaussian)(roi, sigma_scale)


@lru_cache(maxsize=1)
def _kept(grid: str, roi: tuple[int, ...], sigma_scale: tuple[float, ...]) -> NDArray[np.float32]:
    """Calls in other threads may use the map at the same time: it is read-only."""
    values = _map(grid, roi, sigma_scale)
    values.flags.writeable = False
    return values
