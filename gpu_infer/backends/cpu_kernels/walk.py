"""In which order the CPU's resampling kernels visit the axes, and how large a piece they hold at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from ..base import Tables
from ..tables import AxisTable

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
    """

    axes: tuple[int, int, int, int]
    tables: Tables
    sizes: tuple[int, int, int, int, int, int]


def plan_walk(source: NDArray[Any], out: NDArray[Any], tables: Tables, scratch_itemsize: int) -> Walk:
    """q is the fastest axis of `out`, p the source's fastest among the other two."""
    step_in = [abs(s) for s in source.strides[1:]]
    step_out = [abs(s) for s in out.strides[1:]]
    # an axis of one sample may carry any stride and is never worth an inner loop
    q = min(range(3), key=lambda a: (out.shape[1 + a] == 1, step_out[a], -a))
    p = min((a for a in range(3) if a != q), key=lambda a: (source.shape[1 + a] == 1, step_in[a], -a))
    o = 3 - p - q
    n_q = source.shape[1 + q]
    tile = max(_LEAST_TILE, _SCRATCH_BYTES // (n_q * scratch_itemsize))
    chunks = min(len(tables[o]), numba.get_num_threads() * _CHUNKS_PER_THREAD)
    transpose = step_in[p] < step_in[q] and source.shape[1 + p] > 1
    sizes = (source.shape[0], n_q, tile, _scratch_rows(tables[p], tile), chunks, int(transpose))
    return Walk((0, 1 + o, 1 + p, 1 + q), (tables[o], tables[p], tables[q]), sizes)


def _scratch_rows(table: AxisTable, tile: int) -> int:
    """Input rows that the widest tile of `table` spans."""
    begins = np.arange(0, len(table), tile)
    low = np.minimum.reduceat(np.minimum(table.lower, table.upper), begins)
    high = np.maximum.reduceat(np.maximum(table.lower, table.upper), begins)
    return int((high - low).max()) + 1
