"""Voxels in physical units, computed as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray


class ScaledVoxels:
    """slope · stored + inter of an array [I, J, K], a few slices at a time: no copy of the volume is ever held.

    dtype is int16 where all values are whole and fit, else float32. That is found out here, in one pass.
    """

    def __init__(self, stored: NDArray[Any], slope: float, inter: float) -> None:
        self._stored, self._slope, self._inter = stored, slope, inter
        self.shape: tuple[int, ...] = stored.shape
        whole = all(_is_int16(part) for part in self._parts(0, stored.shape[2]))
        self.dtype: np.dtype[Any] = np.dtype(np.int16 if whole else np.float32)

    @property
    def nbytes(self) -> int:
        return self._stored.size * self.dtype.itemsize

    def slices(self, low: int, high: int) -> NDArray[Any]:
        """[k, J, I] of slices low ≤ k < high (at most the last one), contiguous."""
        high = min(high, self.shape[2])
        out = np.empty((high - low, *self.shape[1::-1]), self.dtype)
        for part, into in zip(self._parts(low, high), out, strict=True):
            into[...] = part.T
        return out

    def _parts(self, low: int, high: int) -> Iterator[NDArray[np.float64]]:
        for k in range(low, high):
            yield self._stored[:, :, k].astype(np.float64) * self._slope + self._inter


def _is_int16(values: NDArray[np.float64]) -> bool:
    limits = np.iinfo(np.int16)
    return bool(np.all((values == np.rint(values)) & (values >= limits.min) & (values <= limits.max)))
