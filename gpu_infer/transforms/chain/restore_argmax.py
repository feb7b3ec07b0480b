"""A linear restore and the following argmax as one stage: labels on the loaded grid, without scores on that grid.

Steps are undone on the scores up to the last resampling. That one and the argmax are one `Backend.restore_argmax`.
Crops and pads after it are undone on the labels: a background of zero scores is label 0. Crops and pads right before it
are not undone at all: the tables count in the window, and label entries that read only background are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.labels import label_dtype
from gpu_infer.transforms.base import ChannelReduction, Restore
from gpu_infer.transforms.chain.axis_crop import AxisCrop, RestoreSteps, crop_axes, restore_steps
from gpu_infer.transforms.chain.restore import file_order, plain, undo
from gpu_infer.transforms.chain.single import BarrierStage, RestoreStage
from gpu_infer.transforms.chain.stage import Stage, check_channels, pass_line
from gpu_infer.transforms.copying import copy_voxels
from gpu_infer.transforms.field import DType, Fields, FieldState

_SCORES: DType = np.dtype(np.float32)


@dataclass(frozen=True)
class RestoredArgmax(Stage):
    """A linear restore of one field and the argmax directly after it, as one `Backend.restore_argmax` call.

    Every model's scores are float32 here. Only a custom transform can give scores of another dtype; for these, the
    two transforms run one after the other.
    """

    field: str
    restore: Restore
    argmax: ChannelReduction

    @property
    def members(self) -> tuple[Restore, ChannelReduction]:
        return (self.restore, self.argmax)

    def line(self) -> str:
        return pass_line(self.field, self.members)

    def run(self, fields: Fields, dtype: DType, backend: Backend | None) -> tuple[str, ...]:
        state = fields[self.field]
        if state.dtype != _SCORES:
            RestoreStage(self.restore, self.field).run(fields, dtype, backend)
            BarrierStage(self.argmax, self.field).run(fields, dtype, backend)
            return (self.field,)
        for transform in self.members:
            check_channels(transform, state)
        self.argmax.check_classes(state.channels)
        if backend is None:
            state.channels, state.dtype = 1, label_dtype(state.channels)
            state.restored()
        else:
            _labels_on_loaded_grid(state, backend)
        state.kind = self.argmax.outcome(state.kind)
        return (self.field,)

    def allocated_bytes(self, before: FieldState, new_bytes: int, *, shared: bool) -> int:
        if before.dtype == _SCORES:
            return _allocated_bytes(before)
        loaded = math.prod(before.source.loaded.shape)
        return loaded * (before.channels * before.dtype.itemsize + label_dtype(before.channels).itemsize)


def _labels_on_loaded_grid(state: FieldState, backend: Backend) -> None:
    """Turn the float32 scores of `state` into labels [1, X, Y, Z] on the grid on which its source was loaded."""
    steps = restore_steps(state.history, state.shape)
    for step in steps.first:
        undo(state, step, "linear", backend, plain)
    state.array, state.shape = _labels(state, steps, backend), steps.shape
    state.channels, state.dtype = 1, label_dtype(state.channels)
    for number, window in enumerate(steps.last, start=1):
        undo(state, window, "nearest", backend, file_order if number == len(steps.last) else plain)
    state.restored()


def _labels(state: FieldState, steps: RestoreSteps, backend: Backend) -> Array:
    """Labels [1, X, Y, Z] on the grid that the tables lead to."""
    crops = crop_axes(state.shape, steps)
    like = state.copy(channels=1, dtype=label_dtype(state.channels), array=None)
    blank = crops is None or [crop.entries.stop - crop.entries.start for crop in crops] != list(steps.shape)
    labels = (plain if steps.last else file_order)(like, steps.shape, backend, blank=blank)
    if crops is not None:
        x, y, z = (crop.table for crop in crops)
        target = labels[(0, *(crop.entries for crop in crops))]
        backend.restore_argmax(_cropped_scores(state.array, crops, backend), (x, y, z), target)
    return labels


def _allocated_bytes(state: FieldState) -> int:
    """Most bytes that `_labels_on_loaded_grid` allocates at a time in addition to the scores."""
    steps = restore_steps(state.history, state.shape)
    sizes = [math.prod(step.before) * state.channels * _SCORES.itemsize for step in steps.first]
    crops = crop_axes(steps.first[-1].before if steps.first else state.shape, steps)
    if crops is not None and any(any(crop.zeros) for crop in crops):
        sizes.append(math.prod(crop.extent for crop in crops) * state.channels * _SCORES.itemsize)
    labels = label_dtype(state.channels).itemsize
    sizes += [math.prod(shape) * labels for shape in (steps.shape, *(step.before for step in steps.last))]
    return max(a + b for a, b in pairwise([0, *sizes]))


def _cropped_scores(scores: Array, crops: Sequence[AxisCrop], backend: Backend) -> Array:
    """The scores that the crops read: a view, or a copy with background around it."""
    inside = scores[(slice(None), *(crop.samples for crop in crops))]
    if not any(any(crop.zeros) for crop in crops):
        return inside
    padded = backend.zeros((scores.shape[0], *(crop.extent for crop in crops)), scores.dtype)
    window = (slice(None), *(slice(c.zeros[0], c.extent - c.zeros[1]) for c in crops))
    copy_voxels(inside, padded[window], backend)
    return padded
