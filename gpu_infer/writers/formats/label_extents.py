"""Which labels occur in a label map, and in which box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.checks import Voxels
from gpu_infer.writers.voxel_blocks import voxel_blocks

Extent = tuple[int, int, int, int, int, int]
"""First and last index along I, J and K."""

_RUN_LIMIT = 1 << 18
"""Voxels whose runs are examined at a time: at most one run a voxel, some 100 bytes each."""


def label_extents(array: Voxels) -> dict[int, Extent]:
    """The box of each label but 0 that occurs in `array` [I, J, K], by label in ascending order.

    Only the ends of runs of equal labels along I are examined.
    """
    rows, row = array.shape[1], array.shape[0]
    lows: dict[int, NDArray[np.int64]] = {}
    highs: dict[int, NDArray[np.int64]] = {}
    first_row = 0
    step = max(_RUN_LIMIT // max(row, 1), 1)
    for block in voxel_blocks(array, array.dtype):
        lines = np.frombuffer(block, array.dtype.newbyteorder("<")).reshape(-1, row)
        for low in range(0, len(lines), step):
            _add_runs(lines[low : low + step], first_row + low, rows, lows, highs)
        first_row += len(lines)
    return {label: _extent(lows[label], highs[label]) for label in sorted(lows)}


def _add_runs(
    lines: Voxels, first_row: int, rows: int, lows: dict[int, NDArray[np.int64]], highs: dict[int, NDArray[np.int64]]
) -> None:
    begins = np.ones(lines.shape, bool)
    np.not_equal(lines[:, 1:], lines[:, :-1], out=begins[:, 1:])
    begin = np.flatnonzero(begins)
    end = np.append(begin[1:], lines.size) - 1
    labels = lines.reshape(-1)[begin]
    inside = labels != 0
    begin, end = begin[inside], end[inside]
    values, number = np.unique(labels[inside], return_inverse=True)
    line = begin // lines.shape[1] + first_row
    low = np.full((3, len(values)), np.iinfo(np.int64).max)
    high = np.full((3, len(values)), -1)
    for axis, (least, most) in enumerate(
        ((begin % lines.shape[1], end % lines.shape[1]), (line % rows, line % rows), (line // rows, line // rows))
    ):
        np.minimum.at(low[axis], number, least)
        np.maximum.at(high[axis], number, most)
    for n, value in enumerate(values.tolist()):
        lows[value] = np.minimum(lows.get(value, low[:, n]), low[:, n])
        highs[value] = np.maximum(highs.get(value, high[:, n]), high[:, n])


def _extent(low: NDArray[np.int64], high: NDArray[np.int64]) -> Extent:
    (i0, j0, k0), (i1, j1, k1) = low.tolist(), high.tolist()
    return i0, i1, j0, j1, k0, k1
