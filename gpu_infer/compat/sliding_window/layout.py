"""Windows over an image of any number of axes: roi, starts, padding, and the batches in which a predictor sees them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.inferers.placement import clara_starts, monai_starts, nnunet_starts

Sizes = tuple[int, ...]

PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""`torch.nn.functional.pad`'s names and NumPy's."""

_NNUNET_STEP = 0.5


@dataclass(frozen=True)
class Layout:
    """Where windows stand.

    size    spatial size of the images
    roi     of a window, per axis; may exceed the size
    starts  of every distinct window in the order of the scan, below 0 where the image is padded before it
    repeats how often each of them counts
    axes    window starts per axis, repeats included
    before  padding before the image, per axis
    """

    size: Sizes
    roi: Sizes
    starts: list[Sizes]
    repeats: list[int]
    axes: tuple[tuple[int, ...], ...]
    before: Sizes

    @property
    def padded(self) -> Sizes:
        return tuple(max(n, r) for n, r in zip(self.size, self.roi, strict=True))

    @property
    def pads(self) -> bool:
        return self.padded != self.size

    def coordinates(self, window: int) -> list[slice]:
        """The window as slices of the padded image."""
        places = zip(self.starts[window], self.before, self.roi, strict=True)
        return [slice(s + b, s + b + r) for s, b, r in places]


def spatial_roi(roi_size: Any, size: Sizes) -> Sizes:
    """One roi size per axis; None and sizes below 1 stand for the image's own. Raises ValueError."""
    one_for_all = roi_size is None or isinstance(roi_size, (int, np.integer))
    entries = [roi_size] * len(size) if one_for_all else list(roi_size)
    if len(entries) != len(size):
        raise ValueError(
            f"Inputs must have {len(entries) + 2} dimensions for {len(entries)} entries of roi_size, [batch, channels, "
            f"*spatial] with channels first, found {len(size) + 2}"
        )
    return tuple(int(r) if r is not None and r > 0 else n for r, n in zip(entries, size, strict=True))


def per_axis(value: Any, axes: int, name: str) -> tuple[float, ...]:
    """One number for all axes, or one for each. Raises ValueError."""
    values = tuple(value) if isinstance(value, (Sequence, np.ndarray)) else (value,) * axes
    if len(values) != axes:
        raise ValueError(f"{name} has {len(values)} entries for {axes} spatial axes")
    return tuple(float(v) for v in values)


def layout(size: Sizes, roi: Sizes, grid: str, overlap: Any) -> Layout:
    """Windows of `grid`; overlap None: the grid's own default. Raises ValueError."""
    axes = tuple(
        tuple(starts(n, r)) for starts, n, r in zip(_placing(grid, overlap, len(size)), size, roi, strict=True)
    )
    counted = [list(Counter(starts).items()) for starts in axes]
    windows = list(product(*counted))
    return Layout(
        size,
        roi,
        [tuple(start for start, _ in window) for window in windows],
        [int(np.prod([times for _, times in window])) for window in windows],
        axes,
        tuple(max(-starts[0], 0) for starts in axes),
    )


def _placing(grid: str, overlap: Any, axes: int) -> list[Callable[[int, int], list[int]]]:
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
        return [lambda n, r, part=part: monai_starts(n, r, part) for part in parts]  # type: ignore[misc]
    return [lambda n, r, part=part: nnunet_starts(n, r, 1 - part) for part in parts]  # type: ignore[misc]


def buffered(windows: Layout, dim: int, steps: int) -> tuple[Layout, list[int]]:
    """The same windows ordered along one axis, and where buffers of `steps` rows of windows end."""
    order = sorted(range(len(windows.starts)), key=lambda n: windows.starts[n][dim])
    rows = Counter(windows.starts[n][dim] for n in order)
    ends = np.cumsum(list(rows.values())).tolist()
    cuts = [0, *ends][:: min(len(ends), steps)]
    if cuts[-1] < ends[-1]:
        cuts.append(ends[-1])
    sorted_windows = Layout(
        windows.size,
        windows.roi,
        [windows.starts[n] for n in order],
        [windows.repeats[n] for n in order],
        windows.axes,
        windows.before,
    )
    return sorted_windows, cuts[1:]


def batches(
    images: int, windows: int, batch: int, ends: Sequence[int] | None = None
) -> Iterator[list[tuple[int, int]]]:
    """Groups of up to `batch` (image, window).

    Windows of neighbouring images share a batch; with `ends`, a batch stays within one image and one buffer.
    """
    every = [(image, window) for image in range(images) for window in range(windows)]
    stops = [image * windows + end for image in range(images) for end in ends] if ends else [len(every)]
    first = 0
    for stop in stops:
        for at in range(first, stop, batch):
            yield every[at : min(at + batch, stop)]
        first = stop


def check_padding(mode: str, cval: float) -> None:
    """Raises ValueError."""
    if mode not in PAD_MODES:
        raise ValueError(f"padding_mode: found {mode!r}, expected one of {', '.join(PAD_MODES)}")
    if mode != "constant" and cval != 0:
        raise ValueError(f"cval {cval:g} belongs to padding_mode constant, found {mode}")


class Source:
    """Windows out of images [B, C, *spatial] of any dtype, padded as asked where a window hangs over."""

    def __init__(self, images: NDArray[Any], windows: Layout, mode: str, cval: float) -> None:
        check_padding(mode, cval)
        self._windows = windows
        self._fill = cval
        self._images = images
        self._shift: Sizes = (0,) * len(windows.size)
        if mode != "constant" and windows.pads:
            around = zip(windows.before, windows.padded, windows.size, strict=True)
            widths = [(0, 0), (0, 0), *((b, p - n - b) for b, p, n in around)]
            self._images = np.pad(images, widths, mode=PAD_MODES[mode])  # type: ignore[call-overload]
            self._shift = windows.before

    def take(self, group: Sequence[tuple[int, int]]) -> NDArray[Any]:
        """[N, C, *roi] of (image, window) pairs, in new memory."""
        roi = self._windows.roi
        out = np.empty((len(group), self._images.shape[1], *roi), self._images.dtype)
        for n, (image, window) in enumerate(group):
            start = [s + shift for s, shift in zip(self._windows.starts[window], self._shift, strict=True)]
            inside = [
                (max(s, 0), min(s + r, size)) for s, r, size in zip(start, roi, self._images.shape[2:], strict=True)
            ]
            if any(high - low < r for (low, high), r in zip(inside, roi, strict=True)):
                out[n] = self._fill
            box = (slice(None), *(slice(low, high) for low, high in inside))
            target = (slice(None), *(slice(low - s, high - s) for (low, high), s in zip(inside, start, strict=True)))
            out[n][target] = self._images[image][box]
        return out
