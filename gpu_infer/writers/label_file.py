"""A label map on the disk that is written box by box, in any order, and read slice by slice by every format."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.geometry import Shape3


class LabelFile:
    """Labels [I, J, K] as little-endian `dtype`, first axis fastest, in a file of its own; 0 until they are written.

    Rows of zeros stay holes of the file. A context manager, at whose end the file is closed. Methods raise OSError.
    """

    def __init__(self, path: Path, shape: Shape3, dtype: DType) -> None:
        self.path, self.shape, self.dtype = path, tuple(shape), dtype
        self._largest = 0
        self._stored = dtype.newbyteorder("<")
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        os.ftruncate(self._fd, self.nbytes)

    @property
    def nbytes(self) -> int:
        i, j, k = self.shape
        return i * j * k * self.dtype.itemsize

    def write(self, labels: Voxels, j: int, k: int) -> None:
        """Write labels [I, j', k'] to the rows from `j` on of the slices from `k` on."""
        size = self._stored.itemsize * self.shape[0]
        for n in range(labels.shape[2]):
            rows = np.ascontiguousarray(labels[:, :, n].T, self._stored)
            largest = int(rows.max())
            if largest or rows.min():
                self._largest = max(self._largest, largest)
                self._write(rows.reshape(-1).view(np.uint8).data, ((k + n) * self.shape[1] + j) * size)

    def slices(self, low: int, high: int) -> Voxels:
        """[k, J, I], contiguous, for the slices low ≤ k < high; `high` may exceed their number."""
        i, j, k = self.shape
        out = np.empty((min(high, k) - low, j, i), self._stored)
        target, position, done = out.reshape(-1).view(np.uint8).data, low * i * j * self._stored.itemsize, 0
        while done < len(target):
            count = os.preadv(self._fd, [target[done:]], position + done)
            if not count:
                raise OSError(f"{self.path} became shorter while it was read")
            done += count
        return out

    def link(self, path: Path) -> bool:
        """Give the file a second name instead of a copy; False if its file system has no such names."""
        try:
            os.link(self.path, path)
        except OSError:
            return False
        return True

    def max(self) -> int:
        """The largest label."""
        return self._largest

    @property
    def size(self) -> int:
        """Number of voxels."""
        i, j, k = self.shape
        return i * j * k

    def close(self) -> None:
        """Close the file; it stays on the disk."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, data: memoryview, position: int) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._fd, data[done:], position + done)
