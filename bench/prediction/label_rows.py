"""Rows of bench.kernels on labels."""

from __future__ import annotations

from math import prod

from bench.kernel_work import CLASSES, LABEL_TIMES
from bench.kernel_work import read as samples_read
from bench.prediction.geometry import Geometry, Strided, count_tiles, lanes, row_blocks
from bench.prediction.rows import WARPS_PER_BLOCK, Launch, Part, Row
from bench.sass.hot_loops import HotLoop

CHANNEL_TILE = 32
"""Of restore_argmax.cu: outputs per tile and axis; two planes are in shared memory."""

LABELS_PER_THREAD, VOXELS_PER_THREAD = 64, 32
FACES = 3
"""Neighbours of lower index that share a face."""


def label_rows(g: Geometry) -> list[Row]:
    written, voxels = prod(g.shape), prod(g.grid)
    x, y, z = g.grid
    many = LABEL_TIMES * voxels
    histogram = Part(HotLoop("histogram_u1", "LDG", 1), many / 32)
    lookup = Part(HotLoop("lookup_u1", "STG", 1), LABEL_TIMES * x * y * lanes(z))
    read, scored = samples_read(g.labels_back()), samples_read(g.scores_back())
    blocks = -(-many // (256 * LABELS_PER_THREAD))
    return [
        Row("restore", read + written, read, written, 4, (_pick(g),)),
        Row(
            "restore, scores to labels",
            4 * CLASSES * scored + written,
            4 * CLASSES * scored,
            written,
            16,
            (_restore_argmax(g),),
        ),
        Row(f"histogram of {LABEL_TIMES} grids", many, many, many, 4, (Launch("histogram_u1", blocks, (histogram,)),)),
        Row(
            f"lookup in {LABEL_TIMES} grids",
            2 * many,
            many,
            many,
            4,
            (Launch("lookup_u1", row_blocks(LABEL_TIMES * x, y), (lookup,)),),
        ),
        Row("largest components", 2 * voxels, voxels, voxels, 4, _components(voxels)),
    ]


def _pick(g: Geometry) -> Launch:
    kernel = "pick_tile_u1_1"
    t = count_tiles(Strided.last_fastest(g.grid, 1), Strided.first_fastest(g.shape, 1), g.labels_back(), 1)
    return Launch(
        kernel,
        t.tiles * t.depth,
        (
            Part(HotLoop(kernel, "STS", 1), t.packed * t.depth),
            Part(HotLoop(kernel, "STG", 1), t.outputs * t.depth, (t.tiles * t.depth * WARPS_PER_BLOCK * 2,)),
        ),
        t.walk.shared_bytes,
    )


def _restore_argmax(g: Geometry) -> Launch:
    kernel = "restore_argmax_tile_u1"
    source, out = Strided.last_fastest(g.grid, 4, CLASSES), Strided.first_fastest(g.shape, 1)
    t = count_tiles(source, out, g.scores_back(), 4, tiles=(CHANNEL_TILE,), planes=2)
    blocks = t.tiles * t.depth
    own = blocks * WARPS_PER_BLOCK * (CHANNEL_TILE // WARPS_PER_BLOCK) * CLASSES  # a thread past the end works, too
    return Launch(
        kernel,
        blocks,
        (
            Part(HotLoop(kernel, r"STS\.32", 4), t.packed * t.depth * CLASSES),
            Part(HotLoop(kernel, r"LDS\.32", 16), own),
        ),
        t.walk.shared_bytes,
    )


def _components(voxels: int) -> tuple[Launch, ...]:
    """Of large connected regions: every voxel is joined with three neighbours, in one attempt each."""
    warps, blocks = voxels / 32, -(-voxels // 256)
    join, settle = HotLoop("components_join_u1", r"LDG\.8"), HotLoop("components_settle_u1", r"LDG\.8")
    attempt = HotLoop("components_join_u1", "atomic")
    return (
        Launch("components_start", blocks),
        Launch("components_join_u1", blocks, (Part(join, FACES * warps), Part(attempt, FACES * warps))),
        Launch("components_settle_u1", -(-blocks // VOXELS_PER_THREAD), (Part(settle, warps),)),
        Launch("components_rank_u1", blocks, early=True),
        Launch("components_choose_u1", blocks),
    )
