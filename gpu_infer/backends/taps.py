"""Resampling by a weighted sum of neighbours along one axis: cubic splines, and other axes of the same pass.

A cubic spline through samples in[i] has the value Σ in[i]·g(t − i) at t. g is the cardinal cubic spline: the
prefilter, whose response is √3·z^|d| with z = √3 − 2 (Unser, Aldroubi and Eden, 1993), and the four taps of the
B-spline in one. It falls by |z| ≈ 0.27 per sample, so that 24 taps suffice for float32, and no axis needs a recursion.
Samples before the first and after the last repeat those, as in `scipy.ndimage.zoom(order=3, mode="nearest")`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.resampling import coordinates
from gpu_infer.backends.tables import AxisTable

CUBIC_TAPS = 24
"""Samples that a value of a cubic spline depends on; what is left out has 3e-7 of the weight."""

_REACH = CUBIC_TAPS // 2

SLAB_BYTES = 16 << 20
"""Of what lies between the first two axes of a resampling."""

_PIECE = 4096
"""Entries of a table that are computed at a time: a grid that is too large is refused only after its tables."""

Entries = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
"""first, count and weights of a part of a `TapTable`."""


@dataclass(frozen=True, eq=False)
class TapTable:
    """Resampling along one axis: out[o] = Σ weights[o, k]·in[first[o] + k] for k < count[o].

    first    int32 [n_out]
    count    int32 [n_out], at least 1; first + count is at most n_in
    weights  float32 [n_out, taps]; 0 from count on

    A copy of one sample has a count of 1: infinite or NaN neighbours that have no part in it cannot leak in as 0 · inf.
    """

    first: NDArray[np.int32]
    count: NDArray[np.int32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.first.shape[0])

    def is_identity(self, n_in: int) -> bool:
        """True if every output is the input at the same index."""
        copies = len(self) == n_in and bool((self.count == 1).all() and (self.weights[:, 0] == 1.0).all())
        return copies and bool(np.array_equal(self.first, np.arange(n_in)))

    def part(self, start: int, size: int) -> TapTable:
        """`size` entries from `start` on."""
        entries = slice(start, start + size)
        return TapTable(self.first[entries], self.count[entries], self.weights[entries])

    def moved(self, by: int) -> TapTable:
        """The same for samples whose indices are larger by `by`."""
        return TapTable(self.first + np.int32(by), self.count, self.weights)


TapTables = tuple[TapTable, TapTable, TapTable]
"""The tables of X, Y and Z."""


def cubic_table(n_in: int, n_out: int, align_corners: bool = True, step: float | None = None) -> TapTable:
    """The cubic spline through the samples; order 3 of `scipy.ndimage.zoom`. Arguments as in `linear_table`.

    Raises ValueError if n_in or n_out is less than 1.
    """
    position = coordinates(n_in, n_out, align_corners, step)
    parts = [_cubic_part(n_in, position[begin : begin + _PIECE]) for begin in range(0, n_out, _PIECE)]
    first, count, weights = (np.concatenate(entries) for entries in zip(*parts, strict=True))
    return TapTable(first, count, weights)


def _cubic_part(n_in: int, position: NDArray[np.float64]) -> Entries:
    lower = np.floor(position).astype(np.int64)
    f = (position - lower)[:, None]
    spline = np.concatenate([(1 - f) ** 3, 4 - 6 * f**2 + 3 * f**3, 1 + 3 * f + 3 * f**2 - 3 * f**3, f**3], axis=1) / 6
    distances = np.arange(1 - _REACH, 1 + _REACH)[:, None] - np.arange(-1, 3)
    cardinal = spline @ (math.sqrt(3) * (math.sqrt(3) - 2) ** np.abs(distances)).T
    cardinal /= cardinal.sum(axis=1, keepdims=True)
    cardinal[f[:, 0] == 0.0] = np.arange(1 - _REACH, 1 + _REACH) == 0  # a sample: 1e-17 of others would be a tap each
    return _clamped(n_in, lower + 1 - _REACH, cardinal)


def tap_table(table: AxisTable) -> TapTable:
    """A table of two neighbours, for an axis of a pass that others need more of."""
    first = np.minimum(table.lower, table.upper)
    apart = table.upper != table.lower
    weights = np.stack([1.0 - table.weight, table.weight], axis=1).astype(np.float32)
    return TapTable(first, np.where(apart, 2, 1).astype(np.int32), weights[:, : 2 if apart.any() else 1])


def _clamped(n_in: int, begin: NDArray[np.int64], weights: NDArray[np.float64]) -> Entries:
    """The entries of weights [n_out, taps] for samples from `begin` on; those outside count for the nearest inside."""
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
    return (first + low).astype(np.int32), count.astype(np.int32), rolled.astype(np.float32)


def pass_order(in_shape: tuple[int, ...], tables: TapTables) -> list[int]:
    """The axes that change, in the order in which they are resampled: the one that shrinks most first.

    It depends on shapes alone: both backends round alike, and the bytes between passes can be planned.
    """
    axes = [a for a in range(3) if not tables[a].is_identity(in_shape[a])]
    return sorted(axes, key=lambda a: (len(tables[a]) / in_shape[a], a))


def resampled_shape(shape: Sequence[int], tables: TapTables, axes: Sequence[int]) -> tuple[int, ...]:
    """(X, Y, Z) after the passes along `axes`."""
    return tuple(len(tables[a]) if a in axes else n for a, n in enumerate(shape))


def slab_rows(shape: Sequence[int], axis: int) -> int:
    """Rows along `axis` of a slab of float32 of `shape` (X, Y, Z) that is not larger than `SLAB_BYTES`, at least 1."""
    return max(1, min(shape[axis], SLAB_BYTES // max(1, _row_bytes(shape, axis))))


def band_rows(shape: Sequence[int], axis: int, table: TapTable) -> int:
    """Rows along `axis` of the buffer between the second and the third pass, of float32 of `shape` (X, Y, Z).

    Six times the samples of one output at least, so that few rows are moved from band to band.
    """
    return min(shape[axis], max(6 * int(table.count.max()), slab_rows(shape, axis)))


def bands(table: TapTable, rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, stop, low, high): outputs start … stop − 1 read samples low … high − 1, at most `rows`.

    `rows` is at least the samples of one output. The indices in `table` rise.
    """
    first, last = table.first.astype(np.int64), table.first.astype(np.int64) + table.count
    start = 0
    while start < len(table):
        low = int(first[start:].min())
        reach = np.maximum.accumulate(last[start:])
        stop = start + max(1, int(np.searchsorted(reach, low + rows, side="right")))
        yield start, stop, low, int(reach[stop - start - 1])
        start = stop


def scratch_bytes(in_shape: tuple[int, ...], tables: TapTables) -> int:
    """Most bytes that `Backend.resample_taps` allocates at a time for an input of (X, Y, Z): float32, one channel."""
    axes = pass_order(in_shape, tables)
    if len(axes) < 2:
        return 0
    across = 3 - axes[0] - axes[1]
    between = resampled_shape(in_shape, tables, axes[:1])
    slab = _row_bytes(between, across) * slab_rows(between, across)
    if len(axes) == 2:
        return slab
    buffer = resampled_shape(in_shape, tables, axes[:2])
    return slab + _row_bytes(buffer, across) * band_rows(buffer, across, tables[across])


def _row_bytes(shape: Sequence[int], axis: int) -> int:
    return 4 * math.prod(shape) // max(1, shape[axis])
