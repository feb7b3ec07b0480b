"""The mean of several models' scores: each window of each model is blended into one accumulator.

The order is window by window, and model by model for each window: float32 sums, and with them labels, do not depend on
how many windows a request carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.inferers.accumulator import Accumulator, Finalizer, mirrored
from gpu_infer.inferers.windows import Window, WindowGrid
from gpu_infer.triton.model.info import ModelInfo


@dataclass(frozen=True)
class Ensemble:
    """The models of a mean of scores.

    models   in the order in which windows are blended
    weights  which add up to 1; None: all are equal
    """

    models: tuple[ModelInfo, ...]
    weights: tuple[float, ...] | None


def unequal_weights(weights: Sequence[float]) -> tuple[float, ...] | None:
    """`weights` divided by their sum; None if they are all equal, so that no voxel needs a weight."""
    total = sum(weights)
    return None if len(set(weights)) == 1 else tuple(weight / total for weight in weights)


class EnsembleAccumulator(Accumulator):
    """`Accumulator` for windows that several models have seen.

    The grid's `models` is their number, so that means of equal weights divide by it.

    weights  of the models, which add up to 1; None: all are equal
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
        weights: Sequence[float] | None = None,
    ) -> None:
        maps = [importance] if weights is None else model_importance(grid, importance, weights)
        super().__init__(backend, grid, channels, finalizer, slab=slab, importance=maps[0], device=device)
        uploaded = [self._importance, *(None if each is None else backend.upload(each) for each in maps[1:])]
        self._maps = uploaded * grid.models if weights is None else uploaded

    def add_group(self, outputs: Sequence[Array], windows: Sequence[Window]) -> None:
        """Blend the outputs [N, K, R0, R1, R2] of each model for `windows`, the next visits in order."""
        if self._device is not None:
            outputs = [self._device.download(each) for each in outputs]
        axis = self._grid.slab_axis
        for n, window in enumerate(windows):
            self._finalize_up_to(window.start[axis])
            for output, importance in zip(outputs, self._maps, strict=True):
                tile = mirrored(output[n : n + 1], window.mirror)
                self._backend.blend(tile, [window.start], [window.repeats], importance, self._sums)


def model_importance(
    grid: WindowGrid, importance: NDArray[np.float32] | None, weights: Sequence[float]
) -> list[NDArray[np.float32]]:
    """float32 [R0, R1, R2] per model: its weight times the importance of each voxel of a window."""
    base = np.ones(grid.roi, np.float32) if importance is None else importance
    return [base * np.float32(weight) for weight in weights]
