"""Resampling by a weighted sum of neighbours along one axis: the table, and the order and the memory of the passes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SLAB_BYTES = 16 << 20
"""Of what lies between the first two axes of a resampling."""


@dataclass(frozen=True, eq=False)
class TapTable:
    """Resampling along one axis: out[o] = Σ weights[o, k]·in[first[o] + k] for k < count[o].

    first    int32 [n_out]
    count    int32 [n_out], at least 1; first + count is at most n_in
    weights  float32 [n_out, taps]; 0 from count on

    A copy of one sample has a count of 1: infinite or NaN neighbours that have no part in it cannot leak in as 0 · inf.
    """

    first: NDArray[np.int32]
    count: NDArray[np.int32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return int(self.first.shape[0])

    def is_identity(self, n_in: int) -> bool:
        """True if every output is the input at the same index."""
        copies = len(self) == n_in and bool((self.count == 1).all() and (self.weights[:, 0] == 1.0).all())
        return copies and bool(np.array_equal(self.first, np.arange(n_in)))

    def part(self, start: int, size: int) -> TapTable:
        """`size` entries from `start` on."""
        entries = slice(start, start + size)
        return TapTable(self.first[entries], self.count[entries], self.weights[entries])


class TablePart(NamedTuple):
    """`size` entries of a table from `start` on, for an array whose first sample has the index `base` in the table."""

    table: TapTable
    start: int
    size: int
    base: int

    @staticmethod
    def whole(table: TapTable) -> TablePart:
        return TablePart(table, 0, len(table), 0)


TapTables = tuple[TapTable, TapTable, TapTable]
"""The tables of X, Y and Z."""


def pass_order(in_shape: tuple[int, ...], tables: TapTables) -> list[int]:
    """The axes that change, in the order in which they are resampled: the one that shrinks most first.

    It depends on shapes alone: both backends round alike, and the bytes between passes can be planned.
    """
    axes = [a for a in range(3) if not tables[a].is_identity(in_shape[a])]
    return sorted(axes, key=lambda a: (len(tables[a]) / in_shape[a], a))


def resampled_shape(shape: Sequence[int], tables: TapTables, axes: Sequence[int]) -> tuple[int, ...]:
    """(X, Y, Z) after the passes along `axes`."""
    return tuple(len(tables[a]) if a in axes else n for a, n in enumerate(shape))


def slab_rows(shape: Sequence[int], axis: int) -> int:
    """Rows along `axis` of a slab of float32 of `shape` (X, Y, Z) that is not larger than `SLAB_BYTES`, at least 1."""
    return max(1, min(shape[axis], SLAB_BYTES // max(1, _row_bytes(shape, axis))))


def band_rows(shape: Sequence[int], axis: int, table: TapTable) -> int:
    """Rows along `axis` of the buffer between the second and the third pass, of float32 of `shape` (X, Y, Z).

    Six times the samples of one output at least, so that few rows are moved from band to band.
    """
    return min(shape[axis], max(6 * int(table.count.max()), slab_rows(shape, axis)))


def bands(table: TapTable, rows: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (start, stop, low, high): outputs start … stop − 1 read samples low … high − 1, at most `rows`.

    `rows` is at least the samples of one output. The indices in `table` rise.
    """
    first, last = table.first.astype(np.int64), table.first.astype(np.int64) + table.count
    start = 0
    while start < len(table):
        low = int(first[start:].min())
        reach = np.maximum.accumulate(last[start:])
        stop = start + max(1, int(np.searchsorted(reach, low + rows, side="right")))
        yield start, stop, low, int(reach[stop - start - 1])
        start = stop


def scratch_bytes(in_shape: tuple[int, ...], tables: TapTables) -> int:
    """Most bytes that `Backend.resample_taps` allocates at a time for an input of (X, Y, Z): float32, one channel."""
    axes = pass_order(in_shape, tables)
    if len(axes) < 2:
        return 0
    across = 3 - axes[0] - axes[1]
    between = resampled_shape(in_shape, tables, axes[:1])
    slab = _row_bytes(between, across) * slab_rows(between, across)
    if len(axes) == 2:
        return slab
    buffer = resampled_shape(in_shape, tables, axes[:2])
    return slab + _row_bytes(buffer, across) * band_rows(buffer, across, tables[across])


def _row_bytes(shape: Sequence[int], axis: int) -> int:
    return 4 * math.prod(shape) // max(1, shape[axis])
