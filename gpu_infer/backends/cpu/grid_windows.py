"""Windows of a grid that is known as a whole: cut out of images, and added to sums. One call has little to prepare."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends import dtypes
from gpu_infer.backends.cpu.kernels.bits import as_bits
from gpu_infer.backends.cpu.kernels.launch import FEW, LAUNCH
from gpu_infer.backends.cpu.kernels.strided import frozen, reading
from gpu_infer.backends.types import HostArray

_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
"""Types that stand for all types of as many bytes in a copy."""

_NO_IMPORTANCE = frozen(np.ones(1, np.float32))
"""Argument for a kernel that takes importance weights but does not read them."""


class GridReader:
    """Copies windows out of images [B, C, X, Y, Z]. The images are read at each call, not before.

    starts  int64 [W, 3]: first voxels of all windows, which are inside the images
    roi     size of a window
    """

    def __init__(self, images: HostArray, starts: NDArray[np.int64], roi: tuple[int, ...]) -> None:
        from gpu_infer.backends.cpu.kernels import grid_windows

        self._kernels = grid_windows
        bits = images.view(_BITS[images.itemsize])
        flats = [reading(image) for image in bits]
        self._sources = [flat.data for flat in flats]
        window = (images.shape[1], *roi)
        self._sizes = [frozen(np.array([*window, flat.offset, *flat.strides], np.int64)) for flat in flats]
        self._starts = frozen(starts)

    @staticmethod
    def takes(images: HostArray) -> bool:
        """Whether a reader copies such images: elements are aligned and of a common size."""
        size = images.itemsize
        # Not `flags.aligned`: complex64, say, needs only the alignment of half its size, but is read as one number.
        return size in _BITS and images.ctypes.data % size == 0 and all(step % size == 0 for step in images.strides)

    def read(self, image: int, first: int, out: HostArray) -> None:
        """out [N, C, R0, R1, R2], contiguous and of the images' dtype, = the windows first, …, first + N − 1."""
        flat = out.reshape(-1).view(_BITS[out.itemsize])
        arguments = (self._sources[image], self._sizes[image], self._starts, first, flat)
        if flat.size <= FEW:
            self._kernels.read_windows_serial(*arguments)
            return
        with LAUNCH:
            self._kernels.read_windows(*arguments)


class GridAdder:
    """Adds windows to sums [B, K, X, Y, Z], contiguous float32: those that `CpuBackend.blend` gives, to the last bit.

    starts   int64 [W, 3]: first voxels of all windows, negative if a window begins outside the grid
    repeats  [W]: how often each counts
    roi      size of a window
    """

    def __init__(
        self, sums: NDArray[np.float32], starts: NDArray[np.int64], repeats: HostArray, roi: tuple[int, ...]
    ) -> None:
        from gpu_infer.backends.cpu.kernels import grid_windows

        self._kernels = grid_windows
        self._sums = [image.reshape(-1) for image in sums]
        self._sizes = frozen(np.array([sums.shape[1], *roi, *sums.shape[2:]], np.int64))
        self._starts = frozen(starts)
        self._repeats = frozen(np.asarray(repeats, np.float32))
        self._importance: HostArray | None = None
        self._flat = _NO_IMPORTANCE

    @staticmethod
    def takes(values: HostArray, importance: HostArray | None) -> bool:
        """Whether an adder reads such arrays: float16 or float32, weights float32, contiguous and aligned."""
        flags = values.flags
        if not (flags.c_contiguous and flags.aligned and values.dtype.isnative and values.dtype in dtypes.MODEL):
            return False
        return importance is None or (importance.flags.c_contiguous and importance.flags.aligned)

    def add(self, image: int, first: int, values: HostArray, importance: HostArray | None) -> None:
        """sums[image] += (repeats · importance) · values [N, K, R0, R1, R2] of the windows first, …, first + N − 1."""
        if importance is not self._importance:
            self._flat = _NO_IMPORTANCE if importance is None else frozen(importance.reshape(-1))
            self._importance = importance
        flat = as_bits(values).reshape(-1)
        flat.flags.writeable = False
        arguments = (
            flat,
            self._sums[image],
            self._sizes,
            self._starts,
            self._repeats,
            first,
            self._flat,
            importance is not None,
        )
        if flat.size <= FEW:
            self._kernels.add_to_grid_serial(*arguments)
            return
        with LAUNCH:
            self._kernels.add_to_grid(*arguments)
