"""Masks: voxels above a value, label ids, and the planes along the axes that contain such voxels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.tables import float32
from gpu_infer.backends.types import Array, OccupiedPlanes, TwinArray

LabelTable = NDArray[np.uint8] | NDArray[np.uint16]


class MaskOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def threshold(self, source: Array, out: Array, value: float | None) -> None:
        """out = 1 if source > value, else 0; NaN gives 0. Without a value, 1 if source is not 0, which NaN is not.

        Compared in float32 if that holds every number of the source's dtype, else in float64, as NumPy compares with a
        float32 scalar.

        Args:
            source: [C, X, Y, Z] of any dtype that `resample` reads.
            out: The same shape, any integer or float dtype.
            value: Rounded to float32; None: every number but 0 counts.

        Raises:
            ValueError: If shapes or dtypes do not agree.
        """
        _check_threshold(source, out)
        if out.size:
            self._threshold(source, out, None if value is None else float32(value))

    def lookup(self, labels: Array, table: LabelTable, out: Array) -> None:
        """out = table[labels].

        Args:
            labels: [C, X, Y, Z] uint8 or uint16.
            table: On the host, one entry per number that the labels' dtype holds: [256] or [65536]; uint8 or uint16.
            out: The same shape, of the table's dtype.

        Raises:
            ValueError: If shapes or dtypes do not agree.
        """
        _check_lookup(labels, table, out)
        if out.size:
            self._lookup(labels, table, out)

    def overlay(self, labels: Array, table: LabelTable, out: Array) -> None:
        """out = table[labels] if that is not 0, else out as it is.

        Args:
            labels: [C, X, Y, Z] uint8 or uint16.
            table: As for `lookup`.
            out: The same shape, of the table's dtype.

        Raises:
            ValueError: If shapes or dtypes do not agree.
        """
        _check_lookup(labels, table, out)
        if out.size:
            self._overlay(labels, table, out)

    def merge_masks(self, masks: Array, values: Sequence[int], out: Array, *, over: bool = False) -> None:
        """out[x, y, z] = the value of the last channel whose mask is not 0 there, else 0.

        Args:
            masks: [C, X, Y, Z] uint8 or uint16, any strides.
            values: One label per channel.
            out: [X, Y, Z] uint8 or uint16, any strides.
            over: Voxels without a mask do not change.

        Raises:
            ValueError: If shapes, dtypes or the number of values do not agree, or a value does not fit `out`.
        """
        _check_merge(masks, values, out)
        if out.size:
            self._merge_masks(masks, np.array(values, np.uint16), out, over)

    def repaint(self, mask: Array, label: int, labels: Array) -> None:
        """Give `label` the voxels of a mask, in place; of the others only background changes.

        labels = label if mask is not 0 and labels is 0; 0 if mask is 0 and labels is label; else labels.

        Args:
            mask: [X, Y, Z] uint8, any strides; another array than `labels`.
            label: At least 1.
            labels: [X, Y, Z] uint8 or uint16, any strides.

        Raises:
            ValueError: If shapes or dtypes do not agree, or the label does not fit `labels`.
        """
        _check_repaint(mask, label, labels)
        if labels.size:
            self._repaint(mask, label, labels)

    def occupied_planes(self, array: Array, value: float | None) -> OccupiedPlanes:
        """Which indices along X, Y and Z have a voxel > value in any channel; compared as in `threshold`, also None.

        Not asynchronous.

        Args:
            array: [C, X, Y, Z] of any dtype that `resample` reads.
            value: Rounded to float32; None: every number but 0 counts.

        Raises:
            ValueError: If the array is not [C, X, Y, Z] of real numbers.
        """
        _check_occupied_planes(array)
        if array.size:
            return self._occupied_planes(array, None if value is None else float32(value))
        x, y, z = (np.zeros(n, np.bool_) for n in array.shape[1:])
        return x, y, z

    @abstractmethod
    def _threshold(self, source: TwinArray, out: TwinArray, value: np.float32 | None) -> None:
        """`threshold` of arrays that are not empty."""

    @abstractmethod
    def _lookup(self, labels: TwinArray, table: LabelTable, out: TwinArray) -> None:
        """`lookup` of arrays that are not empty."""

    @abstractmethod
    def _overlay(self, labels: TwinArray, table: LabelTable, out: TwinArray) -> None:
        """`overlay` of arrays that are not empty."""

    @abstractmethod
    def _merge_masks(self, masks: TwinArray, values: NDArray[np.uint16], out: TwinArray, over: bool) -> None:
        """`merge_masks` of arrays that are not empty."""

    @abstractmethod
    def _repaint(self, mask: TwinArray, label: int, labels: TwinArray) -> None:
        """`repaint` of arrays that are not empty."""

    @abstractmethod
    def _occupied_planes(self, array: TwinArray, value: np.float32 | None) -> OccupiedPlanes:
        """`occupied_planes` of an array that is not empty."""


# Kernels index without bounds checks: these functions keep a caller's mistake away from foreign memory.
def _check_threshold(source: Array, out: Array) -> None:
    """source [C, X, Y, Z] of real numbers, out of the same shape, of integers or floats."""
    if source.ndim != 4 or source.shape != out.shape:
        raise ValueError(f"threshold takes [C, X, Y, Z] twice, found {source.shape} and {out.shape}")
    if not (dtypes.is_real(source.dtype) and dtypes.is_real(out.dtype)):
        raise ValueError(f"threshold takes integers and floats of up to 8 bytes, found {source.dtype} and {out.dtype}")


def _check_lookup(labels: Array, table: LabelTable, out: Array) -> None:
    """labels [C, X, Y, Z] uint8 or uint16, a table with an entry for all of them, out of the table's dtype."""
    if labels.ndim != 4 or labels.shape != out.shape:
        raise ValueError(f"lookup takes [C, X, Y, Z] twice, found {labels.shape} and {out.shape}")
    if labels.dtype not in dtypes.LABELS:
        raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
    entries = 1 << 8 * labels.dtype.itemsize
    if table.shape != (entries,) or table.dtype not in dtypes.LABELS or out.dtype != table.dtype:
        raise ValueError(
            f"lookup takes a table of {entries} uint8 or uint16 and writes its dtype, "
            f"found {table.dtype} {table.shape} and {out.dtype}"
        )


