"""The rolling accumulator: it sums windows and finalizes rows in order, each exactly once.

Windows arrive in ascending order along the slab axis. Rows below a window's first row are therefore final when it
arrives: no later window touches them. They are finalized before the window is blended, which frees their memory for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend, RollingSums, Start
from gpu_infer.backends.labels import label_dtype
from gpu_infer.backends.tables import float32
from gpu_infer.choices import ScoresActivation
from gpu_infer.inferers.windows import Window, WindowGrid, runs


def accumulator_shape(grid: WindowGrid, channels: int, slab: bool) -> tuple[int, int, int, int]:
    """[K, H0, H1, H2]: the grid's size, with the slab axis limited to the rows of one window if `slab`."""
    return (channels, *(grid.rolling_shape if slab else grid.shape))


def mirrored(tiles: Array, axes: tuple[int, ...]) -> Array:
    """View of tiles [N, C, R0, R1, R2] that runs backwards along spatial `axes`."""
    return tiles[(..., *(slice(None, None, -1 if axis in axes else 1) for axis in range(3)))] if axes else tiles


class Finalizer(Protocol):
    """Turns final rows of the accumulator into the result, which is complete after the last row.

    weighs  True if it divides by the sum of the windows' weights: the accumulator then stores that sum per voxel
    """

    result: Array
    weighs: bool

    def finalize(self, sums: RollingSums, low: Start, high: Start) -> None:
        """Write the box low ≤ index < high into `result`, and set it to zero in `sums`."""


class ArgmaxFinalizer:
    """Labels [X, Y, Z]: uint8 for up to 256 classes, uint16 beyond. Needs neither softmax nor division by the count."""

    weighs = False

    def __init__(self, backend: Backend, grid: WindowGrid, channels: int) -> None:
        self._backend = backend
        self.result = backend.empty(grid.shape, label_dtype(channels))

    def finalize(self, sums: RollingSums, low: Start, high: Start) -> None:
        self._backend.finish_argmax(sums, low, high, self.result)


class ScoreFinalizer:
    """Scores float32 [K, X, Y, Z]: the mean over the windows that cover a voxel, weighted by their importance.

    With an activation, they become probabilities at once, without memory of their own.
    """

    weighs = True

    def __init__(
        self, backend: Backend, grid: WindowGrid, channels: int, activation: ScoresActivation | None = None
    ) -> None:
        self._backend = backend
        self._activation = activation
        self._counts = window_counts(grid)
        self.result = backend.empty((channels, *grid.shape), np.float32)

    def finalize(self, sums: RollingSums, low: Start, high: Start) -> None:
        self._backend.finish_scores(sums, low, high, self._counts, self.result)
        if self._activation is not None:
            box = tuple(slice(begin, end) for begin, end in zip(low, high, strict=True))
            self._backend.probabilities(self.result[(slice(None), *box)], self._activation)


class MaskFinalizer:
    """Masks uint8 [K, X, Y, Z]: 1 if the score of `ScoreFinalizer` exceeds the channel's threshold, else 0."""

    weighs = True

    def __init__(self, backend: Backend, grid: WindowGrid, thresholds: Sequence[float]) -> None:
        """One threshold per channel; scores are compared in float32."""
        self._backend = backend
        self._counts = window_counts(grid)
        self.thresholds = np.array([float32(threshold) for threshold in thresholds], np.float32)
        self.result = backend.empty((len(thresholds), *grid.shape), np.uint8)

    def finalize(self, sums: RollingSums, low: Start, high: Start) -> None:
        self._backend.finish_masks(sums, low, high, self._counts, self.thresholds, self.result)


def window_counts(grid: WindowGrid) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """How often windows cover an index of each axis; it counts again if mirrored or seen by another model."""
    x, y, z = grid.counts
    return x * np.float32(len(grid.mirrors) * grid.models), y, z


class Accumulator:
    """Blends windows in the order of the visits, and finalizes rows as soon as no later window touches them.

    backend     allocates the sums and the finalizer's result
    slab        True: hold only the rows of one window along the slab axis; False: hold the whole grid
    importance  float32 [R0, R1, R2] on the host, the weight of each voxel of a window; None: 1
    device      the backend that the outputs are on, if `backend` is the host's: outputs are downloaded one by one, and
                the result is uploaded, so that the device holds neither sums nor result during the inference
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
        self._final_rows = 0  # rows along the slab axis below this one are finalized
        self._importance = None if importance is None else backend.upload(importance)
        shape = accumulator_shape(grid, channels, slab)
        # constant weights are counted per axis; only a map that is not separable needs a sum per voxel
        weights = backend.zeros(shape[1:], np.float32) if finalizer.weighs and importance is not None else None
        self._sums = RollingSums(backend.zeros(shape, np.float32), grid.shape, weights)

    def add(self, outputs: Array, windows: Sequence[Window]) -> None:
        """Blend the model's outputs [N, K, R0, R1, R2] for `windows`, the next visits in order."""
        if self._device is not None:
            outputs = self._device.download(outputs)
        axis = self._grid.slab_axis
        for first, run in runs(windows, lambda window: (window.start[axis], window.mirror)):
            self._finalize_up_to(run[0].start[axis])
            self._backend.blend(
                mirrored(outputs[first : first + len(run)], run[0].mirror),
                [w.start for w in run],
                [w.repeats for w in run],
                self._importance,
                self._sums,
            )

    def add_group(self, outputs: Sequence[Array], windows: Sequence[Window]) -> None:
        """`add` the outputs of the only model."""
        (output,) = outputs
        self.add(output, windows)

    def close(self) -> Array:
        """Finalize the remaining rows and return the finalizer's result."""
        self._finalize_up_to(self._grid.shape[self._grid.slab_axis])
        result = self._finalizer.result
        return result if self._device is None else self._device.upload(self._backend.download(result))

    def _finalize_up_to(self, row: int) -> None:
        axis = self._grid.slab_axis
        row = min(row, self._grid.shape[axis])
        if row <= self._final_rows:
            return
        low, high = [0, 0, 0], list(self._grid.shape)
        low[axis], high[axis] = self._final_rows, row
        self._finalizer.finalize(self._sums, (low[0], low[1], low[2]), (high[0], high[1], high[2]))
        self._final_rows = row
