"""Builders of `AxisTable`: the input coordinate of each output index of an axis, in float64 on the host.

With n_in and n_out samples, output index o reads the input coordinate

    align_corners=True     t = o · (n_in − 1) / (n_out − 1)       (end samples coincide; t = o for n_out = 1)
    align_corners=False    t = (o + ½) · n_in / n_out − ½         (outer edges coincide)
    step                   t = step.first + o · step.size         (the spacing is exact)

clamped to 0 … n_in − 1. The first two are `scipy.ndimage.zoom`'s coordinates with `grid_mode` False and True
and `mode="nearest"`, in the same floating-point operations, so that order 0 picks the same samples at exact
halves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.tables import AxisTable


class Step(NamedTuple):
    """Samples along an axis: input samples from one output sample to the next, and the input coordinate of the first
    output sample."""

    size: float
    first: float = 0.0

    def back(self) -> Step:
        """The samples of the input on the output."""
        return Step(1.0 / self.size, -self.first / self.size)


def coordinates(n_in: int, n_out: int, align_corners: bool, step: Step | None = None) -> NDArray[np.float64]:
    """Input coordinate of every output index, float64 [n_out], not clamped.

    Raises ValueError if n_in or n_out is less than 1.
    """
    if n_in < 1 or n_out < 1:
        raise ValueError(f"an axis of {n_in} samples cannot be resampled to {n_out}: both must be at least 1")
    index = np.arange(n_out, dtype=np.float64)
    if step is not None:
        return index * step.size + step.first
    if align_corners:
        return index * ((n_in - 1) / (n_out - 1) if n_out > 1 else 1.0)
    return (index + 0.5) * (n_in / n_out) - 0.5


def _inside(n_in: int, n_out: int, align_corners: bool, step: Step | None) -> NDArray[np.float64]:
    return np.clip(coordinates(n_in, n_out, align_corners, step), 0.0, n_in - 1.0)


def linear_table(n_in: int, n_out: int, align_corners: bool = True, step: Step | None = None) -> AxisTable:
    """Linear interpolation between the two neighbours of t; order 1 of `scipy.ndimage.zoom`.

    Args:
        n_in: Samples of the input.
        n_out: Samples of the output.
        align_corners: Which convention above.
        step: Where the samples are; None: `align_corners` decides.

    Raises:
        ValueError: If n_in or n_out is less than 1.
    """
    position = _inside(n_in, n_out, align_corners, step)
    lower = np.floor(position).astype(np.int32)
    upper = np.minimum(lower + 1, n_in - 1).astype(np.int32)
    weight = (position - lower).astype(np.float32)
    return AxisTable(lower, upper, weight)


def nearest_table(n_in: int, n_out: int, align_corners: bool = True, step: Step | None = None) -> AxisTable:
    """Sample floor(t + ½), halves upwards; order 0 of `scipy.ndimage.zoom`. Arguments as in `linear_table`.

    Raises ValueError if n_in or n_out is less than 1.
    """
    position = _inside(n_in, n_out, align_corners, step)
    nearest = np.minimum(np.floor(position + 0.5), n_in - 1).astype(np.int32)
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
