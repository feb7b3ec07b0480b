"""Windows out of images on a CUDA device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_infer.compat.sliding_window.layout import PAD_MODES, Layout, check_padding


class DeviceSource:
    """`layout.Source` on the device. Padding other than by a constant is read through a table of places per axis: no
    padded copy of the images is made."""

    def __init__(self, backend: Any, images: Any, windows: Layout, mode: str, cval: float) -> None:
        check_padding(mode, cval)
        self._backend = backend
        self._images = images
        self._windows = windows
        self._fill = cval
        floats = images.dtype in (np.float32, np.float16) and images.dtype.isnative
        self._gathers = floats and len(windows.size) <= 3 and (mode == "constant" or not windows.pads)
        self._places = None if self._gathers else [self._line(axis, mode) for axis in range(len(windows.size))]

    def take(self, group: Sequence[tuple[int, int]]) -> Any:
        """[N, C, *roi] of (image, window) pairs, in new memory on the device."""
        roi = self._windows.roi
        out = self._backend.empty((len(group), self._images.shape[1], *roi), self._images.dtype)
        if self._gathers:
            self._gather(group, out)
            return out
        assert self._places is not None
        for n, (image, window) in enumerate(group):
            starts = zip(self._places, self._windows.starts[window], self._windows.before, roi, strict=True)
            lines = [line.window(start + before, r) for line, start, before, r in starts]
            self._backend.take(self._images[image], out[n], [None, *lines], self._fill)
        return out

    def _gather(self, group: Sequence[tuple[int, int]], out: Any) -> None:
        """By the operator's kernel, one launch for the windows of an image that follow one another."""
        missing = (None,) * (3 - len(self._windows.roi))
        slot = out[(slice(None), slice(None), *missing)]
        first = 0
        while first < len(group):
            image = group[first][0]
            last = first + 1
            while last < len(group) and group[last][0] == image:
                last += 1
            starts = [(*(0 for _ in missing), *self._windows.starts[window]) for _, window in group[first:last]]
            self._backend.gather(self._images[image][(slice(None), *missing)], starts, slot[first:last], self._fill)
            first = last

    def _line(self, axis: int, mode: str) -> Any:
        """Where each voxel of the padded axis lies in the image, −1 in constant padding."""
        windows = self._windows
        n, before = windows.size[axis], windows.before[axis]
        after = max(windows.padded[axis] - n - before, 0)
        # windows of the grid clara hang over the end of an image that is not padded
        hanging = max(start[axis] + windows.roi[axis] for start in windows.starts) - n - after
        constant = {"constant_values": -1} if mode == "constant" else {}
        places = np.pad(np.arange(n), (before, after), mode=PAD_MODES[mode], **constant)  # type: ignore[call-overload]
        return self._backend.index_line(np.pad(places, (0, max(hanging, 0)), constant_values=-1))
