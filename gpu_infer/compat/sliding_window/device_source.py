"""Cuts windows out of images on a CUDA device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gpu_infer.compat.arrays import DeviceArray
from gpu_infer.compat.sliding_window.layout import Group, Layout
from gpu_infer.compat.sliding_window.source import PAD_MODES, padding_constant

if TYPE_CHECKING:
    from gpu_infer.backends.gpu.arrays import IndexLine
    from gpu_infer.backends.gpu.backend import GpuBackend


class DeviceWindowSource:
    """`source.HostWindowSource` on the device.

    Padding other than by a constant is read through a table of indices per axis: the images are not copied.
    """

    def __init__(self, backend: GpuBackend, images: DeviceArray, windows: Layout, mode: str, cval: float) -> None:
        self._backend = backend
        self._images = images
        self._windows = windows
        self._fill = padding_constant(windows, images.dtype, mode, cval)
        floats = images.dtype in (np.float32, np.float16) and images.dtype.isnative
        self._gathers = floats and len(windows.size) <= 3 and (mode == "constant" or not windows.pads)
        self._tables = [] if self._gathers else [self._axis_table(axis, mode) for axis in range(len(windows.size))]

    def take(self, group: Group) -> DeviceArray:
        """[N, C, *roi] of the group's windows, in new memory on the device."""
        roi = self._windows.roi
        out = self._backend.empty((group.windows, self._images.shape[1], *roi), self._images.dtype)
        if self._gathers:
            self._gather(group, out)
            return out
        for n, (image, window) in enumerate(group.each()):
            starts = zip(self._tables, self._windows.starts[window], self._windows.before, roi, strict=True)
            tables = [table.window(start + before, r) for table, start, before, r in starts]
            self._backend.take(self._images[image], out[n], [None, *tables], self._fill)
        return out

    def _gather(self, group: Group, out: DeviceArray) -> None:
        """By the operator's kernel: one launch for consecutive windows of the same image."""
        missing = (None,) * (3 - len(self._windows.roi))
        slot = out[(slice(None), slice(None), *missing)]
        at = 0
        for image, first, windows in group.runs:
            starts = []
            for start in self._windows.starts[first : first + windows]:
                x, y, z = (*(0 for _ in missing), *start)
                starts.append((x, y, z))
            volume = self._images[image][(slice(None), *missing)]
            self._backend.gather(volume, starts, slot[at : at + windows], self._fill)
            at += windows

    def _axis_table(self, axis: int, mode: str) -> IndexLine:
        """The image's index of each voxel of the padded axis, −1 in constant padding."""
        windows = self._windows
        n, before = windows.size[axis], windows.before[axis]
        after = max(windows.padded[axis] - n - before, 0)
        # windows of the grid clara exceed the end of an image that is not padded
        excess = max(start[axis] + windows.roi[axis] for start in windows.starts) - n - after
        index = np.arange(n)
        if mode == "constant":
            padded = np.pad(index, (before, after), constant_values=-1)
        else:
            padded = np.pad(index, (before, after), mode=PAD_MODES[mode])
        return self._backend.index_line(np.pad(padded, (0, max(excess, 0)), constant_values=-1))
