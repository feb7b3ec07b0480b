"""Which windows a scan visits, in which order, and how often they cover a voxel.

A grid is separable: each axis has its own list of starts (`placement`), and a window is one start per axis. Starts may
be negative, and windows may reach past the end: gather and blend clip at both sides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby, product

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ConfigError
from gpu_infer.inferers.modes import CLARA, WindowMode
from gpu_infer.volume.geometry import Shape3

_WINDOW_BYTES = 192
"""Bytes of a distinct window: the object, its start, and its entries in the lists."""

_VISIT_BYTES = 112
"""Bytes of a visit, which shares its window's start."""

_START_BYTES = 80
"""Bytes of a start in `windows`; its integers are those of `axis_starts`."""


@dataclass(frozen=True)
class Window:
    """One distinct window: first voxel per axis, number of times that the grid contains it, and the axes along which it
    is mirrored before the model sees it (its result is mirrored back).
    """

    start: Shape3
    repeats: int
    mirror: tuple[int, ...] = ()


@dataclass(frozen=True)
class WindowGrid:
    """All windows over a volume.

    shape        X, Y, Z of the volume, unpadded
    roi          window size per axis; may be larger than the shape
    mode         name of the mode that placed the windows
    axis_starts  per axis, ascending, repeats included
    mirrors      combinations of axes along which the model sees every window mirrored; (): not mirrored
    slice_axis   axis across which windows are slices; None: they are no slices
    context      neighbours on each side that are seen with a slice
    models       models whose scores of a window are averaged
    order        axes of the visits, the outermost first, which is then the slab axis; None: as `slab_axis` says
    """

    shape: Shape3
    roi: Shape3
    mode: str
    axis_starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    mirrors: tuple[tuple[int, ...], ...] = ((),)
    slice_axis: int | None = None
    context: int = 0
    models: int = 1
    order: Shape3 | None = None

    @cached_property
    def slab_axis(self) -> int:
        """The axis along which the accumulator finalizes rows."""
        return choose_slab_axis(self.shape, self.roi) if self.order is None else self.order[0]

    @property
    def visit_order(self) -> Shape3:
        """The axes of the visits, the outermost first."""
        if self.order is not None:
            return self.order
        second, third = (axis for axis in range(3) if axis != self.slab_axis)
        return (self.slab_axis, second, third)

    @property
    def rolling_shape(self) -> Shape3:
        """Spatial shape of the smallest accumulator: the grid's, cut to the roi along the slab axis.

        It suffices if rows below a window's first row are finalized before that window is blended.
        """
        rows = list(self.shape)
        rows[self.slab_axis] = min(rows[self.slab_axis], self.roi[self.slab_axis])
        return (rows[0], rows[1], rows[2])

    @property
    def window_count(self) -> int:
        """Windows with repeats; a product, which lists no window."""
        return math.prod(len(starts) for starts in self.axis_starts)

    @property
    def distinct_count(self) -> int:
        """Windows without repeats; a product, which lists no window."""
        return math.prod(len(set(starts)) for starts in self.axis_starts)

    @property
    def list_bytes(self) -> int:
        """Host bytes of the lists `distinct`, `visits` and `windows`."""
        per_window = _WINDOW_BYTES + _VISIT_BYTES * len(self.mirrors)
        return self.distinct_count * per_window + self.window_count * _START_BYTES

    @property
    def windows(self) -> list[Shape3]:
        """Starts of all windows with repeats, axis 0 outermost."""
        return list(product(*self.axis_starts))

    @cached_property
    def distinct(self) -> list[Window]:
        """Windows without repeats in the order of the visits: slab axis outermost, then the other axes.

        Rows along the slab axis thus become final early. The repeats of a window are the product over its axes.
        """
        order = self.visit_order
        per_axis = [list(Counter(self.axis_starts[axis]).items()) for axis in order]
        windows = []
        for picks in product(*per_axis):
            start = [0, 0, 0]
            repeats = 1
            for axis, (first, times) in zip(order, picks, strict=True):
                start[axis] = first
                repeats *= times
            windows.append(Window((start[0], start[1], start[2]), repeats))
        return windows

    def seen_with(self, windows: Sequence[Window]) -> list[list[Shape3]]:
        """Starts of what the model sees of `windows`, by position of the neighbour, the lowest slice first.

        Without context, these are their own starts alone. The first and the last slice stand for slices past them.
        """
        starts = [window.start for window in windows]
        if self.slice_axis is None:
            return [starts]
        axis, last = self.slice_axis, self.shape[self.slice_axis] - 1
        seen = []
        for step in range(-self.context, self.context + 1):
            moved = [[*start] for start in starts]
            for start in moved:
                start[axis] = min(max(start[axis] + step, 0), last)
            seen.append([(x, y, z) for x, y, z in moved])
        return seen

    @cached_property
    def visits(self) -> list[Window]:
        """The windows that the model sees, in order: each distinct window with all its mirrored copies."""
        return [replace(window, mirror=mirror) for window in self.distinct for mirror in self.mirrors]

    @cached_property
    def counts(self) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Per axis, float32 [X], [Y], [Z]: windows, repeats included, that cover each index.

        Voxel (x, y, z) is covered by the product of the three.
        """
        x, y, z = (
            _cover(starts, size, roi) for starts, size, roi in zip(self.axis_starts, self.shape, self.roi, strict=True)
        )
        return x, y, z


def _cover(starts: Sequence[int], size: int, roi: int) -> NDArray[np.float32]:
    counts = np.zeros(size, dtype=np.float32)
    for start in starts:
        counts[max(start, 0) : max(start + roi, 0)] += 1.0
    return counts


def choose_slab_axis(shape: Shape3, roi: Shape3) -> int:
    """The axis along which a rolling accumulator, min(roi, size) · other sizes, is smallest; ties → lowest."""
    volume = shape[0] * shape[1] * shape[2]
    sizes = [volume // n * min(r, n) for n, r in zip(shape, roi, strict=True)]
    return sizes.index(min(sizes))


def make_grid(
    shape: Shape3,
    roi: Shape3,
    mode: WindowMode = CLARA,
    slice_axis: int | None = None,
    context: int = 0,
    order: Shape3 | None = None,
) -> WindowGrid:
    """The windows that `mode` places over a volume of `shape` (X, Y, Z), visited in `order`.

    If windows are slices across `slice_axis`, each slice has them once, whatever the mode's overlap, and the model sees
    them with `context` neighbours on each side.

    Raises ConfigError for an empty volume, a roi below 1, or slices that are to be mirrored across their axis.
    """
    if min(shape) < 1:
        raise ConfigError(f"a volume of shape {shape} has no voxels to scan", remedy="check the pre-transforms")
    if min(roi) < 1:
        raise ConfigError(f"roi {roi} has an axis below 1", remedy="give three positive sizes as roi_size")
    if slice_axis is not None and slice_axis in mode.mirror_axes:
        raise ConfigError(
            f"mirror_axes: found {list(mode.mirror_axes)} for slices across axis {'XYZ'[slice_axis]} ({slice_axis})",
            remedy="a slice can only be mirrored along its own two axes",
        )
    x, y, z = (
        tuple(range(n)) if axis == slice_axis else tuple(mode.starts(axis, n, r))
        for axis, (n, r) in enumerate(zip(shape, roi, strict=True))
    )
    return WindowGrid(shape, roi, mode.name, (x, y, z), mode.mirrors, slice_axis, context, order=order)


def runs(windows: Sequence[Window], key: Callable[[Window], Hashable]) -> Iterator[tuple[int, list[Window]]]:
    """(index of the first, windows) for each run of neighbours with the same key."""
    first = 0
    for _, group in groupby(windows, key=key):
        run = list(group)
        yield first, run
        first += len(run)