def _check_merge(masks: Array, values: Sequence[int], out: Array) -> None:
    """masks [C, X, Y, Z], a value for each that fits out [X, Y, Z]."""
    if masks.ndim != 4 or masks.shape[1:] != out.shape:
        raise ValueError(f"merge_masks takes [C, X, Y, Z] and [X, Y, Z], found {masks.shape} and {out.shape}")
    for array in (masks, out):
        if array.dtype not in dtypes.LABELS:
            raise ValueError(f"masks and labels must be uint8 or uint16, found {array.dtype}")
    most = int(np.iinfo(out.dtype).max)
    if len(values) != masks.shape[0] or not values or not all(0 <= value <= most for value in values):
        raise ValueError(f"expected {masks.shape[0]} values of 0 … {most}, found {list(values)}")


def _check_repaint(mask: Array, label: int, labels: Array) -> None:
    """mask uint8 [X, Y, Z], labels of the same shape, which hold the label."""
    if mask.ndim != 3 or mask.shape != labels.shape:
        raise ValueError(f"repaint takes [X, Y, Z] twice, found {mask.shape} and {labels.shape}")
    if mask.dtype != np.uint8 or labels.dtype not in dtypes.LABELS:
        raise ValueError(
            f"repaint takes a mask of uint8 and labels of uint8 or uint16, found {mask.dtype} and {labels.dtype}"
        )
    if not 1 <= label <= np.iinfo(labels.dtype).max:
        raise ValueError(f"label {label} is none of {labels.dtype}")


def _check_occupied_planes(array: Array) -> None:
    """[C, X, Y, Z] of real numbers."""
    if array.ndim != 4 or not dtypes.is_real(array.dtype):
        raise ValueError(f"an extent is that of real [C, X, Y, Z] of up to 8 bytes, found {array.dtype} {array.shape}")
