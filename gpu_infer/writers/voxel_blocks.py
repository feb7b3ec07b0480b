"""The voxels of an array as bytes, in the order in which every format stores them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from gpu_infer.volume.checks import DType, Voxels

_CHUNK = 1 << 24


class Slices(Protocol):
    """Voxels [I, J, K] that are computed or read a few slices at a time."""

    shape: tuple[int, ...]
    dtype: DType

    @property
    def nbytes(self) -> int: ...

    def slices(self, low: int, high: int, /) -> Voxels:
        """[k, J, I], contiguous, for the slices low ≤ k < high; `high` may exceed their number."""
        ...


def voxel_blocks(array: Voxels | Slices, dtype: DType) -> Iterator[memoryview]:
    """Yield the voxels of `array` [I, J, K] as little-endian `dtype`, first axis fastest, about 16 MiB at a time.

    Blocks have whole slices. They are views of the array if its memory order and dtype allow it.
    """
    slices = array.shape[2]
    step = max(_CHUNK * slices // max(array.nbytes, 1), 1)
    for k in range(0, slices, step):
        part = array.T[k : k + step] if isinstance(array, np.ndarray) else array.slices(k, k + step)
        block = np.ascontiguousarray(part, dtype=dtype.newbyteorder("<"))
        yield block.reshape(-1).view(np.uint8).data
