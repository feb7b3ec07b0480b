"""Statistics of the stored values under each label, on the GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.base.label_statistics import LabelledSlabs, LabelStatisticsOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.operations import ROWS, Operations
from gpu_infer.backends.label_tables import EXTENT_FIELDS, SLAB_BYTES
from gpu_infer.backends.layout import code, fastest_last, pointer, reordered, steps
from gpu_infer.backends.types import DeviceArray, HostArray

_MODULE = "label_statistics"


class GpuLabelStatisticsOperations(Operations, LabelStatisticsOperations):
    def _slab_bytes(self, values: HostArray, *, wide: bool) -> int:
        return SLAB_BYTES

    def _label_table(self, count: int, width: int, dtype: DTypeLike) -> DeviceArray:
        with self._device.section("label_table"):
            return self._device.zeroed((1, count, width), dtype)

    def _downloaded_table(self, table: DeviceArray) -> HostArray:
        with self._device.section("label_table"):
            return self._device.small_download(table)

    def _label_extents(self, labels: DeviceArray, numbers: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
        with self._device.section("label_extents"):
            order = fastest_last(labels)
            table = self._device.zeroed((count, EXTENT_FIELDS), np.uint64)
            by_label = self._device.small_upload(numbers)
            size = reordered(labels.shape, order)
            packed = arguments.packed(
                arguments.LABEL_EXTENTS,
                labels=pointer(labels),
                numbers=pointer(by_label),
                table=pointer(table),
                labels_strides=reordered(steps(labels), order),
                size=size,
            )
            self._device.launch(_MODULE, f"label_extents_{code(labels.dtype)}", _blocks(size), packed)
            extents = self._device.small_download(table).astype(np.int64)
        axes = [order.index(axis) for axis in range(3)]
        return extents[:, [0, *(first + axis for first in (1, 4, 7) for axis in axes)]]

    def _narrow_tables(self, slabs: LabelledSlabs) -> tuple[NDArray[np.int64], HostArray]:
        """Only planes with labels are uploaded."""
        extents = self._label_extents(slabs.labels, slabs.numbers, slabs.count)
        table = self._label_table(slabs.count, 1 << 8 * slabs.values.dtype.itemsize, np.uint32)
        for _, labels, values in slabs.occupied(extents).parts(self._slab_bytes(slabs.values, wide=False)):
            self._count_labelled("label_values", labels, self.upload(values), slabs.numbers, table)
        return extents, self._downloaded_table(table)

    def _add_label_sums(
        self, labels: DeviceArray, values: DeviceArray, numbers: NDArray[np.uint16], table: DeviceArray
    ) -> None:
        self._count_labelled("label_sums", labels, values, numbers, table)

    def _add_label_digits(
        self,
        labels: DeviceArray,
        values: DeviceArray,
        numbers: NDArray[np.uint16],
        prefixes: NDArray[np.uint32],
        digit: tuple[int, int],
        table: DeviceArray,
    ) -> None:
        self._count_labelled("label_digits", labels, values, numbers, table, prefixes, digit)

    def _count_labelled(
        self,
        kernel: str,
        labels: DeviceArray,
        values: DeviceArray,
        numbers: NDArray[np.uint16],
        table: DeviceArray,
        prefixes: NDArray[np.uint32] | None = None,
        digit: tuple[int, int] = (0, 0),
    ) -> None:
        with self._device.section(kernel):
            order = fastest_last(values)
            by_label = self._device.small_upload(numbers)
            by_number: Any = None if prefixes is None else self._device.small_upload(prefixes)
            size = reordered(values.shape, order)
            packed = arguments.packed(
                arguments.LABEL_VALUES,
                labels=pointer(labels),
                values=pointer(values),
                numbers=pointer(by_label),
                prefixes=0 if by_number is None else pointer(by_number),
                table=pointer(table),
                labels_strides=reordered(steps(labels), order),
                values_strides=reordered(steps(values), order),
                size=size,
                shift=digit[0],
                bits=digit[1],
                swap=not values.dtype.isnative,
            )
            kind = f"{kernel}_{code(labels.dtype)}_{code(values.dtype)}"
            self._device.launch(_MODULE, kind, _blocks(size), packed)


def _blocks(size: tuple[int, ...]) -> int:
    return int(size[0]) * -(-int(size[1]) // ROWS[_MODULE])
