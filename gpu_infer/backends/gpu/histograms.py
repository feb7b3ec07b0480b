"""Histograms of values, and functions of a value by points, on the GPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.histograms import HistogramOperations
from gpu_infer.backends.gpu import kernel_arguments as arguments
from gpu_infer.backends.gpu.device.device import BLOCK
from gpu_infer.backends.gpu.operations import Operations
from gpu_infer.backends.layout import fastest_last, output, pointer, reordered, steps
from gpu_infer.backends.types import DeviceArray

_BLOCKS = 3
"""Per multiprocessor: as many as its registers suffice for."""


class GpuHistogramOperations(Operations, HistogramOperations):
    def _count_bins(self, array: DeviceArray, edges: NDArray[np.float32]) -> NDArray[np.int64]:
        with self._device.section("histogram"):
            counts, table = self._device.zeroed((edges.size - 1,), np.uint64), self._device.small_upload(edges)
            order = fastest_last(array)
            packed = arguments.packed(
                arguments.BINS,
                source=pointer(array),
                edges=pointer(table),
                counts=pointer(counts),
                strides=reordered(steps(array), order),
                size=reordered(array.shape, order),
                scale=_intervals_per_unit(edges.astype(np.float64)),
                bins=edges.size - 1,
                swap=not array.dtype.isnative,
            )
            self._device.launch("ranges", "bins_f4", self._row_blocks(array), packed)
            host: NDArray[np.int64] = self._device.small_download(counts).astype(np.int64)
        return host

    def _map_values(self, array: DeviceArray, out: DeviceArray, curve: NDArray[np.float64]) -> None:
        with self._device.section("map_values"):
            table = self._device.small_upload(curve)
            order = fastest_last(out)
            packed = arguments.packed(
                arguments.CURVE,
                source=pointer(array),
                dst=output(out),
                curve=pointer(table),
                src_strides=reordered(steps(array), order),
                dst_strides=reordered(steps(out), order),
                size=reordered(out.shape, order),
                scale=_intervals_per_unit(curve[0]),
                count=curve.shape[1],
                swap=not array.dtype.isnative,
            )
            self._device.launch("ranges", "curve_f4", self._row_blocks(out), packed)

    def _row_blocks(self, array: DeviceArray) -> int:
        rows = array.size // array.shape[1 + fastest_last(array)[-1]]
        return int(min(_BLOCKS * self._device.multiprocessors, -(-rows // BLOCK[1])))


def _intervals_per_unit(points: NDArray[np.float64]) -> float:
    return (points.size - 1) / (points[-1] - points[0]) if points.size > 1 else 0.0
