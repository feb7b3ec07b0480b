"""Launches of restore.cu: tiles in shared memory, and blocks."""

from __future__ import annotations

from gpu_infer.backends.gpu.tables import DeviceTables, Walk, grid_size, plan_walk
from gpu_infer.backends.layout import axis_order
from gpu_infer.backends.types import DeviceArray, Tables

_WORD = 4
"""Bytes that are staged at once, if elements are no wider."""

_SLICES, _ROWS, _COLUMNS = 4, 32, 256
"""The constants of restore.cu: outputs of a block along o with tiles, and along p and q without."""

_TILE_BLOCK, _BLOCK = (32, 4), (32, 8)
"""Threads of a block with tiles and without."""


_LARGEST_DISTANCE = 1 << 31
"""Bytes: distances in a tile of the source are 32-bit."""


def pick_walk(source: DeviceArray, out: DeviceArray, tables: Tables, device: DeviceTables) -> Walk:
    """The walk of a copy from [C, X, Y, Z] to [C, X, Y, Z]: rows of words along p are staged, `pitch` words apart."""
    itemsize = source.dtype.itemsize
    per_word = max(1, _WORD // itemsize)
    _, p, q = axis_order(source, out)
    step_p, step_q = abs(source.strides[1 + p]), abs(source.strides[1 + q])

    def layout(high: int, tile: int, rows: int, columns: int) -> tuple[int, int]:
        # all but one of the samples in a row's first word may be before the row
        words = -(-(rows + per_word - 1) // per_word)
        pitch = words | 1  # neighbours along q are in other banks
        fits = rows * step_p + columns * step_q < _LARGEST_DISTANCE
        return pitch, columns * pitch * max(_WORD, itemsize) if fits else _LARGEST_DISTANCE

    return plan_walk(source, out, tables, layout, device, slices=_SLICES)


def pick_grid(walk: Walk, shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """Blocks for outputs of `shape` (c, o, p, q), and the threads of one."""
    return grid_size(walk, shape, _ROWS, _COLUMNS), _TILE_BLOCK if walk.tile else _BLOCK
