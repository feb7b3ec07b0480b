"""Windows of labels: a model that does its own argmax answers them, and each voxel is in one window alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.boxes import clip
from gpu_infer.errors import ConfigError, ModelError
from gpu_infer.inferers.windows import Window, WindowGrid
from gpu_infer.triton.model.info import ModelInfo
from gpu_infer.volume.geometry import format_shape

LARGEST_LABEL = 255

_REMEDY = (
    "use a SimpleInferer, or mode monai with overlap 0 and a roi_size that divides the grid, or a model that answers "
    "scores"
)


class LabelWindows:
    """Copies windows of labels to their places, in the form of an `Accumulator`.

    Labels [X, Y, Z] uint8 come together on the host; the result is on `backend`.
    """

    def __init__(self, backend: Backend, grid: WindowGrid, model: ModelInfo) -> None:
        self._backend, self._grid, self._model = backend, grid, model
        self._labels = np.zeros(grid.shape, np.uint8)

    def add(self, outputs: Array, windows: Sequence[Window]) -> None:
        """Copy the labels [N, 1, R0, R1, R2] of `windows`; ModelError for one below 0 or above `LARGEST_LABEL`."""
        on_host = self._backend.download(outputs)
        for labels, window in zip(on_host[:, 0], windows, strict=True):
            inside = clip(window.start, self._grid.roi, self._grid.shape)
            assert inside is not None
            part = labels[inside.window]
            low, high = int(part.min()), int(part.max())
            if low < 0 or high > LARGEST_LABEL:
                raise ModelError(
                    f"model {self._model.name} answered the label {low if low < 0 else high} in "
                    f"{self._model.output.name}, expected 0 to {LARGEST_LABEL}",
                    remedy="use a model that answers scores: these may have more classes",
                )
            self._labels[inside.grid] = part

    def add_group(self, outputs: Sequence[Array], windows: Sequence[Window]) -> None:
        """`add` the labels of the only model."""
        (labels,) = outputs
        self.add(labels, windows)

    def close(self) -> Array:
        """The labels on the backend."""
        return self._backend.upload(self._labels)


def check_label_windows(model: ModelInfo, grid: WindowGrid) -> None:
    """Raise ConfigError if two windows of `grid` have a voxel in common, or windows are mirrored and averaged."""
    what = f"model {model.name} answers labels ({model.output.datatype}), which cannot be averaged"
    if len(grid.mirrors) > 1:
        raise ConfigError(f"{what}: windows are mirrored in {len(grid.mirrors)} combinations", remedy=_REMEDY)
    for axis, (starts, roi) in enumerate(zip(grid.axis_starts, grid.roi, strict=True)):
        distinct = sorted(set(starts))
        for first, second in pairwise(distinct):
            if second - first < roi:
                raise ConfigError(
                    f"{what}: windows of {format_shape(grid.roi)} over {format_shape(grid.shape)} overlap on axis "
                    f"{'XYZ'[axis]}",
                    remedy=_REMEDY,
                )
