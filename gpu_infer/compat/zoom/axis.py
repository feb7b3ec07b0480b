"""Axes of `zoom`: the input coordinate that each output index reads, with SciPy's boundary modes.

With n_in and n_out samples, output index o reads the input coordinate

    grid_mode=False    t = o · (n_in − 1) / (n_out − 1)        (end samples coincide)
    grid_mode=True     t = (o + ½) · n_in / n_out − ½          (outer edges coincide)

in float64, in the same operations as `scipy.ndimage.zoom`; a step of x/0 is 1. Only grid_mode (and rounding) yields
coordinates outside 0 … n_in − 1, by less than one sample; the mode defines the values there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.tables import AxisTable

MODES = ("reflect", "grid-mirror", "constant", "grid-constant", "nearest", "mirror", "grid-wrap", "wrap")


@dataclass(frozen=True)
class ZoomAxis:
    """out[o] = (1 − weight[o])·in[lower[o]] + weight[o]·in[upper[o]], or a constant.

    size          n_in
    lower, upper  int64 [n_out]; −1 and n_in mean the constant (grid-constant only)
    weight        float64 [n_out] in [0, 1)
    outside       bool [n_out]: this output is the constant (mode constant)
    """

    size: int
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    weight: NDArray[np.float64]
    outside: NDArray[np.bool_]

    @property
    def overhangs(self) -> bool:
        """Whether an output interpolates between a sample and the constant, or is the constant."""
        return bool(min(self.lower.min(), self.upper.min()) < 0 or max(self.lower.max(), self.upper.max()) >= self.size)

    @property
    def is_identity(self) -> bool:
        same = len(self.lower) == self.size and not self.weight.any()
        return same and bool((self.lower == np.arange(self.size)).all())

    def shifted(self, by: int) -> ZoomAxis:
        """The same axis over an input with `by` more samples on either side."""
        return ZoomAxis(self.size + 2 * by, self.lower + by, self.upper + by, self.weight, self.outside)

    def table(self) -> AxisTable:
        """The same in float32, for `Backend.resample`."""
        return AxisTable(self.lower.astype(np.int32), self.upper.astype(np.int32), self.weight.astype(np.float32))


def zoom_axis(n_in: int, n_out: int, order: int, mode: str, grid_mode: bool) -> ZoomAxis:
    """The axis of `n_out` samples, at least 1, for order 0 (floor(t + ½)) or 1 (the two neighbours of t)."""
    index = np.arange(n_out, dtype=np.float64)
    step = (n_in - 1) / (n_out - 1) if n_out > 1 else 1.0
    t = (index + 0.5) * (n_in / n_out) - 0.5 if grid_mode else index * step
    outside = (t < 0) | (t > n_in - 1) if mode == "constant" else np.zeros(n_out, dtype=bool)
    t = np.where(outside, 0.0, _folded(t, n_in, mode))
    lower = np.floor(t if order else t + 0.5).astype(np.int64)
    weight = t - lower if order else np.zeros(n_out)
    upper = np.where(weight > 0, lower + 1, lower)
    return ZoomAxis(n_in, _sample(lower, n_in, mode), _sample(upper, n_in, mode), weight, outside)


def _folded(t: NDArray[np.float64], n: int, mode: str) -> NDArray[np.float64]:
    """Coordinates after reflection or wrapping, for modes that do this to coordinates rather than to samples."""
    below, above = t < 0, t > n - 1
    if mode in ("nearest", "grid-constant"):
        return t
    if n == 1:
        return np.zeros_like(t)
    if mode in (
        "reflect",
        "grid-mirror",
    ):  # about the edge, half a sample outside: −¼ equals −¾
        return np.where(below, -1.0 - t, t)
    if mode == "mirror":
        return np.where(below, -t, t)
    if mode == "wrap":  # the last sample equals the first one: a period of n − 1
        return np.where(below, t + (n - 1), np.where(above, t - (n - 1), t))
    if mode == "grid-wrap":
        return np.where(below, t + n, t)
    return t


def _sample(index: NDArray[np.int64], n: int, mode: str) -> NDArray[np.int64]:
    """Indices with samples −1 and n replaced by the mode's rule; `constant` and `wrap` mirror, as their splines do."""
    if mode == "grid-constant":
        return index
    if n == 1:
        return np.zeros_like(index)
    if mode in ("reflect", "grid-mirror", "nearest"):
        return np.clip(index, 0, n - 1)
    if mode == "grid-wrap":
        return index % n
    return np.where(index < 0, -index, np.where(index > n - 1, 2 * (n - 1) - index, index))
