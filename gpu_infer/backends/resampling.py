"""Builders of `AxisTable`: the input coordinate of each output index of an axis, in float64 on the host.

With n_in and n_out samples, output index o reads the input coordinate

    align_corners=True     t = o · (n_in − 1) / (n_out − 1)       (end samples coincide; t = o for n_out = 1)
    align_corners=False    t = (o + ½) · n_in / n_out − ½         (outer edges coincide)

clamped to 0 … n_in − 1. These are `scipy.ndimage.zoom`'s coordinates with `grid_mode` False and True
and `mode="nearest"`, in the same floating-point operations, so that order 0 picks the same samples at exact
halves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.tables import AxisTable


def _coordinates(n_in: int, n_out: int, align_corners: bool) -> NDArray[np.float64]:
    """Input coordinate of every output index, float64 [n_out], inside 0 … n_in − 1."""
    if n_in < 1 or n_out < 1:
        raise ValueError(f"an axis of {n_in} samples cannot be resampled to {n_out}: both must be at least 1")
    index = np.arange(n_out, dtype=np.float64)
    if align_corners:
        step = (n_in - 1) / (n_out - 1) if n_out > 1 else 1.0
        coordinates = index * step
    else:
        coordinates = (index + 0.5) * (n_in / n_out) - 0.5
    return np.clip(coordinates, 0.0, n_in - 1.0)


def linear_table(n_in: int, n_out: int, align_corners: bool = True) -> AxisTable:
    """Linear interpolation between the two neighbours of t; order 1 of `scipy.ndimage.zoom`.

    Raises ValueError if n_in or n_out is less than 1.
    """
    coordinates = _coordinates(n_in, n_out, align_corners)
    lower = np.floor(coordinates).astype(np.int32)
    upper = np.minimum(lower + 1, n_in - 1).astype(np.int32)
    weight = (coordinates - lower).astype(np.float32)
    return AxisTable(lower, upper, weight)


def nearest_table(n_in: int, n_out: int, align_corners: bool = True) -> AxisTable:
    """Sample floor(t + ½), halves upwards; order 0 of `scipy.ndimage.zoom`.

    Raises ValueError if n_in or n_out is less than 1.
    """
    coordinates = _coordinates(n_in, n_out, align_corners)
    nearest = np.minimum(np.floor(coordinates + 0.5), n_in - 1).astype(np.int32)
    return AxisTable(nearest, nearest, np.zeros(n_out, dtype=np.float32))


def identity_table(n: int) -> AxisTable:
    """Every output is the input at the same index."""
    return nearest_table(n, n)


def resampled_size(n: int, spacing: float, target: float) -> int:
    """round(n · spacing / target), halves to even, at least 1: samples at `target` mm for n at `spacing` mm.

    Raises ValueError if the target spacing is not a positive number.
    """
    if not target > 0.0:
        raise ValueError(f"target spacing {target} mm is not positive")
    return max(1, round(n * spacing / target))
