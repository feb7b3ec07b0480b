"""The range of an array, and its percentiles, on the GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.ranges import RangeOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.device.device import BLOCK
from gpu_infer.backends.gpu.operations import Operations
from gpu_infer.backends.layout import code, fastest_last, pointer, reordered, steps
from gpu_infer.backends.types import DeviceArray, Extrema

_BLOCKS = 3
"""Per multiprocessor: as many as its registers suffice for."""

_DIGITS = 2048
"""The constant of that name in ranges.cu."""


class GpuRangeOperations(Operations, RangeOperations):
    """Kernels read any strides and either byte order in place."""

    def _extrema(self, array: DeviceArray) -> Extrema:
        with self._device.section("extrema"):
            keys = self._device.small_upload(np.array([0xFFFFFFFF, 0, 0], np.uint32))
            packed = arguments.packed(arguments.EXTREMA, **_walked(array), extrema=pointer(keys))
            self._device.launch("ranges", f"extrema_{code(array.dtype)}", self._range_blocks(array), packed)
            least, greatest, nan = self._device.small_download(keys)
        if least > greatest:
            return Extrema(np.inf, -np.inf, bool(nan))
        bits = np.array([least, greatest], np.uint32)
        low, high = np.where(bits & 0x80000000, bits & 0x7FFFFFFF, ~bits).astype(np.uint32).view(np.float32)
        return Extrema(float(low), float(high), bool(nan))

    def _count_digits(self, array: DeviceArray, shift: int, bits: int, prefix: int) -> NDArray[np.int64]:
        with self._device.section("percentiles"):
            counts = self._device.zeroed((_DIGITS,), np.uint64)
            packed = arguments.packed(
                arguments.DIGITS, **_walked(array), counts=pointer(counts), prefix=prefix, shift=shift, bits=bits
            )
            self._device.launch("ranges", f"digits_{code(array.dtype)}", self._range_blocks(array), packed)
            table: NDArray[np.int64] = self._device.small_download(counts)[: 1 << bits].astype(np.int64)
        return table

    def _range_blocks(self, array: DeviceArray) -> int:
        fastest = fastest_last(array)[-1]
        rows = array.size // array.shape[1 + fastest]
        return int(min(_BLOCKS * self._device.multiprocessors, -(-rows // BLOCK[1])))


def _walked(array: DeviceArray) -> dict[str, Any]:
    order = fastest_last(array)
    return {
        "source": pointer(array),
        "strides": reordered(steps(array), order),
        "size": reordered(array.shape, order),
        "swap": not array.dtype.isnative,
    }
