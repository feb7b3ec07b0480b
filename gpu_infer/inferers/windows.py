"""Which windows a scan visits, in which order, and when the rows of the accumulator are final.

A grid is separable: each axis has its own list of starts (`placement`), a window is one start per axis. Starts
may be negative or reach past the end, because gather and blend clip at both sides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, groupby, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.errors import ConfigError
from gpu_infer.inferers.modes import WindowMode, window_mode

Shape3 = tuple[int, int, int]

_WINDOW_BYTES = 192
"""Of a distinct window: the object, its start and the entries of the lists that name it."""

_VISIT_BYTES = 112
"""Of a visit, which shares its window's start."""

_START_BYTES = 80
"""Of a start in `windows`; the integers belong to the axes."""


@dataclass(frozen=True)
class Window:
    """One distinct window: first voxel per axis, how often the grid visits it, and along which axes it is mirrored
    on its way to the model and back.
    """

    start: Shape3
    repeats: int
    mirror: tuple[int, ...] = ()


@dataclass(frozen=True)
class WindowGrid:
    """All windows over a volume.

    shape        X, Y, Z of the volume, unpadded
    roi          window size per axis; may be larger than the shape
    mode         name of what placed the windows
    axis_starts  per axis, ascending, repeats included
    mirrors      combinations of axes along which the model sees every window mirrored; () is as it is
    """

    shape: Shape3
    roi: Shape3
    mode: str
    axis_starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    mirrors: tuple[tuple[int, ...], ...] = ((),)

    @cached_property
    def slab_axis(self) -> int:
        """The axis along which the accumulator rolls."""
        return choose_slab_axis(self.shape, self.roi)

    @property
    def ring_shape(self) -> Shape3:
        """Spatial shape of the smallest accumulator: the grid's, cut to the roi along the slab axis.

        It suffices where rows below a window's first row are finished before that window is blended.
        """
        rows = list(self.shape)
        rows[self.slab_axis] = min(rows[self.slab_axis], self.roi[self.slab_axis])
        return (rows[0], rows[1], rows[2])

    @property
    def window_count(self) -> int:
        """Windows with repeats, by product: nothing is listed."""
        return math.prod(len(starts) for starts in self.axis_starts)

    @property
    def distinct_count(self) -> int:
        """Windows without repeats, by product: nothing is listed."""
        return math.prod(len(set(starts)) for starts in self.axis_starts)

    @property
    def list_bytes(self) -> int:
        """Bytes of the host that `distinct`, `visits` and `windows` take once a scan lists them."""
        per_window = _WINDOW_BYTES + _VISIT_BYTES * len(self.mirrors)
        return self.distinct_count * per_window + self.window_count * _START_BYTES

    @property
    def windows(self) -> list[Shape3]:
        """Starts of all windows with repeats, axis 0 outermost."""
        return list(product(*self.axis_starts))

    @cached_property
    def distinct(self) -> list[Window]:
        """Windows without repeats in the order of the visit: slab axis outermost, the others in their order.

        Rows along the slab axis thus become final early. A window carries the product of its axes' repeats.
        """
        order = [self.slab_axis, *(axis for axis in range(3) if axis != self.slab_axis)]
        per_axis = [list(Counter(self.axis_starts[axis]).items()) for axis in order]
        found = []
        for picks in product(*per_axis):
            start = [0, 0, 0]
            repeats = 1
            for axis, (first, times) in zip(order, picks, strict=True):
                start[axis] = first
                repeats *= times
            found.append(Window((start[0], start[1], start[2]), repeats))
        return found

    @cached_property
    def visits(self) -> list[Window]:
        """What the model is asked for, in order: every distinct window, mirrored in every way before the next one."""
        return [replace(window, mirror=mirror) for window in self.distinct for mirror in self.mirrors]

    @cached_property
    def _first_open_row(self) -> list[int]:
        """Per distinct window: the smallest row along the slab axis that it or any later window touches."""
        rows = [min(max(w.start[self.slab_axis], 0), self.shape[self.slab_axis]) for w in self.distinct]
        return list(accumulate(reversed(rows), min))[::-1]

    def final_until(self, index: int) -> int:
        """First row along the slab axis that is still open once distinct window `index` is blended.

        Rows below it are final; after the last window that is every row. −1 asks before the first window.
        """
        following = index + 1
        if following >= len(self.distinct):
            return self.shape[self.slab_axis]
        return self._first_open_row[following]

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


def make_grid(shape: Shape3, roi: Shape3, mode: WindowMode | str = "clara") -> WindowGrid:
    """The windows that `mode` places over a volume of `shape` (X, Y, Z).

    Raises ConfigError for an unknown mode, an empty volume or a roi below 1.
    """
    if isinstance(mode, str):
        mode = window_mode(mode)
    if min(shape) < 1:
        raise ConfigError(f"a volume of shape {shape} has no voxels to scan", remedy="check the pre-transforms")
    if min(roi) < 1:
        raise ConfigError(f"roi {roi} has an axis below 1", remedy="give three positive sizes as roi_size")
    x, y, z = (tuple(mode.starts(axis, n, r)) for axis, (n, r) in enumerate(zip(shape, roi, strict=True)))
    return WindowGrid(shape, roi, mode.name, (x, y, z), mode.mirrors)


def runs(windows: Sequence[Window], key: Callable[[Window], Any]) -> Iterator[tuple[int, list[Window]]]:
    """(index of the first, windows) of neighbours with the same key."""
    first = 0
    for _, group in groupby(windows, key=key):
        run = list(group)
        yield first, run
        first += len(run)
