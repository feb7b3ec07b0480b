"""Resampling by more neighbours than two per axis, an axis at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends import dtypes
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TablePart, TapTables, band_rows, bands, pass_order, resampled_shape, slab_rows
from gpu_infer.backends.types import Array, TwinArray

_IDENTITY = ClampedAffine()


class _Passes(NamedTuple):
    """The axes of X, Y, Z to resample, in order, and the functions before the first and after the last of them."""

    tables: TapTables
    axes: Sequence[int]
    before: ClampedAffine
    after: ClampedAffine


class TapOperations(ABC):
    """The public operation of this group, and what a backend implements for it."""

    def resample_taps(
        self, source: Array, out: Array, tables: TapTables, before: ClampedAffine, after: ClampedAffine
    ) -> None:
        """out[c, x, y, z] = after(resample(before(source))), an axis at a time, in the order of `taps.pass_order`.

        What lies between axes is float32, of one channel: `taps.scratch_bytes`. Sums are float32, in the order
        of the samples, so that both backends round alike.

        Args:
            source: [C, X, Y, Z] of int8/16/32/64, uint8/16/32/64, float16/32/64, any signed strides.
            out: [C, X', Y', Z'] float32 or float16.
            tables: One per axis with X', Y', Z' entries.
            before: Function of the stored voxels.
            after: Function of the resampled voxels.

        Raises:
            ValueError: If shapes, dtypes and tables do not agree.
        """
        _check(source, out, tables)
        if out.size == 0:
            return
        axes = pass_order(source.shape[1:], tables)
        if not axes:
            self.resample(source, out, None, before, after)
            return
        for channel in range(source.shape[0]):
            self._resample_axes(source[channel], out[channel], _Passes(tables, axes, before, after))

    def _resample_axes(self, source: Array, out: Array, passes: _Passes) -> None:
        """No array between two axes exists as a whole: the first two take slabs across, the third rows of these."""
        tables, axes, before, after = passes
        if len(axes) == 1:
            self._taps_along(source, out, axes[0], TablePart.whole(tables[axes[0]]), before, after)
        elif len(axes) == 2:
            self._first_two(source, out, passes)
        else:
            self._all_three(source, out, passes)

    def _first_two(self, source: Array, out: Array, passes: _Passes) -> None:
        """A slab at a time, so that only a slab of what lies between the two axes exists."""
        tables, (first, second), before, after = passes
        across = 3 - first - second
        between = resampled_shape(source.shape, tables, (first,))
        rows = slab_rows(between, across)
        for begin in range(0, between[across], rows):
            slab = _rows(across, begin, min(begin + rows, between[across]))
            part = source[slab]
            piece = self.empty(resampled_shape(part.shape, tables, (first,)), np.float32)
            self._taps_along(part, piece, first, TablePart.whole(tables[first]), before, _IDENTITY)
            self._taps_along(piece, out[slab], second, TablePart.whole(tables[second]), _IDENTITY, after)
            del piece

    def _all_three(self, source: Array, out: Array, passes: _Passes) -> None:
        """A band of output rows at a time; the rows that the next band reads, too, stay in the buffer."""
        tables, axes, before, after = passes
        first_two = _Passes(tables, axes[:2], before, _IDENTITY)
        across = axes[2]
        table = tables[across]
        shape = list(resampled_shape(source.shape, tables, axes[:2]))
        shape[across] = band_rows(shape, across, table)
        buffer = self.empty(shape, np.float32)
        base = end = 0  # the rows that are in the buffer, of those between the second and the third axis
        for start, stop, low, high in bands(table, shape[across]):
            if high - base > shape[across]:
                self._move_rows(buffer, across, low - base, end - low)
                base, end = low, max(end, low)
            if high > end:
                new = buffer[_rows(across, end - base, high - base)]
                self._first_two(source[_rows(across, end, high)], new, first_two)
                end = high
            part = TablePart(table, start, stop - start, base)
            rows = out[_rows(across, start, stop)]
            self._taps_along(buffer[_rows(across, 0, end - base)], rows, across, part, _IDENTITY, after)

    def _move_rows(self, buffer: Array, axis: int, begin: int, count: int) -> None:
        """Copy `count` rows from `begin` on to the start, in parts that do not overlap."""
        for at in range(0, count, max(begin, 1)):
            size = min(begin, count - at)
            source, target = (buffer[_rows(axis, n, n + size)][None] for n in (begin + at, at))
            self.resample(source, target, None, _IDENTITY, _IDENTITY)

    @abstractmethod
    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        """See `Backend.empty`."""

    @abstractmethod
    def resample(self, source: Array, out: Array, tables: None, before: ClampedAffine, after: ClampedAffine) -> None:
        """See `PrepareOperations.resample`."""

    @abstractmethod
    def _taps_along(
        self,
        source: TwinArray,
        out: TwinArray,
        axis: int,
        part: TablePart,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        """One axis of [X, Y, Z], not empty, to float32 or float16."""


def _rows(axis: int, begin: int, end: int) -> tuple[slice, ...]:
    """The index of rows along one of three axes."""
    return tuple(slice(begin, end) if a == axis else slice(None) for a in range(3))


def _check(source: Array, out: Array, tables: TapTables) -> None:
    """Kernels index without bounds checks: a caller's mistake must not reach foreign memory."""
    if source.ndim != 4 or out.ndim != 4 or source.shape[0] != out.shape[0]:
        raise ValueError(f"resample_taps takes [C, X, Y, Z] twice with equal C, found {source.shape} and {out.shape}")
    if not dtypes.is_real(source.dtype):
        raise ValueError(f"resample_taps reads integers and floats of up to 8 bytes, found {source.dtype}")
    if out.dtype not in dtypes.MODEL:
        raise ValueError(f"resample_taps writes float32 and float16, found {out.dtype}")
    for axis, (table, n_in, n_out) in enumerate(zip(tables, source.shape[1:], out.shape[1:], strict=True)):
        if not len(table) == len(table.count) == len(table.weights) == n_out:
            raise ValueError(f"axis {axis}: the table has {len(table)} entries, the output {n_out}")
        if not n_out:
            continue
        low, high = int(table.first.min()), int((table.first + table.count).max())
        if low < 0 or high > n_in or table.count.min() < 1 or table.count.max() > table.weights.shape[1]:
            raise ValueError(f"axis {axis}: the table reads {low} … {high - 1} of {n_in} samples")
