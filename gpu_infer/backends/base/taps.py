"""Resampling by more neighbours than two per axis, an axis at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends import dtypes
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TapTable, TapTables, pass_order, resampled_shape, slab_rows
from gpu_infer.backends.types import Array, TwinArray

_IDENTITY = ClampedAffine()


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
            self._resample_channel(source[channel], out[channel], tables, axes, (before, after))

    def _resample_channel(
        self,
        source: Array,
        out: Array,
        tables: TapTables,
        axes: Sequence[int],
        functions: tuple[ClampedAffine, ClampedAffine],
    ) -> None:
        """The first two axes a slab at a time, so that only a slab of what lies between them exists."""
        before, after = functions
        if len(axes) == 1:
            self._taps_along(source, out, axes[0], tables[axes[0]], before, after)
            return
        first, second = axes[:2]
        across = 3 - first - second
        shape = resampled_shape(source.shape, tables, axes[:2])
        target, last = (self.empty(shape, np.float32), _IDENTITY) if len(axes) == 3 else (out, after)
        between = list(resampled_shape(source.shape, tables, axes[:1]))
        rows = slab_rows(between, across)
        for begin in range(0, between[across], rows):
            slab: list[slice] = [slice(None)] * 3
            slab[across] = slice(begin, min(begin + rows, between[across]))
            part = source[tuple(slab)]
            piece = self.empty(resampled_shape(part.shape, tables, axes[:1]), np.float32)
            self._taps_along(part, piece, first, tables[first], before, _IDENTITY)
            self._taps_along(piece, target[tuple(slab)], second, tables[second], _IDENTITY, last)
            del piece
        if len(axes) == 3:
            self._taps_along(target, out, across, tables[across], _IDENTITY, after)

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
        table: TapTable,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        """One axis of [X, Y, Z], not empty, to float32 or float16."""


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
