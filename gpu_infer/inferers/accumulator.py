"""The rolling accumulator: rows enter while windows still touch them and leave finished, in order, exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend, RollingSums, Start
from gpu_infer.backends.labels import label_dtype
from gpu_infer.backends.tables import float32
from gpu_infer.inferers.windows import Window, WindowGrid, runs


def accumulator_shape(grid: WindowGrid, channels: int, slab: bool) -> tuple[int, int, int, int]:
    """[K, H0, H1, H2]: the grid's own size, with the slab axis cut to the rows that one window covers."""
    return (channels, *(grid.ring_shape if slab else grid.shape))


def mirrored(tiles: Any, axes: tuple[int, ...]) -> Any:
    """View of tiles [N, C, R0, R1, R2] that runs backwards along spatial `axes`."""
    return tiles[(..., *(slice(None, None, -1 if axis in axes else 1) for axis in range(3)))] if axes else tiles


class Finalizer(Protocol):
    """Takes finished boxes out of the accumulator; `result` is whole once every row has been taken.

    weighs  whether it divides: the sum of the windows' weights is then kept at every voxel
    """

    result: Any
    weighs: bool

    def take(self, ring: RollingSums, low: Start, high: Start) -> None: ...


class ArgmaxFinalizer:
    """Labels [X, Y, Z]: uint8 for up to 256 classes, uint16 beyond. Needs neither softmax nor division by the count."""

    weighs = False

    def __init__(self, backend: Backend, grid: WindowGrid, channels: int) -> None:
        self._backend = backend
        self.result = backend.empty(grid.shape, label_dtype(channels))

    def take(self, ring: RollingSums, low: Start, high: Start) -> None:
        self._backend.finish_argmax(ring, low, high, self.result)


class ScoreFinalizer:
    """Scores float32 [K, X, Y, Z]: the mean over the windows that cover a voxel, weighed by their importance."""

    weighs = True

    def __init__(self, backend: Backend, grid: WindowGrid, channels: int) -> None:
        self._backend = backend
        self._counts = _counts(grid)
        self.result = backend.empty((channels, *grid.shape), np.float32)

    def take(self, ring: RollingSums, low: Start, high: Start) -> None:
        self._backend.finish_scores(ring, low, high, self._counts, self.result)


class MaskFinalizer:
    """Masks uint8 [K, X, Y, Z]: 1 where the score of `ScoreFinalizer` exceeds the channel's cut, else 0."""

    weighs = True

    def __init__(self, backend: Backend, grid: WindowGrid, cuts: Sequence[float]) -> None:
        """One cut per channel."""
        self._backend = backend
        self._counts = _counts(grid)
        self._cuts = np.array([float32(cut) for cut in cuts], np.float32)
        self.result = backend.empty((len(cuts), *grid.shape), np.uint8)

    def take(self, ring: RollingSums, low: Start, high: Start) -> None:
        self._backend.finish_masks(ring, low, high, self._counts, self._cuts, self.result)


def _counts(grid: WindowGrid) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """How often windows cover an index of each axis; a mirrored window counts again."""
    x, y, z = grid.counts
    return x * np.float32(len(grid.mirrors)), y, z


class Accumulator:
    """Blends windows in the order of the visits and hands rows to a finalizer as soon as no later window touches them.

    backend     owns the sums and the finalizer's result
    importance  float32 [R0, R1, R2] on the host, what each voxel of a window counts; None: 1
    device      the backend that owns the outputs, where `backend` is the host's: they are downloaded one by one, and
                the result is uploaded, so that the device holds neither sums nor result while windows are inferred
    """

    def __init__(
        self,
        backend: Backend,
        grid: WindowGrid,
        channels: int,
        finalizer: Finalizer,
        *,
        slab: bool = True,
        importance: NDArray[np.float32] | None = None,
        device: Backend | None = None,
    ) -> None:
        self._backend = backend
        self._device = device
        self._grid = grid
        self._finalizer = finalizer
        self._finished = 0  # rows along the slab axis below this one have left
        self._importance = None if importance is None else backend.upload(importance)
        shape = accumulator_shape(grid, channels, slab)
        # constant weights are counted per axis; only a map that is not separable needs a sum per voxel
        weights = backend.zeros(shape[1:], np.float32) if finalizer.weighs and importance is not None else None
        self._ring = RollingSums(backend.zeros(shape, np.float32), grid.shape, weights)

    def add(self, outputs: Any, windows: Sequence[Window]) -> None:
        """Blend outputs [N, K, R0, R1, R2] of `windows`, the next visits in order, as the model gave them."""
        if self._device is not None:
            outputs = self._device.download(outputs)
        axis = self._grid.slab_axis
        for first, run in runs(windows, lambda window: (window.start[axis], window.mirror)):
            self._finish_up_to(run[0].start[axis])
            self._backend.blend(
                mirrored(outputs[first : first + len(run)], run[0].mirror),
                [w.start for w in run],
                [w.repeats for w in run],
                self._importance,
                self._ring,
            )

    def close(self) -> Any:
        """Finish what is left and return the finalizer's result."""
        self._finish_up_to(self._grid.shape[self._grid.slab_axis])
        result = self._finalizer.result
        return result if self._device is None else self._device.upload(result)

    def _finish_up_to(self, row: int) -> None:
        axis = self._grid.slab_axis
        row = min(row, self._grid.shape[axis])
        if row <= self._finished:
            return
        low, high = [0, 0, 0], list(self._grid.shape)
        low[axis], high[axis] = self._finished, row
        self._finalizer.take(self._ring, (low[0], low[1], low[2]), (high[0], high[1], high[2]))
        self._finished = row
