"""Means of windows on the CPU: sums divided, in place, by the weights of the windows that cover a voxel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.cpu.kernels.launch import LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, reading, writing
from gpu_infer.backends.types import HostArray


class CoveredAxis(NamedTuple):
    """The windows along one axis.

    starts   int64: their first voxels, ascending, on a short axis
    repeats  int64: how often each counts
    places   int64: for each voxel of the axis, the voxel of the short axis that the same windows cover
    """

    starts: NDArray[np.int64]
    repeats: NDArray[np.int64]
    places: NDArray[np.int64]


class CpuMeanOperations:
    def divide_by_counts(self, sums: HostArray, counts: Sequence[NDArray[np.float32]]) -> None:
        """sums[r, x, y, z] /= counts[0][x] · (counts[1][y] · counts[2][z]): NaN if sum and count are 0.

        Args:
            sums: [R, X, Y, Z] float32, contiguous.
            counts: Per axis, how many windows cover an index; their products are whole numbers below 2^24.

        Raises:
            ValueError: The sums are not contiguous float32 with four axes.
        """
        from gpu_infer.backends.cpu.kernels import means

        _check(sums)
        x, y, z = (frozen(np.asarray(c, np.float32)) for c in counts)
        changes = np.flatnonzero(np.diff(np.concatenate([[False], z != 1, [False]])))
        runs = frozen(changes.reshape(-1, 2).astype(np.int64))
        if not len(runs) and (x == 1).all() and (y == 1).all():
            return
        with LAUNCH:
            means.divide_by_counts(writing(sums).data, sums.shape, (x, y, z), runs)

    def divide_by_weights(
        self, sums: HostArray, weights: HostArray, axes: Sequence[CoveredAxis], order: Sequence[int]
    ) -> None:
        """sums[r, x, y, z] /= Σ repeats · weights over the windows that cover (x, y, z): NaN if both are 0.

        The repeats of a window are the product of its axes'. Each product and sum is rounded to float32, in the order
        of the windows.

        Args:
            sums: [R, X, Y, Z] float32, contiguous.
            weights: float32 [R0, R1, R2] of the voxels of a window.
            axes: The windows of all three axes; the last axis is not short.
            order: The axes in the order of the windows, from the slowest to the one along which windows follow first.

        Raises:
            ValueError: The sums are not contiguous float32 with four axes.
        """
        import numba

        from gpu_infer.backends.cpu.kernels import means

        _check(sums)
        slow, middle, fast = order
        i, j, k = axes
        planes = np.argsort(i.places, kind="stable")
        with LAUNCH:
            means.divide_by_weights(
                writing(sums).data,
                sums.shape,
                (frozen(i.starts), frozen(j.starts), frozen(k.starts)),
                (frozen(i.repeats), frozen(j.repeats), frozen(k.repeats)),
                (slow, middle, fast),
                reading(weights),
                weights.shape,
                (frozen(i.places), frozen(j.places)),
                frozen(planes),
                numba.get_num_threads(),
            )


def _check(sums: HostArray) -> None:
    if sums.ndim != 4 or sums.dtype != np.float32 or not sums.flags.c_contiguous:
        raise ValueError(f"sums must be contiguous float32 [R, X, Y, Z], found {sums.dtype} {sums.shape}")
