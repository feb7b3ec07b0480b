"""Resampling tables on the device, with the source span of every tile of outputs; and the plan of one launch."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .base import Array, Tables
from .tables import AxisTable

TILES = (64, 32, 16)
"""Outputs per tile and axis that the tiled kernels may be launched with, the best first."""

SHARED_BYTES = (48 << 10) - 64
"""Dynamic shared memory that every device gives a block unasked, beside a kernel's own counters."""


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


class DeviceTables:
    """Keeps tables on the device for as long as their host tables live.

    upload  int32 [n] host array → device array
    """

    def __init__(self, upload: Callable[[NDArray[np.int32]], Array]) -> None:
        self._upload = upload
        self._held: weakref.WeakKeyDictionary[AxisTable, tuple[Array, dict[int, Spans]]] = weakref.WeakKeyDictionary()

    def spans(self, table: AxisTable, tile: int) -> Spans:
        return self._entry(table)[1][tile]

    def axis(self, table: AxisTable, tile: int) -> tuple[int, ...]:
        """The pointers of `gpu_arguments.AXIS`; tile 0: without spans."""
        array, per_tile = self._entry(table)
        base, n = int(array.data.ptr), len(table)
        at = 3 * n
        for size in TILES:
            tiles = len(per_tile[size].first)
            if size == tile:
                return (base, base + 4 * n, base + 8 * n, base + 4 * at, base + 4 * (at + tiles))
            at += 2 * tiles
        return (base, base + 4 * n, base + 8 * n, 0, 0)

    def _entry(self, table: AxisTable) -> tuple[Array, dict[int, Spans]]:
        found = self._held.get(table)
        if found is None:
            per_tile = {tile: spans(table, tile) for tile in TILES}
            parts = [table.lower, table.upper, table.weight.view(np.int32)]
            for tile in TILES:
                parts += [per_tile[tile].first, per_tile[tile].count]
            found = (self._upload(np.concatenate(parts)), per_tile)
            self._held[table] = found
        return found


@dataclass(frozen=True)
class Walk:
    """One launch over axes (c, o, p, q): q the output's fastest axis, p the source's fastest among the others.

    axes    permutation that takes [C, X, Y, Z] to (c, o, p, q)
    tables  of o, p and q
    tile    outputs per tile of p and q, 0 for the kernel without tiles
    pitch, shared_bytes  of the plane in shared memory
    slices  outputs along o per block of the kernel with tiles
    """

    axes: tuple[int, int, int, int]
    tables: Tables
    tile: int
    pitch: int
    shared_bytes: int
    slices: int = 1


def axis_order(source: Array, out: Array) -> tuple[int, int, int]:
    """Spatial axes (o, p, q); the CPU twin interpolates in the same order, so that both round alike."""
    step_in = [abs(s) for s in source.strides[1:]]
    step_out = [abs(s) for s in out.strides[1:]]
    q = min(range(3), key=lambda a: (out.shape[1 + a] == 1, step_out[a], -a))
    p = min((a for a in range(3) if a != q), key=lambda a: (source.shape[1 + a] == 1, step_in[a], -a))
    return 3 - p - q, p, q


def plan_walk(
    source: Array,
    out: Array,
    tables: Tables,
    itemsize: int,
    device: DeviceTables,
    *,
    tiles: Sequence[int] = TILES,
    planes: int = 1,
    slices: int = 1,
) -> Walk:
    """`itemsize` is that of an element in shared memory, which holds `planes` of them at a time; `tiles` of `TILES`;
    `slices` as in `Walk`."""
    o, p, q = axis_order(source, out)
    ordered: Tables = (tables[o], tables[p], tables[q])
    axes = (0, 1 + o, 1 + p, 1 + q)
    across = abs(source.strides[1 + p]) < abs(source.strides[1 + q]) and source.shape[1 + p] > 1
    for tile in tiles if across else ():
        pitch = _pitch(device.spans(tables[q], tile).widest, itemsize)
        size = device.spans(tables[p], tile).widest * pitch * itemsize * planes
        if size <= SHARED_BYTES:
            return Walk(axes, ordered, tile, pitch, size, slices)
    return Walk(axes, ordered, 0, 0, 0)


def _pitch(columns: int, itemsize: int) -> int:
    """Elements per row, an odd number of 4-byte banks (or of elements that are wider): columns meet no conflict."""
    per_bank = max(1, 4 // itemsize)
    return (-(-columns // per_bank) | 1) * per_bank


def grid_size(walk: Walk, shape: tuple[int, ...], rows: int, lanes: int) -> int:
    """Blocks for outputs of `shape` (c, o, p, q); rows × lanes of (p, q) per block where there are no tiles."""
    deep, high, wide = (walk.slices, walk.tile, walk.tile) if walk.tile else (1, rows, lanes)
    c, o, p, q = shape
    return c * -(-o // deep) * -(-p // high) * -(-q // wide)
