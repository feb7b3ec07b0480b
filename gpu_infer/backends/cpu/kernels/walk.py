"""In which order the CPU's resampling kernels visit the axes, and how large a piece they hold at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.layout import axis_order, is_across
from gpu_infer.backends.tables import AxisTable
from gpu_infer.backends.types import Tables

_SCRATCH_BYTES = 256 << 10
"""Aim for the scratch of one thread: it has to stay in a second-level cache."""

_LEAST_TILE = 16
"""Rows per tile at least: fewer would read a source line for less than a cache line of use."""

_CHUNKS_PER_THREAD = 4
"""Pieces of the outer axis per thread."""


@dataclass(frozen=True)
class Walk:
    """axes    permutation that takes [C, X, Y, Z] to (c, o, p, q)
    tables  of o, p and q
    sizes   (channels, input length of q, rows per tile of p, scratch rows, chunks of o, 1 to transpose the
    source)
    used    input indices of q that any output reads, where they alone are read; the table of q counts in them, and
            so does the input length of q
    """

    axes: tuple[int, int, int, int]
    tables: Tables
    sizes: tuple[int, int, int, int, int, int]
    used: NDArray[np.int64]


def plan_walk(
    source: NDArray[Any], out: NDArray[Any], tables: Tables, scratch_itemsize: int, *, condense: bool = False
) -> Walk:
    """q is the fastest axis of `out`, p the source's fastest among the other two.

    condense  leave out input indices of q that no output reads, where the source is transposed and lines of q are
              not read in one piece anyway: a thick-sliced target uses two of every few thin slices
    """
    o, p, q = axis_order(source, out)
    transpose = is_across(source, p, q)
    used, table_q = np.arange(source.shape[1 + q]), tables[q]
    if condense and transpose:
        used, table_q = _condensed(table_q)
    n_q = len(used)
    tile = max(_LEAST_TILE, _SCRATCH_BYTES // (n_q * scratch_itemsize))
    chunks = min(len(tables[o]), numba.get_num_threads() * _CHUNKS_PER_THREAD)
    sizes = (source.shape[0], n_q, tile, _scratch_rows(tables[p], tile), chunks, int(transpose))
    return Walk((0, 1 + o, 1 + p, 1 + q), (tables[o], tables[p], table_q), sizes, used)


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
