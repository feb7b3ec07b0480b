"""Statistics of the stored values under each label, on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.base.label_statistics import LabelledSlabs, LabelStatisticsOperations
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, native, reading
from gpu_infer.backends.label_tables import EXTENT_FIELDS, SLAB_BYTES, TABLE_BYTES
from gpu_infer.backends.types import HostArray


class CpuLabelStatisticsOperations(LabelStatisticsOperations):
    def _slab_bytes(self, values: HostArray, *, wide: bool) -> int:
        """All at once, unless they are copied: then copies have SLAB_BYTES."""
        width = values.dtype.itemsize
        copied = 4 if wide else width
        if values.dtype.isnative and width == copied:
            return values.nbytes
        return SLAB_BYTES * width // max(width, copied)

    def _label_table(self, count: int, width: int, dtype: DTypeLike) -> HostArray:
        """A copy per thread, if there is memory for so many."""
        import numba

        one = count * width * np.dtype(dtype).itemsize
        copies = min(numba.get_num_threads(), max(1, TABLE_BYTES // one))
        return np.zeros((copies, count, width), dtype)

    def _downloaded_table(self, table: HostArray) -> HostArray:
        return table

    def _label_extents(self, labels: HostArray, numbers: NDArray[np.uint16], count: int) -> NDArray[np.int64]:
        import numba

        from gpu_infer.backends.cpu.kernels.label_statistics import label_extents
        from gpu_infer.backends.cpu.kernels.runs import flat_labels

        extents = np.zeros((numba.get_num_threads(), count, EXTENT_FIELDS), np.int64)
        with LAUNCH:
            label_extents(flat_labels(labels), frozen(numbers), labels.shape, extents)
        return _joined(extents)

    def _narrow_tables(self, slabs: LabelledSlabs) -> tuple[NDArray[np.int64], HostArray]:
        """In one pass: most of the time is that of reading labels and values."""
        from gpu_infer.backends.cpu.kernels.label_statistics import add_values
        from gpu_infer.backends.cpu.kernels.runs import flat_labels

        dtype, shape = slabs.values.dtype, slabs.values.shape
        flip = 1 << (8 * dtype.itemsize - 1) if dtype.kind == "i" else 0
        table = self._label_table(slabs.count, 1 << 8 * dtype.itemsize, np.uint32)
        extents = np.zeros((len(table), slabs.count, EXTENT_FIELDS), np.int64)
        numbers = frozen(slabs.numbers)
        for first, labels, values in slabs.parts(self._slab_bytes(slabs.values, wide=False)):
            sampled = reading(native(values).view(f"u{dtype.itemsize}"))
            planes = (first, first + len(values))
            with LAUNCH:
                add_values(flat_labels(labels), sampled, numbers, planes, shape, flip, extents, table)
        return _joined(extents), table

    def _add_label_sums(
        self, labels: HostArray, values: HostArray, numbers: NDArray[np.uint16], table: HostArray
    ) -> None:
        from gpu_infer.backends.cpu.kernels.label_statistics import add_sums, key_bits
        from gpu_infer.backends.cpu.kernels.runs import flat_labels

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
        from gpu_infer.backends.cpu.kernels.label_statistics import add_digits, key_bits
        from gpu_infer.backends.cpu.kernels.runs import flat_labels

        bits, kind = key_bits(values)
        with LAUNCH:
            add_digits(
                flat_labels(labels), reading(bits), frozen(numbers), labels.shape, kind, frozen(prefixes), digit, table
            )


def _joined(extents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The extents of all jobs together."""
    return np.concatenate([extents[:, :, :4].sum(axis=0), extents[:, :, 4:].max(axis=0)], axis=1)
