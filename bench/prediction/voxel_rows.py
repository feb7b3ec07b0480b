"""Rows of bench.kernels on stored and prepared voxels."""

from __future__ import annotations

from math import prod

import numpy as np

from bench.prediction.geometry import GROUPS, LANES, UNDER_WAY, Geometry, Strided, count_tiles, lanes, row_blocks
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import HotLoop
from bench.sides.kernel_work import read as samples_read
from gpu_infer.backends.gpu.tables import PREPARE_TILES, interpolated_rows, plan_walk

SLICES = 4
"""As the constants of that name in prepare.cu and turn.cu."""

TURNED_TILE = 64
"""TILE of turn.cu."""

MOMENT_BLOCKS = 6
"""Per multiprocessor."""

ARRAY_WARPS, ARRAY_COLUMNS = 8, 2048
"""Warps of a block, and outputs of a warp, as in arrays.cuh."""


def voxel_rows(g: Geometry, multiprocessors: int) -> list[Row]:
    voxels, outputs = prod(g.shape), prod(g.grid)
    samples = samples_read(g.to_model())
    i, j, k = g.shape
    row_warps, blocks = i * j * lanes(k), row_blocks(i, j)

    def over_rows(name: str, kernel: str, event: str, nbytes: int, in_flight: int) -> Row:
        part = Part(HotLoop(kernel, event), row_warps)
        return Row(name, nbytes * voxels, 4 * voxels, voxels, in_flight, (Launch(kernel, blocks, (part,)),))

    moments = Part(HotLoop("moments_f4", r"LDG\.32"), voxels / 32)
    return [
        Row("prepare, linear to 1 mm", 2 * samples + 4 * outputs, 2 * samples, outputs, 12, (_prepare(g),)),
        Row("prepare, turn and scale", 6 * voxels, 2 * voxels, voxels, 8, (_turn(g),)),
        Row(
            "masked moments",
            4 * voxels,
            4 * voxels,
            voxels,
            16,
            (Launch("moments_f4", min(MOMENT_BLOCKS * multiprocessors, -(-voxels // 256)), (moments,)),),
        ),
        over_rows("masked scale", "masked_f4_f4", r"STG\.32", 8, 16),
        over_rows("threshold", "threshold_f4_1", r"STG\.8", 5, 16),
        over_rows("extent of a mask", "extent_f4", r"LDG\.32", 4, 16),
        Row("take (arrays)", 8 * voxels, 4 * voxels, voxels, 16, (_take(g),)),
        Row("convert (arrays)", 6 * voxels, 2 * voxels, voxels, 8, (_convert(g),)),
    ]


def _prepare(g: Geometry) -> Launch:
    kernel = "prepare_tile_i2_f4"
    stored, model = Strided.first_fastest(g.shape, np.int16), Strided.last_fastest(g.grid, np.float32)
    t = count_tiles(
        lambda device: plan_walk(
            stored, model, g.to_model(), interpolated_rows, device, tiles=PREPARE_TILES, slices=SLICES
        )
    )
    two, one = (HotLoop(kernel, r"STS\.32", 4, loads=n) for n in (2, 1))
    planes, rest = t.tiles * GROUPS, t.depth - t.between
    return Launch(
        kernel,
        t.blocks,
        (
            Part(two, t.columns * t.between, (0, planes * t.between)),
            Part(one, t.columns * rest, (0, planes * rest)),
            Part(HotLoop(kernel, r"STS\.128", 16), t.quads * t.depth, (0, t.pairs * t.depth)),
            Part(HotLoop(kernel, r"STG\.32", 4), t.outputs * t.depth, (planes * t.depth,)),
        ),
        t.walk.shared_bytes,
    )


def _turn(g: Geometry) -> Launch:
    """One turn of the loop over planes processes 64 x 64 voxels; smaller tiles have separate loops."""
    kernel, (p, o, q) = "turn_tile_i2_f4", g.shape
    of_p, of_q = _tiles(p), _tiles(q)
    tiles = [(high, wide) for high in of_p for wide in of_q]
    parts = [(high, wide) for high, wide in tiles if high < TURNED_TILE or wide < TURNED_TILE]
    whole = len(tiles) - len(parts)
    read = sum(lanes(high) * wide for high, wide in parts)
    written = sum(high * TURNED_TILE // LANES for high, _ in parts)
    lines = sum(lanes(high) * GROUPS for high, _ in parts)
    return Launch(
        kernel,
        len(tiles) * -(-o // SLICES),
        (
            Part(HotLoop(kernel, r"STG\.32", 4, depth=1), whole * TURNED_TILE * TURNED_TILE // LANES * o),
            Part(HotLoop(kernel, r"STS\.32", 4, depth=3), read * o, (len(parts) * GROUPS * o, lines * o)),
            Part(HotLoop(kernel, r"STG\.32", 4, depth=2), written * o),
        ),
    )


def _tiles(size: int) -> list[int]:
    return [min(TURNED_TILE, size - begin) for begin in range(0, size, TURNED_TILE)]


def _take(g: Geometry) -> Launch:
    """Planes in another order: the last two axes are one, along which nothing is looked up."""
    i, j, k = g.shape
    return _walk_rows("take_4", r"LDG\.32", rows=i, length=j * k, axes=1)


def _convert(g: Geometry) -> Launch:
    """The file's voxels along its slowest axis: one by one."""
    i, j, k = g.shape
    return _walk_rows("convert_i2_f4", r"LDG\.16", rows=i * j, length=k, axes=2)


def _walk_rows(kernel: str, reads: str, *, rows: int, length: int, axes: int) -> Launch:
    """Rows in pieces, one per warp; the number of a row is split along the `axes` before the last."""
    pieces = [min(ARRAY_COLUMNS, length - begin) for begin in range(0, length, ARRAY_COLUMNS)]
    turns = rows * sum(-(-size // (UNDER_WAY * LANES)) for size in pieces)
    blocks = -(-rows * len(pieces) // ARRAY_WARPS)
    return Launch(
        kernel,
        blocks,
        (
            Part(HotLoop(kernel, r"STG\.32", 4), UNDER_WAY * turns),
            Part(HotLoop(kernel, "MUFU"), axes * blocks * ARRAY_WARPS),
        ),
        through=f"{reads}|MUFU",
    )
