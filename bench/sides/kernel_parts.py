"""Sums in parts along an axis, as strips of a volume have them, for the bench of the kernel that blends into parts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from gpu_infer.backends.types import RollingSums, SplitSums, SumsPart
from gpu_infer.inferers.placement import clara_starts

Shape = tuple[int, int, int]


def part_edges(size: int, window: int) -> list[int]:
    """Rows along an axis at which the number of windows over them changes: there, strips begin another part of sums."""
    return sorted({edge for start in clara_starts(size, window) for edge in (start, min(start + window, size))})


def split_sums(backend: Any, channels: int, grid: Shape, window: Shape) -> SplitSums:
    """Sums of `channels` scores over the whole grid, in parts along X."""
    x, y, z = grid
    memory, edges = backend.zeros((channels * x * y * z,), np.float32), part_edges(x, window[0])
    parts = []
    for low, high in pairwise(edges):
        sums = memory[channels * low * y * z : channels * high * y * z].reshape((channels, high - low, y, z))
        parts.append(SumsPart(low, high, RollingSums(sums, (high - low, y, z))))
    return SplitSums(grid, 0, memory, None, parts)
