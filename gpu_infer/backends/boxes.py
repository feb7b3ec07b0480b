"""Boxes of a grid: windows clipped to it, and a box's places in rolling sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from gpu_infer.backends.types import Start

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Clipped:
    """The part of a window inside the grid: the same voxels as a box of the grid and as one of the window."""

    grid: Box
    window: Box


def clip(start: Start, roi: Sequence[int], size: Sequence[int]) -> Clipped | None:
    """Window of `roi` voxels from `start` on against a grid of `size`; None if they do not meet."""
    grid, window = [], []
    for s, r, n in zip(start, roi, size, strict=True):
        low, high = max(s, 0), min(s + r, n)
        if low >= high:
            return None
        grid.append(slice(low, high))
        window.append(slice(low - s, high - s))
    return Clipped((grid[0], grid[1], grid[2]), (window[0], window[1], window[2]))


def ring_boxes(box: Box, heights: Sequence[int]) -> list[tuple[Box, Box]]:
    """Pairs (box of the grid, box of the rolling sums) that cover `box`, none of which wraps around; at most 8.

    Raises ValueError if the box is longer than the rolling sums on some axis: two of its rows would share a place.
    """
    per_axis = []
    for axis, (s, height) in enumerate(zip(box, heights, strict=True)):
        if s.stop - s.start > height:
            raise ValueError(f"a box of {s.stop - s.start} rows on axis {axis} does not fit a ring of {height}")
        cuts = []
        low = s.start
        while low < s.stop:
            high = min(s.stop, (low // height + 1) * height)
            cuts.append((slice(low, high), slice(low % height, low % height + high - low)))
            low = high
        per_axis.append(cuts)
    return [((x[0], y[0], z[0]), (x[1], y[1], z[1])) for x, y, z in product(*per_axis)]
