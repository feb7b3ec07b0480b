"""Rows of bench.kernels on stored and prepared voxels."""

from __future__ import annotations

from math import prod

from bench.kernel_work import read as samples_read
from bench.prediction.geometry import Geometry, Strided, TileCounts, count_tiles, lanes, row_blocks
from bench.prediction.rows import WARPS_PER_BLOCK, Launch, Part, Row
from bench.sass.hot_loops import HotLoop

SLICES = 4
"""As prepare.cu's constant of that name."""

MOMENT_BLOCKS = 512
ARRAY_ROWS, ARRAY_COLUMNS = 8, 1024
"""Outputs per block of arrays.cu."""


def voxel_rows(g: Geometry) -> list[Row]:
    voxels, outputs = prod(g.shape), prod(g.grid)
    stored = Strided.first_fastest(g.shape, 2)
    model, turned = Strided.last_fastest(g.grid, 4), Strided.last_fastest(g.shape, 4)
    linear = count_tiles(stored, model, g.to_model(), 4, slices=SLICES)
    turn = count_tiles(stored, turned, g.same(), 4, slices=SLICES)
    samples = samples_read(g.to_model())
    i, j, k = g.shape
    row_warps, blocks = i * j * lanes(k), row_blocks(i, j)

    def over_rows(name: str, kernel: str, event: str, nbytes: int, in_flight: int) -> Row:
        part = Part(HotLoop(kernel, event), row_warps)
        return Row(name, nbytes * voxels, 4 * voxels, voxels, in_flight, (Launch(kernel, blocks, (part,)),))

    moments = Part(HotLoop("moments_f4", r"LDG\.32"), voxels / 32)
    conversion = Part(HotLoop("linear_0", r"STG\.32", through=r"LDG\.16|STG\.32|I2F\.F64|F2F\.F32\.F64"), row_warps)
    return [
        Row("prepare, linear to 1 mm", 2 * samples + 4 * outputs, 2 * samples, outputs, 16, (_prepare(linear),)),
        Row("prepare, turn and scale", 6 * voxels, 2 * voxels, voxels, 8, (_prepare(turn),)),
        Row(
            "masked moments",
            4 * voxels,
            4 * voxels,
            voxels,
            16,
            (Launch("moments_f4", min(MOMENT_BLOCKS, -(-voxels // 256)), (moments,)),),
        ),
        over_rows("masked scale", "masked_f4_f4", r"STG\.32", 8, 16),
        over_rows("threshold", "threshold_f4_1", r"STG\.8", 5, 16),
        over_rows("extent of a mask", "extent_f4", r"LDG\.32", 4, 16),
        Row(
            "convert (arrays)",
            6 * voxels,
            2 * voxels,
            voxels,
            2,
            (Launch("linear_0", -(-i * j // ARRAY_ROWS) * -(-k // ARRAY_COLUMNS), (conversion,)),),
        ),
    ]


def _prepare(t: TileCounts) -> Launch:
    kernel = "prepare_tile_i2_f4"
    blocks = t.tiles * -(-t.depth // SLICES)
    two, one = (HotLoop(kernel, r"STS\.32", 4, loads=n) for n in (2, 1))
    planes = t.tiles * WARPS_PER_BLOCK * t.depth
    return Launch(
        kernel,
        blocks,
        (
            Part(two, t.columns * t.between, (0, t.chunks * t.between)),
            Part(one, t.columns * (t.depth - t.between), (0, t.chunks * (t.depth - t.between))),
            Part(HotLoop(kernel, r"STG\.32", 4), t.outputs * t.depth, (planes,)),
        ),
        t.walk.shared_bytes,
    )
