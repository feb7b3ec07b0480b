"""Boxes of voxels from a volume's file, without the rest of the volume."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from gpu_infer.errors import InputError
from gpu_infer.volume.checks import DType, Voxels
from gpu_infer.volume.file_state import FileState
from gpu_infer.volume.files import open_regular
from gpu_infer.volume.geometry import Shape3


class BoxReader(ABC):
    """Reads boxes of one volume of one channel; a context manager, at whose end the file is closed.

    Boxes are read during the whole inference: a file that changes meanwhile is refused, because its labels would be
    those of two volumes.

    path   of the file with the voxels
    shape  I, J, K of the volume
    dtype  of the voxels that `read` returns
    """

    def __init__(self, path: Path, shape: Shape3, dtype: DType) -> None:
        self.shape, self.dtype = shape, dtype
        self._path, self._file = path, open_regular(path)
        self._state = FileState.of(os.fstat(self._file.fileno()))

    def read(self, j: slice, k: slice) -> Voxels:
        """The voxels [1, I, j, k] of the rows `j` of the slices `k`, first axis fastest in memory.

        Raises InputError for a file that has changed, is shorter than its header says, or damaged.
        """
        with self._changes_first():
            voxels = self._read(j, k)
        return np.ascontiguousarray(voxels, self.dtype).transpose(2, 1, 0)[None]

    @abstractmethod
    def _read(self, j: slice, k: slice) -> Voxels:
        """The voxels [k, j, I] in the byte order of the file."""

    def count_not_finite(self, slices: int) -> int:
        """Number of voxels that are NaN or infinite: a pass over the file, `slices` at a time; 0 for integers."""
        count, (_, j, k) = 0, self.shape
        for first in range(0, k if self.dtype.kind == "f" else 0, slices):
            with self._changes_first():
                is_finite = np.isfinite(self._read(slice(0, j), slice(first, min(first + slices, k))))
            count += is_finite.size - int(np.count_nonzero(is_finite))
        return count

    def finish(self) -> list[str]:
        """Check the file and what follows the voxels, after the last box; warnings about it.

        Raises InputError for damage, and for a file that has changed.
        """
        with self._changes_first():
            notes = self._finish()
        self._check_state(os.fstat(self._file.fileno()))
        return notes

    def _finish(self) -> list[str]:
        """Read what follows the voxels, if there is something to check; warnings about it."""
        return []

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _changes_first(self) -> Iterator[None]:
        """Raise InputError for a change of the file instead of the damage that the change looks like."""
        try:
            yield
        except InputError:
            with suppress(OSError):  # of a file that can no longer be read at all
                self._check_state(os.fstat(self._file.fileno()))
            raise

    def _check_state(self, status: os.stat_result) -> None:
        if FileState.of(status) != self._state:
            raise InputError(
                f"{self._path}: changed while it was read, expected the file that was there at the start",
                remedy="wait until the file is complete, and run again",
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
