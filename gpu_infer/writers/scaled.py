"""Voxels in physical units, computed while they are written."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gpu_infer.volume.checks import DType, Voxels


class ScaledVoxels:
    """The voxels slope · stored + inter of an array [I, J, K], computed a few slices at a time, without a whole copy.

    The dtype is int16 if all values are whole numbers in its range, else float32; the constructor decides it in one
    pass over the voxels.
    """

    def __init__(self, stored: Voxels, slope: float, inter: float) -> None:
        self._stored, self._slope, self._inter = stored, slope, inter
        self.shape: tuple[int, ...] = stored.shape
        whole = all(_is_int16(part) for part in self._parts(0, stored.shape[2]))
        self.dtype: DType = np.dtype(np.int16 if whole else np.float32)

    @property
    def nbytes(self) -> int:
        return self._stored.size * self.dtype.itemsize

    def slices(self, low: int, high: int) -> Voxels:
        """Return [k, J, I], contiguous, for the slices low ≤ k < high; `high` may exceed their number."""
        high = min(high, self.shape[2])
        out = np.empty((high - low, *self.shape[1::-1]), self.dtype)
        for part, target in zip(self._parts(low, high), out, strict=True):
            target[...] = part.T
        return out

    def _parts(self, low: int, high: int) -> Iterator[NDArray[np.float64]]:
        for k in range(low, high):
            yield self._stored[:, :, k].astype(np.float64) * self._slope + self._inter


def _is_int16(values: NDArray[np.float64]) -> bool:
    limits = np.iinfo(np.int16)
    return bool(np.all((values == np.rint(values)) & (values >= limits.min) & (values <= limits.max)))
