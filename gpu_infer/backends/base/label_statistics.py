"""Statistics of the stored values under each label of a label map, and the labels' places."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.boxes import Box
from gpu_infer.backends.label_tables import (
    BIN_BITS,
    DIGITS,
    MOST_VOXELS,
    SUM_FIELDS,
    SUM_WIDTH,
    LabelStatistics,
    MiddleKeys,
    Values,
    is_narrow,
    narrow_values,
    wide_values,
)
from gpu_infer.backends.layout import fastest_last
from gpu_infer.backends.types import Array, HostArray, TwinArray


class LabelledSlabs:
    """Labels on the device and values on the host, [I, J, K] with the slowest axis of the values first.

    numbers  by label: n + 1 if its row in the tables is n, else 0
    count    rows of the tables
    """

    def __init__(self, labels: TwinArray, values: HostArray, numbers: NDArray[np.uint16], count: int) -> None:
        self.labels, self.values, self.numbers, self.count = labels, values, numbers, count

    def occupied(self, extents: NDArray[np.int64]) -> LabelledSlabs:
        """The planes that have labels."""
        rows = extents[extents[:, 0] > 0]
        planes = (
            slice(len(self.values) - 1 - int(rows[:, 7].max()), int(rows[:, 4].max()) + 1) if len(rows) else slice(0)
        )
        return LabelledSlabs(self.labels[planes], self.values[planes], self.numbers, self.count)

    def parts(self, nbytes: int) -> Iterator[tuple[int, TwinArray, HostArray]]:
        """(first plane, labels, values): pieces of at most `nbytes` of values, but at least one plane."""
        planes = max(1, nbytes * len(self.values) // max(1, self.values.nbytes))
        for begin in range(0, len(self.values), planes):
            part = slice(begin, begin + planes)
            yield begin, self.labels[part], self.values[part]


class LabelStatisticsOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def label_boxes(self, labels: Array, chosen: Sequence[int]) -> dict[int, Box]:
        """The box around the voxels of each label of `chosen` that occurs, as slices of X, Y, Z. Not asynchronous.

        Args:
            labels: [X, Y, Z] uint8 or uint16.
            chosen: Labels above 0, each once.

        Raises:
            ValueError: If the dtype or the labels do not fit, or for 2³² voxels or more.
        """
        _check_labels(labels, chosen)
        if not labels.size or not chosen:
            return {}
        order = fastest_last(labels)
        turned = labels.transpose(order)
        extents = self._label_extents(turned, _row_numbers(labels, chosen), len(chosen))
        begins, ends = np.array(turned.shape) - 1 - extents[:, 7:], extents[:, 4:7] + 1
        boxes = {}
        for n, label in enumerate(chosen):
            if extents[n, 0]:
                x, y, z = (slice(int(begins[n, a]), int(ends[n, a])) for a in map(order.index, range(3)))
                boxes[int(label)] = (x, y, z)
        return boxes

    def label_statistics(self, labels: Array, values: HostArray, chosen: Sequence[int]) -> dict[int, LabelStatistics]:
        """Statistics by label of those of `chosen` that occur; exact, see `LabelStatistics`. Not asynchronous.

        Integers of up to 16 bits are read once, other values three times. A float64 is rounded to float32 first.

        Args:
            labels: [I, J, K] uint8 or uint16; on the GPU backend also a host array.
            values: The same shape, on the host, any dtype that `resample` reads but 64-bit integers.
            chosen: Labels above 0, each once.

        Raises:
            ValueError: If shapes, dtypes or labels do not fit, or for 2³² voxels or more.
        """
        _check(labels, values, chosen)
        if not labels.size or not chosen:
            return {}
        on_device: Any = self.upload(labels) if isinstance(labels, np.ndarray) else labels
        order = fastest_last(values)
        on_device, turned = on_device.transpose(order), values.transpose(order)
        slabs = LabelledSlabs(on_device, turned, _row_numbers(labels, chosen), len(chosen))
        measure = self._narrow if is_narrow(values.dtype, len(chosen)) else self._wide
        extents, of_values = measure(slabs)
        begins, ends = np.array(turned.shape) - 1 - extents[:, 7:], extents[:, 4:7] + 1
        axes = [order.index(axis) for axis in range(3)]
        return {
            int(label): _statistics(extents[n], begins[n], ends[n], of_values[n], axes)
            for n, label in enumerate(chosen)
            if extents[n, 0]
        }

    def _narrow(self, slabs: LabelledSlabs) -> tuple[NDArray[np.int64], list[Values]]:
        dtype = slabs.values.dtype
        extents, counts = self._narrow_tables(slabs)
        return extents, [narrow_values(counts[:, n].sum(axis=0, dtype=np.int64), dtype) for n in range(slabs.count)]

    def _wide(self, slabs: LabelledSlabs) -> tuple[NDArray[np.int64], list[Values]]:
        extents = self._label_extents(slabs.labels, slabs.numbers, slabs.count)
        slabs = slabs.occupied(extents)
        size = self._slab_bytes(slabs.values, wide=True)
        table = self._label_table(slabs.count, SUM_WIDTH, np.uint64)
        for _, labels, values in slabs.parts(size):
            self._add_label_sums(labels, self.upload(values), slabs.numbers, table)
        copies = self._downloaded_table(table)
        sums = copies.sum(axis=0)
        sums[:, -2:] = copies[:, :, -2:].max(axis=0)
        del table, copies
        middle = MiddleKeys(sums[:, :-2].reshape(slabs.count, 1 << BIN_BITS, SUM_FIELDS)[:, :, 0])
        for shift, bits in DIGITS:
            table = self._label_table(slabs.count, 2 << bits, np.uint32)
            for _, labels, values in slabs.parts(size):
                self._add_label_digits(
                    labels, self.upload(values), slabs.numbers, middle.prefixes, (shift, bits), table
                )
            counts = self._downloaded_table(table).sum(axis=0, dtype=np.uint32)
            del table  # before the next one is allocated
            middle.descend(counts.reshape(slabs.count, 2, 1 << bits), bits)
        keys = middle.prefixes.tolist()
        return extents, [wide_values(sums[n], keys[n], slabs.values.dtype) for n in range(slabs.count)]

    @abstractmethod
    def upload(self, host: HostArray) -> Array:
        """See `Backend.upload`."""

    @abstractmethod
    def _slab_bytes(self, values: HostArray, *, wide: bool) -> int:
        """Bytes of values for one call of a kernel."""

    @abstractmethod
    def _label_table(self, count: int, width: int, dtype: DTypeLike) -> TwinArray:
        """Zeros [copies, count, width]; the copies are added in the end, but for the maxima of a row of sums."""

    @abstractmethod
    def _downloaded_table(self, table: TwinArray) -> HostArray:
        """The table on the host."""

    @abstractmethod
    def _label_extents(self, labels: TwinArray, numbers: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
        """[count, EXTENT_FIELDS] on the host; row n is that of labels whose number is n + 1, number 0 is left out."""

    @abstractmethod
    def _narrow_tables(self, slabs: LabelledSlabs) -> tuple[NDArray[np.int64], HostArray]:
        """The extents, and on the host uint32 [copies, count, keys]: voxels by key, for values of up to 16 bits."""

    @abstractmethod
    def _add_label_sums(
        self, labels: TwinArray, values: TwinArray, numbers: NDArray[np.uint16], table: TwinArray
    ) -> None:
        """Add finite values to the rows of sums, see `label_tables.SUM_WIDTH`."""

    @abstractmethod
    def _add_label_digits(
        self,
        labels: TwinArray,
        values: TwinArray,
        numbers: NDArray[np.uint16],
        prefixes: NDArray[np.uint32],
        digit: tuple[int, int],
        table: TwinArray,
    ) -> None:
        """table[number − 1, which, digit of the key] += 1 if the digits before are prefixes[number − 1, which].

        digit  shift and bits. Of two equal prefixes only the first counts.
        """


def _statistics(
    extent: NDArray[np.int64], begin: NDArray[np.int64], end: NDArray[np.int64], values: Values, axes: Sequence[int]
) -> LabelStatistics:
    """axes  place of each axis of the label map in the other arguments"""
    voxels = int(extent[0])
    i, j, k = axes
    return LabelStatistics(
        voxels=voxels,
        not_finite=voxels - values.count,
        mean=values.mean,
        std=values.std,
        median=values.median,
        minimum=values.minimum,
        maximum=values.maximum,
        begin=(int(begin[i]), int(begin[j]), int(begin[k])),
        end=(int(end[i]), int(end[j]), int(end[k])),
        centre=(int(extent[1 + i]) / voxels, int(extent[1 + j]) / voxels, int(extent[1 + k]) / voxels),
    )


def _check(labels: Array, values: HostArray, chosen: Sequence[int]) -> None:
    """Labels and values [I, J, K] of one shape, and labels that the dtype holds."""
    if labels.ndim != 3 or labels.shape != values.shape:
        raise ValueError(f"statistics take labels and values [I, J, K], found {labels.shape} and {values.shape}")
    _check_labels(labels, chosen)
    if not dtypes.is_real(values.dtype) or (values.dtype.kind in "iu" and values.dtype.itemsize == 8):
        raise ValueError(f"statistics are taken of integers of up to 4 bytes and of floats, found {values.dtype}")


def _check_labels(labels: Array, chosen: Sequence[int]) -> None:
    """Three axes, and labels that the dtype holds."""
    if labels.dtype not in dtypes.LABELS:
        raise ValueError(f"labels must be uint8 or uint16, found {labels.dtype}")
    if labels.ndim != 3:
        raise ValueError(f"labels must have three axes, found {labels.shape}")
    if labels.size >= MOST_VOXELS:
        raise ValueError(f"statistics are taken of fewer than 2^32 voxels, found {labels.size}")
    most = np.iinfo(labels.dtype).max
    if len(set(chosen)) != len(chosen) or any(not 1 <= label <= most for label in chosen):
        raise ValueError(f"the chosen labels must be different numbers from 1 to {most}, found {list(chosen)[:10]}")


def _row_numbers(labels: Array, chosen: Sequence[int]) -> NDArray[np.uint16]:
    """By label that the dtype holds: n + 1 if it is the nth chosen one, else 0."""
    numbers = np.zeros(1 << 8 * labels.dtype.itemsize, np.uint16)
    numbers[list(chosen)] = np.arange(1, len(chosen) + 1)
    return numbers
