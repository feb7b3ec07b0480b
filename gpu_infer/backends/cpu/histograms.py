"""Histograms of values, and functions of a value by points, on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.histograms import HistogramOperations
from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, reading, writing
from gpu_infer.backends.types import HostArray


class CpuHistogramOperations(HistogramOperations):
    def _count_bins(self, array: HostArray, edges: NDArray[np.float32]) -> NDArray[np.int64]:
        from gpu_infer.backends.cpu.kernels.histograms import count_bins

        view = array.transpose(_slowest_first(array))
        with LAUNCH:
            counts: NDArray[np.int64] = count_bins(reading(view), view.shape, frozen(edges))
        return counts

    def _map_values(self, array: HostArray, out: HostArray, curve: NDArray[np.float64]) -> None:
        from gpu_infer.backends.cpu.kernels.histograms import map_values

        axes = _slowest_first(out)
        source, target = array.transpose(axes), out.transpose(axes)
        with LAUNCH:
            map_values(reading(source), writing(target), target.shape, *(frozen(row) for row in curve))


def _slowest_first(array: HostArray) -> tuple[int, ...]:
    return tuple(int(axis) for axis in np.argsort([-abs(s) for s in array.strides], kind="stable"))
