"""The CPU backend: NumPy arrays, Numba kernels. It is the definition that the GPU backend is compared with.

Numba and the module of a kernel are imported by the first operation that starts it, or before by `load_ahead`, so that
a run begins to read its volume without them. Kernels are compiled once per pair of dtypes, never per shape or memory
layout, because every view reaches them as a flat buffer with an offset and strides (`kernels.strided`). Operations may
be called from any thread; parallel kernels start one at a time (`kernels.launch.LAUNCH`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import DTypeLike

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.filters import CpuFilterOperations
from gpu_infer.backends.cpu.histograms import CpuHistogramOperations
from gpu_infer.backends.cpu.kernels.strided import native
from gpu_infer.backends.cpu.label_statistics import CpuLabelStatisticsOperations
from gpu_infer.backends.cpu.labels import CpuLabelOperations
from gpu_infer.backends.cpu.masks import CpuMaskOperations
from gpu_infer.backends.cpu.means import CpuMeanOperations
from gpu_infer.backends.cpu.prepare import CpuPrepareOperations
from gpu_infer.backends.cpu.ranges import CpuRangeOperations
from gpu_infer.backends.cpu.scores import CpuScoreOperations
from gpu_infer.backends.cpu.taps import CpuTapOperations
from gpu_infer.backends.cpu.windows import CpuWindowOperations
from gpu_infer.backends.types import HostArray, TwinArray
from gpu_infer.errors import ResourceError
from gpu_infer.system.host_memory import free_host_bytes

_NUMBA_BYTES = 64 << 20
"""Of Numba, llvmlite and the modules of all kernels."""


class CpuBackend(
    CpuPrepareOperations,
    CpuRangeOperations,
    CpuHistogramOperations,
    CpuTapOperations,
    CpuWindowOperations,
    CpuMeanOperations,
    CpuLabelOperations,
    CpuLabelStatisticsOperations,
    CpuMaskOperations,
    CpuScoreOperations,
    CpuFilterOperations,
    Backend,
):
    """`Backend` on the host. Everything is finished when a method returns."""

    name = "cpu"

    def upload(self, host: HostArray) -> HostArray:
        """Return `host` itself, or a copy in the native byte order."""
        return native(host)

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> HostArray:
        """See `Backend.empty`."""
        try:
            return np.empty(tuple(shape), dtype)
        except MemoryError as error:
            raise _out_of_memory(shape, dtype) from error

    def zeros(self, shape: Sequence[int], dtype: DTypeLike) -> HostArray:
        """See `Backend.zeros`."""
        try:
            return np.zeros(tuple(shape), dtype)
        except MemoryError as error:
            raise _out_of_memory(shape, dtype) from error

    def download(self, array: TwinArray) -> HostArray:
        """Return the array itself."""
        host: HostArray = array
        return host

    def free_bytes(self) -> int:
        """Memory that this process can still take, in bytes."""
        return free_host_bytes()

    def load_ahead(
        self, stored: DTypeLike, model: DTypeLike, gathered: int, blended: int
    ) -> AbstractContextManager[object]:
        """See `Backend.load_ahead`."""
        from gpu_infer.backends.cpu.load_ahead import load_kernels

        return load_kernels(np.dtype(stored), np.dtype(model), gathered, blended)

    def bytes_to_load(self) -> int:
        """See `Backend.bytes_to_load`."""
        return 0 if "numba" in sys.modules else _NUMBA_BYTES

    def fence(self) -> None:
        """Do nothing: host writes are visible to other processes of this machine."""


def _out_of_memory(shape: Sequence[int], dtype: DTypeLike) -> ResourceError:
    size = int(np.prod([int(n) for n in shape], dtype=object)) * np.dtype(dtype).itemsize
    return ResourceError(
        f"cannot allocate {size >> 20} MiB of host memory, {free_host_bytes() >> 20} MiB are free",
        remedy="give the container more memory or use fewer slots",
    )
