"""The order in which the CPU's resampling kernels visit the axes, and the size of the piece that they work on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.layout import axis_order, is_across
from gpu_infer.backends.tables import AxisTable
from gpu_infer.backends.types import HostArray, Tables

_SCRATCH_BYTES = 256 << 10
"""Size of one thread's scratch to aim for: it has to stay in a second-level cache."""

_LEAST_TILE = 16
"""Rows per tile at least: fewer would read a source line for less than a cache line of use."""

_CHUNKS_PER_THREAD = 4
"""Pieces of the outer axis per thread."""


class WalkSizes(NamedTuple):
    """Sizes of a walk over axes (c, o, p, q).

    channels   length of c
    n_q        input length of q
    tile       rows per tile of p
    rows       scratch rows
    chunks     pieces of o that threads share
    transpose  1 if p is the source's fastest axis: a plane is then read along p
    """

    channels: int
    n_q: int
    tile: int
    rows: int
    chunks: int
    transpose: int


@dataclass(frozen=True)
class AxisWalk:
    """The order in which a kernel visits the axes.

    axes    permutation that takes [C, X, Y, Z] to (c, o, p, q)
    tables  of o, p and q
    sizes   see `WalkSizes`
    used    input indices of q that are read, if not all are; the table of q counts in them, and so does `n_q`
    """

    axes: tuple[int, int, int, int]
    tables: Tables
    sizes: WalkSizes
    used: NDArray[np.int64]


def plan_axis_walk(
    source: HostArray, out: HostArray, tables: Tables, scratch_itemsize: int, *, condense: bool = False
) -> AxisWalk:
    """Axes in the order of `layout.axis_order`.

    condense  leave out input indices of q that no output reads, if the source is transposed and lines of q are not read
              in one piece anyway: a thick-sliced target uses two of every few thin slices
    """
    import numba

    o, p, q = axis_order(source, out)
    transpose = is_across(source, p, q)
    used, table_q = np.arange(source.shape[1 + q]), tables[q]
    if condense and transpose:
        used, table_q = _condensed(table_q)
    n_q = len(used)
    tile = max(_LEAST_TILE, _SCRATCH_BYTES // (n_q * scratch_itemsize))
    chunks = min(len(tables[o]), numba.get_num_threads() * _CHUNKS_PER_THREAD)
    sizes = WalkSizes(source.shape[0], n_q, tile, _scratch_rows(tables[p], tile), chunks, int(transpose))
    return AxisWalk((0, 1 + o, 1 + p, 1 + q), (tables[o], tables[p], table_q), sizes, used)


def _scratch_rows(table: AxisTable, tile: int) -> int:
    """Input rows that the widest tile of `table` spans."""
    begins = np.arange(0, len(table), tile)
    low = np.minimum.reduceat(np.minimum(table.lower, table.upper), begins)
    high = np.maximum.reduceat(np.maximum(table.lower, table.upper), begins)
    return int((high - low).max()) + 1


def _condensed(table: AxisTable) -> tuple[NDArray[np.int64], AxisTable]:
    """The input indices that `table` reads, ascending, and the table that counts in them."""
    upper = np.where(table.weight == 0, table.lower, table.upper)
    used, places = np.unique(np.concatenate([table.lower, upper]), return_inverse=True)
    lower, upper = places[: len(table)], places[len(table) :]
    return used.astype(np.int64), AxisTable(lower.astype(np.int32), upper.astype(np.int32), table.weight)
