"""Rows of bench.kernels on windows and scores."""

from __future__ import annotations

from math import prod

import numpy as np

from bench.prediction.geometry import Geometry, lanes, row_blocks
from bench.prediction.rows import Launch, Part, Row
from bench.sass.hot_loops import HotLoop
from bench.sides.kernel_work import BLENDED, CLASSES, GATHERED, box, starts

ROWS = 8
"""Rows of j per block, as the constant of that name in blend.cu and finish.cu."""


def window_rows(g: Geometry) -> list[Row]:
    window, voxels = prod(g.window), prod(g.grid)
    covered = np.zeros(g.grid, bool)
    for start in starts(g.grid, g.window, GATHERED):
        covered[box(start, g.window)] = True
    i, j, k = g.window
    gather = Part(HotLoop("gather_f4_f4", r"STG\.32"), GATHERED * i * j * lanes(k))
    sizes = [_inside(start, g) for start in starts(g.grid, g.window, BLENDED)]
    inside = sum(prod(size) for size in sizes)
    return [
        Row(
            f"gather {GATHERED} windows",
            4 * (int(covered.sum()) + GATHERED * window),
            4 * int(covered.sum()),
            GATHERED * window,
            16,
            (Launch("gather_f4_f4", GATHERED * row_blocks(i, j), (gather,)),),
        ),
        Row(
            f"blend {BLENDED} windows",
            12 * CLASSES * inside,
            8 * CLASSES * inside,
            CLASSES * inside,
            16,
            tuple(_blend("blend_f4", size) for size in sizes),
        ),
        _blend_parts("float32", "blend_parts_f4", 4, sizes),
        _blend_parts("float16", "blend_parts_f2", 2, sizes),
        _finish(g, "finish, argmax", "finish_argmax_u1", r"STG\.8", 8 * CLASSES + 1, voxels, together=2),
        _finish(g, "finish, scores", "finish_scores", r"STG\.32", 12 * CLASSES, CLASSES * voxels, item_bytes=8),
        _finish(g, "finish, masks", "finish_masks", r"STG\.8", 9 * CLASSES, CLASSES * voxels),
        _finish(g, "argmax of scores", "argmax_f4_u1", r"STG\.8", 4 * CLASSES + 1, voxels, together=1),
    ]


def _inside(start: tuple[int, ...], g: Geometry) -> tuple[int, ...]:
    return tuple(min(a + w, n) - a for a, w, n in zip(start, g.window, g.grid, strict=True))


def _blend_parts(kind: str, kernel: str, nbytes: int, sizes: list[tuple[int, ...]]) -> Row:
    """nbytes of a score. One launch per window has the blocks of all parts, which are cut along X, the blocks' slowest
    axis: as many as without parts. The few turns of a block in search of its part are not counted."""
    scores = CLASSES * sum(prod(size) for size in sizes)
    launches = tuple(_blend(kernel, size) for size in sizes)
    read, together = nbytes + 4, 2
    return Row(
        f"blend {BLENDED} windows in parts, {kind}",
        (read + 4) * scores,
        read * scores,
        scores,
        together * read,
        launches,
    )


def _blend(kernel: str, size: tuple[int, ...]) -> Launch:
    i, j, k = size
    rows, warps = i * j, i * j * lanes(k)
    part = Part(HotLoop(kernel, r"STG\.32", 4), warps * CLASSES, (rows, rows, warps))
    return Launch(kernel, i * -(-j // ROWS), (part,))


def _finish(
    g: Geometry,
    name: str,
    kernel: str,
    event: str,
    nbytes: int,
    outputs: int,
    *,
    together: int = 0,
    item_bytes: int = 0,
) -> Row:
    """together: voxels of a row per turn of the loop over k; 0: two, with a loop over channels inside."""
    i, j, k = g.grid
    rows, warps, voxels = i * j, i * j * lanes(k), i * j * k
    if together:
        part = Part(HotLoop(kernel, event, item_bytes), warps, (rows, rows) if together > 1 else (rows,))
    else:
        part = Part(HotLoop(kernel, event, item_bytes), warps * CLASSES, (rows, rows, i * j * -(-k // 64)))
    in_flight = 4 * CLASSES * (together or 2)
    return Row(
        name, nbytes * voxels, 4 * CLASSES * voxels, outputs, in_flight, (Launch(kernel, i * -(-j // ROWS), (part,)),)
    )
