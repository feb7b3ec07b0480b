"""Statistics of the stored values under each label, on the CPU."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.base.label_statistics import LabelStatisticsOperations
from gpu_infer.backends.cpu.kernels.jit import LAUNCH
from gpu_infer.backends.cpu.kernels.label_statistics import (
    add_digits,
    add_sums,
    add_values,
    key_bits,
    label_extents,
)
from gpu_infer.backends.cpu.kernels.runs import flat_labels
from gpu_infer.backends.cpu.kernels.strided import frozen, reading
from gpu_infer.backends.label_tables import EXTENT_FIELDS, SLAB_BYTES, TABLE_BYTES
from gpu_infer.backends.types import HostArray


class CpuLabelStatisticsOperations(LabelStatisticsOperations):
    def _slab_bytes(self, values: HostArray, *, wide: bool) -> int:
        """All at once, unless they are copied."""
        is_copied = not values.dtype.isnative or (wide and values.dtype.itemsize != 4)
        return SLAB_BYTES if is_copied else values.nbytes

    def _label_table(self, count: int, width: int, dtype: DTypeLike) -> HostArray:
        """A copy per thread, if there is memory for so many."""
        one = count * width * np.dtype(dtype).itemsize
        copies = min(numba.get_num_threads(), max(1, TABLE_BYTES // one))
        return np.zeros((copies, count, width), dtype)

    def _downloaded_table(self, table: HostArray) -> HostArray:
        return table

    def _label_extents(self, labels: HostArray, numbers: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
        tables = np.zeros((numba.get_num_threads(), count, EXTENT_FIELDS), np.int64)
        with LAUNCH:
            label_extents(flat_labels(labels), frozen(numbers), labels.shape, tables)
        return np.concatenate([tables[:, :, :4].sum(axis=0), tables[:, :, 4:].max(axis=0)], axis=1)

    def _add_label_values(
        self, labels: HostArray, values: HostArray, numbers: NDArray[np.uint16], table: HostArray
    ) -> None:
        width = values.dtype.itemsize
        flip = 1 << (8 * width - 1) if values.dtype.kind == "i" else 0
        with LAUNCH:
            sampled = reading(values.view(f"u{width}"))
            add_values(flat_labels(labels), sampled, frozen(numbers), labels.shape, flip, table)

    def _add_label_sums(
        self, labels: HostArray, values: HostArray, numbers: NDArray[np.uint16], table: HostArray
    ) -> None:
        bits, kind = key_bits(values)
        with LAUNCH:
            add_sums(flat_labels(labels), reading(bits), frozen(numbers), labels.shape, kind, table)

    def _add_label_digits(
        self,
        labels: HostArray,
        values: HostArray,
        numbers: NDArray[np.uint16],
        prefixes: NDArray[np.uint32],
        digit: tuple[int, int],
        table: HostArray,
    ) -> None:
        bits, kind = key_bits(values)
        with LAUNCH:
            add_digits(
                flat_labels(labels), reading(bits), frozen(numbers), labels.shape, kind, frozen(prefixes), digit, table
            )
