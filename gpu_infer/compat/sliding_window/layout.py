"""Windows over an image of any number of axes: roi, starts, padding, and the predictor's batches."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gpu_infer.inferers.placement import clara_starts, monai_starts, nnunet_starts

Sizes = tuple[int, ...]


class Run(NamedTuple):
    """The windows first, …, first + windows − 1 of an image."""

    image: int
    first: int
    windows: int


class Group(NamedTuple):
    """The windows of one call of the predictor, in the order of `runs`, and how many they are."""

    windows: int
    runs: tuple[Run, ...]

    def each(self) -> Iterator[tuple[int, int]]:
        """(image, window) of every window."""
        return ((image, window) for image, first, windows in self.runs for window in range(first, first + windows))


_NNUNET_STEP = 0.5


@dataclass(frozen=True)
class Layout:
    """The windows of an image.

    size     spatial size of the images
    roi      size of a window; may exceed the image's size
    starts   first voxel of every distinct window, in scan order; negative if the window begins in the padding
    repeats  how often each of these windows counts
    axes     window starts per axis, repeats included
    before   padding before the image, per axis
    order    the axes as windows follow each other: along the last of them first
    """

    size: Sizes
    roi: Sizes
    starts: list[Sizes]
    repeats: list[int]
    axes: tuple[tuple[int, ...], ...]
    before: Sizes
    order: Sizes

    @cached_property
    def table(self) -> NDArray[np.int64]:
        """[W, axes]: the starts."""
        return np.array(self.starts, np.int64)

    @property
    def padded(self) -> Sizes:
        return tuple(max(n, r) for n, r in zip(self.size, self.roi, strict=True))

    @property
    def pads(self) -> bool:
        return self.padded != self.size

    @property
    def exceeds(self) -> bool:
        """Whether a window ends past the padded image, as those of the grid clara do."""
        ends = (starts[-1] + r for starts, r in zip(self.axes, self.roi, strict=True))
        return any(end > n - b for end, n, b in zip(ends, self.padded, self.before, strict=True))

    def coordinates(self, window: int) -> list[slice]:
        """The window as slices of the padded image."""
        places = zip(self.starts[window], self.before, self.roi, strict=True)
        return [slice(s + b, s + b + r) for s, b, r in places]


def spatial_roi(roi_size: Sequence[int | None] | int | None, size: Sizes) -> Sizes:
    """One roi size per axis; None and sizes below 1 mean the image's own.

    Raises:
        ValueError: the number of entries is not that of the spatial axes.
    """
    if roi_size is None or isinstance(roi_size, (int, np.integer)):
        entries: list[int | None] = [roi_size] * len(size)
    else:
        entries = list(roi_size)
    if len(entries) != len(size):
        raise ValueError(
            f"Inputs must have {len(entries) + 2} dimensions for {len(entries)} entries of roi_size, [batch, channels, "
            f"*spatial] with channels first, found {len(size) + 2}"
        )
    return tuple(int(r) if r is not None and r > 0 else n for r, n in zip(entries, size, strict=True))


def per_axis(value: Sequence[float] | float, axes: int, name: str) -> tuple[float, ...]:
    """One number per axis, of one for all axes or one for each.

    Raises:
        ValueError: another number of entries.
    """
    values = tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"{name} has {len(values)} entries for {axes} spatial axes")
    return tuple(float(v) for v in values)


def layout(size: Sizes, roi: Sizes, grid: str, overlap: Sequence[float] | float | None) -> Layout:
    """Windows of `grid`; overlap None: the grid's own default.

    Raises:
        ValueError: an unknown grid, or an overlap that the grid does not accept.
    """
    axes = tuple(
        tuple(starts(n, r)) for starts, n, r in zip(_placing(grid, overlap, len(size)), size, roi, strict=True)
    )
    counted = [Counter(starts) for starts in axes]
    return Layout(
        size,
        roi,
        list(product(*counted)),
        [math.prod(times) for times in product(*(axis.values() for axis in counted))],
        axes,
        tuple(max(-starts[0], 0) for starts in axes),
        tuple(range(len(size))),
    )


def _placing(grid: str, overlap: Sequence[float] | float | None, axes: int) -> list[Callable[[int, int], list[int]]]:
    """Per axis, the function from (size, roi) to window starts."""
    if grid == "clara":
        if overlap is not None:
            raise ValueError("overlap belongs to the grids monai and nnunet: clara's steps are fixed")
        return [clara_starts] * axes
    if grid not in ("monai", "nnunet"):
        raise ValueError(f"grid: found {grid!r}, expected monai, clara or nnunet")
    default = 0.25 if grid == "monai" else 1 - _NNUNET_STEP
    parts = per_axis(default if overlap is None else overlap, axes, "overlap")
    if not all(0 <= part < 1 for part in parts):
        raise ValueError(f"overlap must be >= 0 and < 1, got {parts}")
    if grid == "monai":
        return [partial(monai_starts, overlap=part) for part in parts]
    return [partial(nnunet_starts, step_size=1 - part) for part in parts]


def buffered(windows: Layout, dim: int, steps: int) -> tuple[Layout, list[int]]:
    """The same windows ordered along one axis, and the index after the last window of each buffer of `steps` rows."""
    order = sorted(range(len(windows.starts)), key=lambda n: windows.starts[n][dim])
    rows = Counter(windows.starts[n][dim] for n in order)
    ends = np.cumsum(list(rows.values())).tolist()
    bounds = [0, *ends][:: min(len(ends), steps)]
    if bounds[-1] < ends[-1]:
        bounds.append(ends[-1])
    sorted_windows = Layout(
        windows.size,
        windows.roi,
        [windows.starts[n] for n in order],
        [windows.repeats[n] for n in order],
        windows.axes,
        windows.before,
        (dim, *(axis for axis in windows.order if axis != dim)),
    )
    return sorted_windows, bounds[1:]


def batches(images: int, windows: int, batch: int, ends: Sequence[int] | None = None) -> Iterator[Group]:
    """Groups of up to `batch` windows.

    Windows of neighbouring images share a batch; with `ends`, a batch stays within one image and one buffer.
    """
    stops = [image * windows + end for image in range(images) for end in ends] if ends else [images * windows]
    first = 0
    for stop in stops:
        for at in range(first, stop, batch):
            yield _group(at, min(at + batch, stop), windows)
        first = stop


def _group(first: int, end: int, windows: int) -> Group:
    """The windows first, …, end − 1 of images with `windows` each, counted through all images."""
    image, window = divmod(first, windows)
    if window + end - first <= windows:  # almost always
        return Group(end - first, (Run(image, window, end - first),))
    runs = []
    at = first
    while at < end:
        image, window = divmod(at, windows)
        runs.append(Run(image, window, min(end - at, windows - window)))
        at += runs[-1].windows
    return Group(end - first, tuple(runs))
