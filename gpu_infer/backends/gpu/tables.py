"""Resampling tables on the device, with the source span of every tile of outputs; and the plan of one launch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.layout import axis_order, is_across
from gpu_infer.backends.tables import AxisTable
from gpu_infer.backends.types import DeviceArray, Tables

TILES = (64, 32, 16)
"""Outputs per tile and axis that the tiled kernels may be launched with, the best first."""

SQUARES = tuple((tile, tile) for tile in TILES)
PREPARE_TILES = ((64, 64), (32, 64), (32, 32), (16, 16))
RESTORE_ARGMAX_TILES = ((32, 64), (32, 32))
"""(outputs per tile of p, of q) of the kernels of that name, the best first."""

SHARED_BYTES = (48 << 10) - 64
"""Dynamic shared memory that every device gives a block by default, less a kernel's counters."""


@dataclass(frozen=True)
class Spans:
    """Per tile of outputs, the inputs that it reads: `count[t]` from `first[t]` on."""

    first: NDArray[np.int32]
    count: NDArray[np.int32]

    @property
    def widest(self) -> int:
        return int(self.count.max())


def spans(table: AxisTable, tile: int) -> Spans:
    begins = np.arange(0, len(table), tile)
    low = np.minimum.reduceat(np.minimum(table.lower, table.upper), begins)
    high = np.maximum.reduceat(np.maximum(table.lower, table.upper), begins)
    return Spans(low.astype(np.int32), (high - low + 1).astype(np.int32))


def copied_view(source: DeviceArray, tables: Tables) -> DeviceArray | None:
    """The view of `source` that `tables` copy element by element: the whole of it, a crop, a flip.

    None if they interpolate, repeat or skip anything.
    """
    slices = [_copied_slice(table) for table in tables]
    return None if None in slices else source[(slice(None), *slices)]


def _copied_slice(table: AxisTable) -> slice | None:
    if not table.is_gather:
        return None
    first, last, step = int(table.lower[0]), int(table.lower[-1]), 1
    if last < first:
        step = -1
    if not np.array_equal(table.lower, np.arange(first, first + step * len(table), step)):
        return None
    end = last + step
    return slice(first, end if end >= 0 else None, step)


class DeviceTables:
    """Tables on the device, for as long as their host tables exist.

    upload  int32 [n] host array → device array
    """

    def __init__(self, upload: Callable[[NDArray[np.int32]], DeviceArray]) -> None:
        self._upload = upload
        self._entries: weakref.WeakKeyDictionary[AxisTable, tuple[DeviceArray, dict[int, Spans]]] = (
            weakref.WeakKeyDictionary()
        )

    def spans(self, table: AxisTable, tile: int) -> Spans:
        return self._entry(table)[1][tile]

    def axis(self, table: AxisTable, tile: int) -> tuple[int, ...]:
        """The pointers of `kernel_arguments.AXIS`; tile 0: without spans."""
        array, per_tile = self._entry(table)
        base, n = int(array.data.ptr), len(table)
        entries = tuple(base + 4 * n * part for part in range(4))
        at = 4 * n
        for size in TILES:
            tiles = len(per_tile[size].first)
            if size == tile:
                return (*entries, base + 4 * at, base + 4 * (at + tiles))
            at += 2 * tiles
        return (*entries, 0, 0)

    def _entry(self, table: AxisTable) -> tuple[DeviceArray, dict[int, Spans]]:
        entry = self._entries.get(table)
        if entry is None:
            per_tile = {tile: spans(table, tile) for tile in TILES}
            rest = np.float32(1.0) - table.weight
            parts = [table.lower, table.upper, table.weight.view(np.int32), rest.view(np.int32)]
            for tile in TILES:
                parts += [per_tile[tile].first, per_tile[tile].count]
            entry = (self._upload(np.concatenate(parts)), per_tile)
            self._entries[table] = entry
        return entry


@dataclass(frozen=True)
class Walk:
    """One launch over axes (c, o, p, q): q the output's fastest axis, p the source's fastest among the others.

    axes    permutation that takes [C, X, Y, Z] to (c, o, p, q)
    tables  of o, p and q
    high, tile  outputs per tile of p and of q, 0 for the kernel without tiles
    pitch, shared_bytes  of the planes in shared memory
    slices  outputs along o per block of the kernel with tiles
    """

    axes: tuple[int, int, int, int]
    tables: Tables
    high: int
    tile: int
    pitch: int
    shared_bytes: int
    slices: int = 1


class Layout(Protocol):
    """Shared memory of a tile of `high` x `tile` outputs of (p, q) over `rows` x `columns` inputs of them."""

    def __call__(self, high: int, tile: int, rows: int, columns: int) -> tuple[int, int]:
        """(elements per row, bytes in all)"""


_NEIGHBOURS_BYTES = 16


def interpolated_rows(high: int, tile: int, rows: int, columns: int) -> tuple[int, int]:
    """planes.cuh with a table of the tile's rows: prepare.cu."""
    pitch = (columns + 1) | 1
    return pitch, _NEIGHBOURS_BYTES * high + 4 * pitch * (high + rows + 1)


def interpolated_rows_and_columns(high: int, tile: int, rows: int, columns: int) -> tuple[int, int]:
    """planes.cuh with tables of the rows and columns of the greatest tile: restore_argmax.cu."""
    pitch, nbytes = interpolated_rows(high, tile, rows, columns)
    return pitch, nbytes + _NEIGHBOURS_BYTES * TILES[0]


def plan_walk(
    source: DeviceArray,
    out: DeviceArray,
    tables: Tables,
    layout: Layout,
    device: DeviceTables,
    *,
    tiles: Sequence[tuple[int, int]] = SQUARES,
    slices: int = 1,
) -> Walk:
    """`tiles` are (high, tile) of `TILES`, the best first; `layout` is that of the kernel; `slices` as in `Walk`."""
    o, p, q = axis_order(source, out)
    ordered: Tables = (tables[o], tables[p], tables[q])
    axes = (0, 1 + o, 1 + p, 1 + q)
    for high, tile in tiles if is_across(source, p, q) else ():
        rows, columns = device.spans(tables[p], high).widest, device.spans(tables[q], tile).widest
        pitch, shared_bytes = layout(high, tile, rows, columns)
        if shared_bytes <= SHARED_BYTES:
            return Walk(axes, ordered, high, tile, pitch, shared_bytes, slices)
    return Walk(axes, ordered, 0, 0, 0, 0)


def grid_size(walk: Walk, shape: tuple[int, ...], rows: int, lanes: int) -> int:
    """Blocks for outputs of `shape` (c, o, p, q); rows × lanes of (p, q) per block if there are no tiles."""
    deep, high, wide = (walk.slices, walk.high, walk.tile) if walk.tile else (1, rows, lanes)
    c, o, p, q = shape
    return c * -(-o // deep) * -(-p // high) * -(-q // wide)
