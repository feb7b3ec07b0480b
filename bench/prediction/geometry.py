"""Arrays of bench.kernels' scene as shapes and strides alone, and what tiles over them count up to."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.kernel_work import SPACING, TARGET, Shape
from gpu_infer.backends.base import Tables
from gpu_infer.backends.gpu_tables import DeviceTables, Walk, plan_walk
from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table, resampled_size

LANES, GROUPS, UNDER_WAY = 32, 8, 4
"""As the constants of kernels/common.cuh."""


@dataclass(frozen=True)
class Strided:
    """Shape and strides (bytes) of an array [C, X, Y, Z]; it has no memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @staticmethod
    def last_fastest(shape: Shape, itemsize: int, channels: int = 1) -> Strided:
        x, y, z = shape
        return Strided((channels, x, y, z), tuple(itemsize * n for n in (x * y * z, y * z, z, 1)))

    @staticmethod
    def first_fastest(shape: Shape, itemsize: int) -> Strided:
        x, y, z = shape
        return Strided((1, x, y, z), tuple(itemsize * n for n in (x * y * z, 1, x, x * y)))


@dataclass(frozen=True)
class Geometry:
    """shape of the file's grid, grid of the model's, window: as bench.kernels takes them."""

    shape: Shape
    grid: Shape
    window: Shape

    @staticmethod
    def of(shape: Shape, roi: Shape) -> Geometry:
        x, y, z = (resampled_size(n, s, t) for n, s, t in zip(shape, SPACING, TARGET, strict=True))
        i, j, k = (min(a, b) for a, b in zip(roi, (x, y, z), strict=True))
        return Geometry(shape, (x, y, z), (i, j, k))

    def to_model(self) -> Tables:
        return _tables(linear_table, self.shape, self.grid)

    def labels_back(self) -> Tables:
        return _tables(nearest_table, self.grid, self.shape)

    def scores_back(self) -> Tables:
        return _tables(linear_table, self.grid, self.shape)

    def same(self) -> Tables:
        x, y, z = (identity_table(n) for n in self.shape)
        return (x, y, z)


def _tables(make: Any, old: Shape, new: Shape) -> Tables:
    x, y, z = (make(a, b) for a, b in zip(old, new, strict=True))
    return (x, y, z)


@dataclass(frozen=True)
class TileCounts:
    """Sums over the tiles of one launch that stages planes; `walk` says how it is launched.

    tiles               blocks of p and q, along o: `depth` outputs, `between` of them with a weight
    columns, chunks     staged samples in warps that read along p: of all q; and turns of the loop over p of all warps
    packed              staged samples in warps that count p and q together
    outputs             in warps along q
    """

    walk: Walk
    tiles: int
    depth: int
    between: int
    columns: int
    chunks: int
    packed: int
    outputs: int


def count_tiles(source: Strided, out: Strided, tables: Tables, itemsize: int, **options: Any) -> TileCounts:
    """ValueError if the launch has no tiles."""
    device = DeviceTables(lambda host: host)
    walk = plan_walk(source, out, tables, itemsize, device, **options)
    if not walk.tile:
        raise ValueError("no tile fits into shared memory: the row has no staged plane")
    o, p, q = walk.tables
    of_p, of_q = device.spans(p, walk.tile).count, device.spans(q, walk.tile).count
    planes = list(itertools.product(of_p.tolist(), of_q.tolist()))
    wide = [min(walk.tile, len(q) - begin) for begin in range(0, len(q), walk.tile)]
    return TileCounts(
        walk,
        tiles=len(planes),
        depth=len(o),
        between=int(np.count_nonzero(o.weight)),
        columns=sum(lanes(a) * b for a, b in planes),
        chunks=sum(lanes(a) * GROUPS for a, _ in planes),
        packed=sum(math.ceil(a * b / (LANES * GROUPS)) * GROUPS for a, b in planes),
        outputs=len(p) * sum(lanes(n) for n in wide),
    )


def lanes(size: int) -> int:
    """Warps along an axis."""
    return -(-size // LANES)


def row_blocks(i: int, j: int) -> int:
    """Blocks of a walk along k: UNDER_WAY rows of j per thread."""
    return i * -(-j // (UNDER_WAY * GROUPS))
