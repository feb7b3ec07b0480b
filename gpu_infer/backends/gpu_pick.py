"""How the kernels of restore.cu walk: their tiles in shared memory, and their blocks."""

from __future__ import annotations

from dataclasses import replace

from .base import Array, Tables
from .gpu_tables import SHARED_BYTES, TILES, DeviceTables, Walk, grid_size, plan_walk

_WORD = 4
"""Bytes that are staged at once of elements that are no wider."""

_SLICES, _ROWS, _COLUMNS = 4, 32, 256
"""As in restore.cu: outputs of a block along o with tiles, and along p and q without."""

_TILE_BLOCK, _BLOCK = (32, 4), (32, 8)
"""Threads of a block with tiles and without."""


def pick_walk(source: Array, out: Array, tables: Tables, device: DeviceTables) -> Walk:
    """The walk of a copy from [C, X, Y, Z] to [C, X, Y, Z]: rows of words along p are staged, `pitch` words apart."""
    itemsize = source.dtype.itemsize
    walk = plan_walk(source, out, tables, itemsize, device)
    if not walk.tile:
        return walk
    _, p, q = walk.tables
    per_word = max(1, _WORD // itemsize)
    _, _, step_p, step_q = source.transpose(walk.axes).strides
    for tile in TILES:
        wide, high = device.spans(p, tile).widest, device.spans(q, tile).widest
        if wide * abs(step_p) + high * abs(step_q) >= 1 << 31:  # distances in a tile are 32-bit
            continue
        # of the samples in a row's first word, all but one may lie before the row
        words = -(-(wide + per_word - 1) // per_word)
        pitch = words | 1  # neighbours along q lie in other banks
        size = high * pitch * max(_WORD, itemsize)
        if size <= SHARED_BYTES:
            return replace(walk, tile=tile, pitch=pitch, shared_bytes=size, slices=_SLICES)
    return replace(walk, tile=0, pitch=0, shared_bytes=0)


def pick_grid(walk: Walk, shape: tuple[int, ...]) -> tuple[int, tuple[int, int]]:
    """Blocks for outputs of `shape` (c, o, p, q), and the threads of one."""
    return grid_size(walk, shape, _ROWS, _COLUMNS), _TILE_BLOCK if walk.tile else _BLOCK
