"""Restore a map of scores to the file's grid linearly, a slab of slices at a time.

Only one slab of the file's grid exists. Its values are those of a restore of the whole map, to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Array, Backend
from gpu_infer.backends.tables import AxisTable, ClampedAffine
from gpu_infer.transforms.chain.axis_crop import AxisCrop, RestoreSteps, crop_axes, restore_steps
from gpu_infer.transforms.chain.restore import file_order, inverse, plain, undo
from gpu_infer.transforms.field import FieldState
from gpu_infer.volume.geometry import Shape3

SLAB_BYTES = 8 << 20
"""Bytes of a float32 slab on the file's grid, but at least two slices: a single one would be interpolated in another
order of axes."""

_WIDE = np.dtype(np.float32)
_IDENTITY = ClampedAffine()

Slab = NDArray[np.float32]
"""[K', J, I] on the host, C-contiguous."""


def restored_slabs(scores: Array, state: FieldState, backend: Backend) -> Iterator[Slab]:
    """Yield the slabs of one map in the order of the file, i fastest; 0 outside the model's grid.

    Args:
        scores: [1, X, Y, Z] float32 or float16 on `backend`, on the grid of `state`.
        state: A field on the model's grid; its array is not used.
        backend: That of `scores`.

    The next slab reuses no memory of the one before.
    """
    field = state.copy(channels=1, dtype=_WIDE, array=scores)
    steps = restore_steps(field.history, field.shape)
    if steps.first and scores.dtype != _WIDE:
        field.array = plain(field, field.shape, backend)
        backend.resample(scores, field.array, None, _IDENTITY, _IDENTITY)
    for step in steps.first:
        undo(field, step, "linear", backend, plain)
    shape = stored_shape(field)
    starts = list(range(0, shape[2], slab_rows(shape)))
    if len(starts) > 1 and shape[2] - starts[-1] == 1:
        starts.pop()
    for bounds in pairwise([*starts, shape[2]]):
        yield _slab(field, steps, bounds, backend)


def stored_shape(state: FieldState) -> Shape3:
    """(I, J, K) of the file."""
    return inverse(state.source.orientation).shape(state.source.loaded.shape)


def slab_rows(shape: Shape3) -> int:
    """Slices of a slab of a file (I, J, K)."""
    i, j, _ = shape
    return max(2, SLAB_BYTES // max(1, i * j * _WIDE.itemsize))


def slab_bytes(state: FieldState) -> tuple[int, int]:
    """Most bytes that `restored_slabs` allocates at a time, on the backend and on the host, without its caller's."""
    steps = restore_steps(state.history, state.shape)
    undone = [math.prod(step.before) * _WIDE.itemsize for step in steps.first]
    if undone:
        undone = [math.prod(state.shape) * _WIDE.itemsize, *undone]
    i, j, k = stored_shape(state)
    rows = min(slab_rows((i, j, k)) + 1, k)
    slab = i * j * rows * _WIDE.itemsize
    read = _read_bytes(state, steps, rows)
    first = max([0, *(a + b for a, b in pairwise([0, *undone]))])
    return max(first, (undone[-1] if undone else 0) + 2 * read + slab), 2 * slab


def _read_bytes(state: FieldState, steps: RestoreSteps, rows: int) -> int:
    """Most bytes of the scores that a slab reads, background included."""
    shape = steps.windows[-1].before if steps.windows else (steps.first[-1].before if steps.first else state.shape)
    axis = _slab_axis(state)
    ratio = shape[axis] / max(1, steps.shape[axis])
    sizes = list(shape)
    sizes[axis] = min(shape[axis], math.ceil(rows * ratio) + 3)
    return math.prod(sizes) * _WIDE.itemsize


def _slab_axis(state: FieldState) -> int:
    """The loaded axis that is the file's slowest."""
    return state.source.orientation.axes.index(2)


def _slab(field: FieldState, steps: RestoreSteps, bounds: tuple[int, int], backend: Backend) -> Slab:
    """The slices bounds[0] ≤ k < bounds[1] of the file."""
    orientation, loaded, axis = field.source.orientation, field.source.loaded.shape, _slab_axis(field)
    i, j, _ = stored_shape(field)
    slab = np.zeros((bounds[1] - bounds[0], j, i), np.float32)
    low, high = bounds
    if orientation.flips[axis]:
        low, high = loaded[axis] - bounds[1], loaded[axis] - bounds[0]
    spans = [(0, n) for n in loaded]
    spans[axis] = (low, high)
    parts = [_final_entries(n, steps, span) for n, span in enumerate(spans)]
    tables = [_cut(table, entries) for table, (entries, _) in zip(steps.tables, parts, strict=True)]
    if not all(len(table) for table in tables):
        return slab
    crops = crop_axes(field.shape, replace(steps, tables=(tables[0], tables[1], tables[2])))
    if crops is None:
        return slab
    wide = [_widened(crop, n) for crop, n in zip(crops, field.shape, strict=True)]
    x, y, z = (crop.entries.stop - crop.entries.start for crop in wide)
    new_array = plain if steps.last else file_order  # as in a restore of the whole map, step by step
    piece = new_array(field, (x, y, z), backend)
    a, b, c = (crop.table for crop in wide)
    backend.resample(_read(field.array, wide, backend), piece, (a, b, c), _IDENTITY, _IDENTITY)
    region = [
        slice(first + crop.entries.start, first + crop.entries.stop)
        for crop, (_, first) in zip(wide, parts, strict=True)
    ]
    orientation.view(slab.transpose(2, 1, 0))[tuple(region)] = backend.download(piece)[0]
    return slab


def _final_entries(axis: int, steps: RestoreSteps, span: tuple[int, int]) -> tuple[slice, int]:
    """Entries of the axis' table that lie in `span` of the loaded grid, and where in the span the first one lies."""
    offset, low, high = 0, 0, len(steps.tables[axis])
    for window in steps.last:
        offset += window.start[axis]
        low, high = max(low, -offset), min(high, window.before[axis] - offset)
    low, high = max(low, span[0] - offset), min(high, span[1] - offset)
    return slice(low, max(low, high)), low + offset - span[0]


def _cut(table: AxisTable, entries: slice) -> AxisTable:
    return AxisTable(table.lower[entries], table.upper[entries], table.weight[entries])


def _widened(crop: AxisCrop, size: int) -> AxisCrop:
    """The crop with a second sample if it has one of several: one alone changes the order of interpolation."""
    if crop.extent > 1 or size < 2:
        return crop
    first = crop.samples.start
    if first + 1 < size:
        return replace(crop, samples=slice(first, first + 2))
    table = AxisTable(crop.table.lower + 1, crop.table.upper + 1, crop.table.weight)
    return replace(crop, samples=slice(first - 1, first + 1), table=table)


def _read(scores: Array, crops: list[AxisCrop], backend: Backend) -> Array:
    """The scores that the crops read: a view, or a copy with background around it."""
    inside = scores[(slice(None), *(crop.samples for crop in crops))]
    if not any(any(crop.zeros) for crop in crops):
        return inside
    padded = backend.zeros((scores.shape[0], *(crop.extent for crop in crops)), _WIDE)
    window = (slice(None), *(slice(c.zeros[0], c.extent - c.zeros[1]) for c in crops))
    backend.resample(inside, padded[window], None, _IDENTITY, _IDENTITY)
    return padded
