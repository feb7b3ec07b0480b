"""Rows of bench.kernels on the range of an array and the digits of its numbers."""

from __future__ import annotations

from math import prod

from bench.prediction.geometry import GROUPS, Geometry, lanes
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import HotLoop

BLOCKS = 3
"""Per multiprocessor."""

UNROLLED = 4
"""Numbers of a row that a thread reads at once."""


def range_rows(g: Geometry, multiprocessors: int) -> list[Row]:
    """The neighbours in bench.kernels' voxels differ: every number adds to the table of its block."""
    i, j, k = g.shape
    least, count = HotLoop("extrema_i2", r"LDG\.16", depth=2), HotLoop("digits_f4", "atomic", depth=2, through="atomic")
    return [
        _row(g, "range, int16", least, 2, (j * k, i), multiprocessors),
        _row(g, "digits, float32", count, 4, (i * j, k), multiprocessors),
    ]


def _row(g: Geometry, name: str, loop: HotLoop, nbytes: int, walk: tuple[int, int], multiprocessors: int) -> Row:
    """walk: rows, and numbers of each."""
    rows, size = walk
    voxels = prod(g.shape)
    blocks = min(BLOCKS * multiprocessors, -(-rows // GROUPS))
    launch = Launch(loop.kernel, blocks, (Part(loop, rows * lanes(size), (rows,)),))
    return Row(name, nbytes * voxels, nbytes * voxels, voxels, UNROLLED * nbytes, (launch,))
