"""The range of an array, and its percentiles, on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.ranges import RangeOperations
from gpu_infer.backends.cpu.kernels.bits import is_half
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import reading
from gpu_infer.backends.types import Extrema, HostArray


class CpuRangeOperations(RangeOperations):
    def _extrema(self, array: HostArray) -> Extrema:
        from gpu_infer.backends.cpu.kernels.ranges import value_range

        if is_half(array.dtype):  # in pieces that NumPy converts: no copy of the array
            low, high = np.fmin.reduce(array, axis=None), np.fmax.reduce(array, axis=None)
            return Extrema(*_numbers(low, high), bool(np.isnan(array.min())))
        view = _slowest_first(array)
        with LAUNCH:
            low, high, has_nan = value_range(reading(view), view.shape)
        return Extrema(float(low), float(high), bool(has_nan))

    def _count_digits(self, array: HostArray, shift: int, bits: int, prefix: int) -> NDArray[np.int64]:
        from gpu_infer.backends.cpu.kernels.ranges import count_digits

        view = _slowest_first(array).view(f"u{array.dtype.itemsize}")
        with LAUNCH:
            counts: NDArray[np.int64] = count_digits(
                reading(view), view.shape, (shift, bits, prefix), 1 << (8 * array.dtype.itemsize - 1)
            )
        return counts


def _numbers(low: np.float16, high: np.float16) -> tuple[float, float]:
    """(inf, -inf) of an array of NaN alone."""
    return (np.inf, -np.inf) if np.isnan(low) else (float(low), float(high))


def _slowest_first(array: HostArray) -> HostArray:
    return array.transpose(np.argsort([-abs(s) for s in array.strides], kind="stable"))
