"""Row of bench.kernels that resamples by many neighbours, from the passes that the backends share."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import DTypeLike

from bench.prediction.geometry import LANES, Geometry, Strided, lanes, row_blocks
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import HotLoop
from bench.sides.kernel_work import cubic_tables
from gpu_infer.backends.base.taps import TapOperations
from gpu_infer.backends.layout import axis_order, code
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.taps import TablePart
from gpu_infer.backends.types import Array, HostArray

UNROLLED = 4
"""Taps of which a thread reads the samples at once."""


def tap_row(g: Geometry) -> Row:
    """Every sample has a part in an output."""
    stored, model = Strided.first_fastest(g.shape, np.int16), Strided.last_fastest(g.grid, np.float32)
    recorder = _Recorder()
    same = ClampedAffine()
    recorder.resample_taps(_without_memory(stored), _without_memory(model), cubic_tables(g.shape, g.grid), same, same)
    samples, outputs = prod(g.shape), prod(g.grid)
    return Row(
        "cubic to 1 mm",
        2 * samples + 4 * outputs,
        2 * samples,
        outputs,
        UNROLLED * stored.dtype.itemsize,
        tuple(recorder.launches),
    )


class _Recorder(TapOperations):
    """Records the launches instead of making them."""

    def __init__(self) -> None:
        self.launches: list[Launch] = []

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> Array:
        x, y, z = shape
        return _without_memory(Strided.last_fastest((x, y, z), dtype))[0]

    def resample(self, source: Array, out: Array, tables: None, before: ClampedAffine, after: ClampedAffine) -> None:
        o, p, q = axis_order(source, out)
        _, i, j, k = out.transpose(0, 1 + o, 1 + p, 1 + q).shape
        kernel = "turn_rows_f4_f4"
        part = Part(HotLoop(kernel, r"STG\.32", 4), i * j * lanes(k))
        self.launches.append(Launch(kernel, row_blocks(i, j), (part,)))

    def _taps_along(
        self,
        source: HostArray,
        out: HostArray,
        axis: int,
        part: TablePart,
        before: ClampedAffine,
        after: ClampedAffine,
    ) -> None:
        order = axis_order(source[None], out[None])
        i, j, k = out.transpose(order).shape
        kernel = f"taps_{code(source.dtype)}_{code(out.dtype)}"
        rows = i * j * lanes(k)
        taps = taps_of_warps(part, order.index(axis), (i, j, k))
        # the first tap is outside of the loop; of int16, one of the two loads of a tap has 4 bytes, of float32 both
        loop = HotLoop(kernel, r"LDG\.32", 8 if source.dtype == np.float32 else 4)
        blocks = row_blocks(i, j) * lanes(k)
        self.launches.append(Launch(kernel, blocks, (Part(loop, taps - rows, (rows,)),)))


def taps_of_warps(part: TablePart, place: int, shape: tuple[int, int, int]) -> int:
    """Of a warp as many as of its busiest lane; `place` of the axis among (i, j, k)."""
    i, j, k = shape
    count = part.table.count[part.start : part.start + part.size].astype(np.int64)
    if place == 2:
        busiest = np.maximum.reduceat(count, np.arange(0, k, LANES))
        return int(busiest.sum()) * i * j
    return int(count.sum()) * (j if place == 0 else i) * lanes(k)


def _without_memory(array: Strided) -> HostArray:
    """A view of the shape and the strides, of which no element may be touched."""
    return np.lib.stride_tricks.as_strided(np.zeros(1, array.dtype), array.shape, array.strides, writeable=False)
