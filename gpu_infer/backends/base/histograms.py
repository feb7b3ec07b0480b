"""Histograms of values, and functions of a value that are given by points on them."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.types import Array, TwinArray

MOST_BINS = 2048
"""A block of threads of the GPU counts in its shared memory: the constant BINS in ranges.cu."""


class HistogramOperations(ABC):
    """The public operations of this group, and what a backend implements for them."""

    def count_bins(self, array: Array, edges: NDArray[np.float32]) -> NDArray[np.int64]:
        """`numpy.histogram(array, edges)[0]`: the last bin includes its upper edge. Not asynchronous.

        Args:
            array: [C, X, Y, Z] float32, any strides. NaN and numbers outside of the edges are not counted.
            edges: float32 [n + 1] on the host, finite and strictly rising, n of 1 to 2048.

        Returns:
            int64 [n] on the host.

        Raises:
            ValueError: If array or edges are others.
        """
        if array.ndim != 4 or array.dtype != np.float32:
            raise ValueError(f"bins are those of float32 [C, X, Y, Z], found {array.dtype} {array.shape}")
        count = edges.size - 1
        if edges.ndim != 1 or edges.dtype != np.float32 or not 1 <= count <= MOST_BINS:
            raise ValueError(f"bins have 2 to {MOST_BINS + 1} float32 edges, found {edges.dtype} {edges.shape}")
        if not (np.isfinite(edges).all() and (edges[1:] > edges[:-1]).all()):
            raise ValueError("edges of bins are finite and rise strictly")
        return self._count_bins(array, edges) if array.size else np.zeros(count, np.int64)

    def map_values(self, array: Array, out: Array, points: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """out = `numpy.interp(array, points, values)`, computed in float64.

        Args:
            array: [C, X, Y, Z] float32, any strides. NaN becomes the first value.
            out: The same shape and dtype, any strides; another array than `array`.
            points: float64 [n] on the host, finite and strictly rising.
            values: float64 [n] on the host, finite.

        Raises:
            ValueError: If arrays or tables are others.
        """
        if array.ndim != 4 or array.shape != out.shape or {array.dtype, out.dtype} != {np.dtype(np.float32)}:
            raise ValueError(
                f"values are mapped from float32 [C, X, Y, Z] to the same, found {array.dtype} {array.shape} and "
                f"{out.dtype} {out.shape}"
            )
        if points.ndim != 1 or points.shape != values.shape or not points.size:
            raise ValueError(f"a function has as many values as points, found {points.shape} and {values.shape}")
        if not (np.isfinite(points).all() and np.isfinite(values).all() and (points[1:] > points[:-1]).all()):
            raise ValueError("points of a function are finite and rise strictly, its values are finite")
        if not array.size:
            return
        slopes = np.zeros(points.size)
        slopes[:-1] = np.diff(values) / np.diff(points)
        self._map_values(array, out, np.stack([points, values, slopes]).astype(np.float64))

    @abstractmethod
    def _count_bins(self, array: TwinArray, edges: NDArray[np.float32]) -> NDArray[np.int64]:
        """`count_bins` of an array that is not empty."""

    @abstractmethod
    def _map_values(self, array: TwinArray, out: TwinArray, curve: NDArray[np.float64]) -> None:
        """`map_values` of an array that is not empty.

        `curve` is [3, n]: points p, values v and slopes s. A number x of at least p[j] and below p[j + 1] becomes
        s[j] · (x − p[j]) + v[j], one below p[0] v[0], and one of at least p[n − 1] v[n − 1].
        """
