"""Shapes and strides of the arrays in bench.kernels' scene, and counts of tiles over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from bench.sides.kernel_work import SPACING, TARGET, Shape
from gpu_infer.backends.base.backend import Tables
from gpu_infer.backends.gpu.tables import DeviceTables, Walk
from gpu_infer.backends.resampling import linear_table, nearest_table, resampled_size

LANES, GROUPS, UNDER_WAY = 32, 8, 4
"""As the constants of kernels/common.cuh."""


@dataclass(frozen=True)
class Strided:
    """Shape, strides (bytes) and dtype of an array [C, X, Y, Z]; it has no memory."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]

    @staticmethod
    def last_fastest(shape: Shape, kind: DTypeLike, channels: int = 1) -> Strided:
        x, y, z = shape
        return _strided((channels, x, y, z), (x * y * z, y * z, z, 1), kind)

    @staticmethod
    def first_fastest(shape: Shape, kind: DTypeLike) -> Strided:
        x, y, z = shape
        return _strided((1, x, y, z), (x * y * z, 1, x, x * y), kind)


def _strided(shape: tuple[int, ...], steps: tuple[int, ...], kind: DTypeLike) -> Strided:
    dtype = np.dtype(kind)
    return Strided(shape, tuple(dtype.itemsize * step for step in steps), dtype)


@dataclass(frozen=True)
class Geometry:
    """shape of the file's grid, grid of the model's, window: as in bench.kernels."""

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


def _tables(make: Any, old: Shape, new: Shape) -> Tables:
    x, y, z = (make(a, b) for a, b in zip(old, new, strict=True))
    return (x, y, z)


@dataclass(frozen=True)
class TileCounts:
    """Sums over the tiles of one launch that stages planes; `walk` is its launch.

    planes    inputs of (p, q) under each block of p and q
    depth     outputs along o, `between` of them with a weight
    outputs   in warps along q
    """

    walk: Walk
    planes: tuple[tuple[int, int], ...]
    depth: int
    between: int
    outputs: int

    @property
    def tiles(self) -> int:
        return len(self.planes)

    @property
    def blocks(self) -> int:
        return self.tiles * -(-self.depth // self.walk.slices)

    @property
    def columns(self) -> int:
        """Staged samples in warps along p, of all q."""
        return sum(lanes(rows) * columns for rows, columns in self.planes)

    @property
    def quads(self) -> int:
        """Four rows of outputs of a staged column, in warps along q."""
        return sum(self.walk.high // 4 * lanes(columns) for _, columns in self.planes)

    @property
    def pairs(self) -> int:
        """Turns of all warps over two warps of staged columns."""
        return sum(-(-lanes(columns) // 2) * GROUPS for _, columns in self.planes)


def count_tiles(plan: Callable[[DeviceTables], Walk]) -> TileCounts:
    """`plan` plans the launch. ValueError if it has no tiles."""
    device = DeviceTables(lambda host: host)
    walk = plan(device)
    if not walk.tile:
        raise ValueError("no tile fits into shared memory: the row has no staged plane")
    o, p, q = walk.tables
    of_p, of_q = device.spans(p, walk.high).count, device.spans(q, walk.tile).count
    wide = [min(walk.tile, len(q) - begin) for begin in range(0, len(q), walk.tile)]
    return TileCounts(
        walk,
        planes=tuple(itertools.product(of_p.tolist(), of_q.tolist())),
        depth=len(o),
        between=int(np.count_nonzero(o.weight)),
        outputs=len(p) * sum(lanes(n) for n in wide),
    )


def lanes(size: int) -> int:
    """Warps along an axis."""
    return -(-size // LANES)


def row_blocks(i: int, j: int) -> int:
    """Blocks of a walk along k: UNDER_WAY rows of j per thread."""
    return i * -(-j // (UNDER_WAY * GROUPS))
