"""Builders of `TapTable`: cubic splines, a Gaussian before the interpolation, and other axes of the same pass.

A cubic spline through samples in[i] has the value Σ in[i]·g(t − i) at t. g is the cardinal cubic spline: the
prefilter, whose response is √3·z^|d| with z = √3 − 2 (Unser, Aldroubi and Eden, 1993), and the four taps of the
B-spline in one. It falls by |z| ≈ 0.27 per sample, so that 24 taps suffice for float32, and no axis needs a recursion.
Samples before the first and after the last repeat those, as in `scipy.ndimage.zoom(order=3, mode="nearest")`.

A Gaussian of `sigma` samples before the interpolation is one more factor of the same table: the weights of the
interpolation, convolved with it. The smoothed samples are repeated at the ends by the interpolation, and the samples
themselves by the Gaussian: `skimage.transform.resize(mode="edge", anti_aliasing=True)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.resampling import Step, coordinates
from gpu_infer.backends.tables import AxisTable
from gpu_infer.backends.taps import TapTable

CUBIC_TAPS = 24
"""Samples that a value of a cubic spline depends on; what is left out has 3e-7 of the weight."""

_REACH = CUBIC_TAPS // 2

_TRUNCATE = 4.0
"""Standard deviations after which a Gaussian ends, as in `scipy.ndimage.gaussian_filter`."""

_PIECE = 4096 * CUBIC_TAPS
"""Weights of a table that are computed at a time: a grid that is too large is refused only after its tables."""

Weights = tuple[NDArray[np.int64], NDArray[np.float64]]
"""First sample [n_out] and weights [n_out, taps] of some outputs; samples can be outside of the axis."""


def cubic_table(
    n_in: int, n_out: int, align_corners: bool = True, step: Step | None = None, sigma: float = 0.0
) -> TapTable:
    """The cubic spline through the samples; order 3 of `scipy.ndimage.zoom`. Arguments as in `linear_table`.

    `sigma` is that of a Gaussian before the interpolation, in samples of the input. Raises ValueError if n_in or
    n_out is less than 1.
    """
    return _table(n_in, coordinates(n_in, n_out, align_corners, step), _cubic_weights, sigma)


def smooth_linear_table(n_in: int, n_out: int, align_corners: bool, step: Step | None, sigma: float) -> TapTable:
    """Linear interpolation after a Gaussian of `sigma` samples of the input. Other arguments as in `linear_table`."""
    position = np.clip(coordinates(n_in, n_out, align_corners, step), 0.0, n_in - 1.0)
    return _table(n_in, position, _linear_weights, sigma)


def tap_table(table: AxisTable) -> TapTable:
    """A table of two neighbours, for an axis of a pass that others need more of."""
    first = np.minimum(table.lower, table.upper)
    apart = table.upper != table.lower
    weights = np.stack([1.0 - table.weight, table.weight], axis=1).astype(np.float32)
    return TapTable(first, np.where(apart, 2, 1).astype(np.int32), weights[:, : 2 if apart.any() else 1])


def _table(
    n_in: int, position: NDArray[np.float64], weights_at: Callable[[NDArray[np.float64]], Weights], sigma: float
) -> TapTable:
    gaussian = _gaussian(sigma)
    size = max(1, _PIECE // (CUBIC_TAPS + len(gaussian) - 1))
    parts = []
    for begin in range(0, len(position), size):
        first, count, weights = _clamped(n_in, *weights_at(position[begin : begin + size]))
        if len(gaussian) > 1:
            first, count, weights = _clamped(n_in, first - len(gaussian) // 2, _convolved(weights, gaussian))
        parts.append(TapTable(first.astype(np.int32), count.astype(np.int32), weights.astype(np.float32)))
    return TapTable(
        np.concatenate([part.first for part in parts]),
        np.concatenate([part.count for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


def _cubic_weights(position: NDArray[np.float64]) -> Weights:
    lower = np.floor(position).astype(np.int64)
    f = (position - lower)[:, None]
    spline = np.concatenate([(1 - f) ** 3, 4 - 6 * f**2 + 3 * f**3, 1 + 3 * f + 3 * f**2 - 3 * f**3, f**3], axis=1) / 6
    distances = np.arange(1 - _REACH, 1 + _REACH)[:, None] - np.arange(-1, 3)
    cardinal = spline @ (math.sqrt(3) * (math.sqrt(3) - 2) ** np.abs(distances)).T
    cardinal /= cardinal.sum(axis=1, keepdims=True)
    cardinal[f[:, 0] == 0.0] = np.arange(1 - _REACH, 1 + _REACH) == 0  # a sample: 1e-17 of others would be a tap each
    return lower + 1 - _REACH, cardinal


def _linear_weights(position: NDArray[np.float64]) -> Weights:
    lower = np.floor(position).astype(np.int64)
    f = position - lower
    return lower, np.stack([1.0 - f, f], axis=1)


def gaussian_radius(sigma: float) -> int:
    """Samples on each side that a Gaussian of `sigma` samples reads; 0 if it changes nothing."""
    return int(_TRUNCATE * sigma + 0.5)


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """The weights of `scipy.ndimage.gaussian_filter1d`: 1 + 2 · `gaussian_radius`."""
    radius = gaussian_radius(sigma)
    if radius == 0:
        return np.ones(1)
    weights = np.exp(np.arange(-radius, radius + 1, dtype=np.float64) ** 2 * (-0.5 / (sigma * sigma)))
    return np.asarray(weights / weights.sum())


def _convolved(weights: NDArray[np.float64], gaussian: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row of [n, taps] convolved with the Gaussian: [n, taps + len(gaussian) − 1]."""
    taps, size = weights.shape[1], len(gaussian)
    result = np.zeros((len(weights), taps + size - 1))
    for tap in range(taps):
        result[:, tap : tap + size] += weights[:, tap : tap + 1] * gaussian
    return result


def _clamped(
    n_in: int, begin: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """first, count and weights of a `TapTable`; samples outside of the axis count for the nearest inside."""
    taps = weights.shape[1]
    most = min(taps, n_in)
    first = np.clip(begin, 0, n_in - most)
    places = np.clip(begin[:, None] + np.arange(taps), 0, n_in - 1) - first[:, None]
    window = np.zeros((len(begin), most))
    np.add.at(window, (np.arange(len(begin))[:, None], places), weights)
    used = window.astype(np.float32) != 0
    low, high = used.argmax(axis=1), most - used[:, ::-1].argmax(axis=1)
    rolled = np.take_along_axis(window, np.minimum(low[:, None] + np.arange(most), most - 1), axis=1)
    count = high - low
    rolled[np.arange(most) >= count[:, None]] = 0.0
    return first + low, count, rolled
