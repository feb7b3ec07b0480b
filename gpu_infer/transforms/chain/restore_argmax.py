"""A linear restore and the argmax behind it as one: labels on the loaded grid, and never its scores.

Steps are undone on the scores up to the last resampling. That one and the argmax are one `Backend.restore_argmax`; what
comes behind it are crops and pads, undone on the labels (a background of zero scores is label 0). Crops and pads right
before it are not undone at all: the tables count in the window, and entries that read background alone are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gpu_infer.backends.base.backend import Array, Backend, Tables
from gpu_infer.backends.labels import label_dtype
from gpu_infer.backends.resampling import identity_table, linear_table
from gpu_infer.backends.tables import AxisTable
from gpu_infer.transforms.chain.restore import file_order, plain, put, resample, steps_back, unwindow
from gpu_infer.transforms.field import FieldState, GridStep, Resampled, Windowed
from gpu_infer.volume.geometry import Shape3

_SCORES = np.dtype(np.float32)


@dataclass(frozen=True)
class _Cut:
    """One axis of the part of the labels that any score decides.

    entries  of the labels              samples  of the scores that they read
    zeros    samples of background before and behind those, which they read as well
    table    from samples and zeros to entries
    """

    entries: slice
    samples: slice
    zeros: tuple[int, int]
    table: AxisTable

    @property
    def extent(self) -> int:
        """Samples and zeros."""
        return int(self.samples.stop - self.samples.start) + sum(self.zeros)


@dataclass(frozen=True)
class _Way:
    """first  steps to undo on the scores; windows, behind them, that are read through
    tables  to the grid of the labels
    last    crops and pads to undo on the labels
    """

    first: list[GridStep]
    windows: list[Windowed]
    tables: Tables
    last: list[Windowed]

    @property
    def shape(self) -> Shape3:
        x, y, z = (len(table) for table in self.tables)
        return (x, y, z)


def in_one_pass(state: FieldState) -> bool:
    """True for float32, which every model's scores are here; only a transform of one's own can have made others."""
    return state.dtype == _SCORES


def labels_on_loaded_grid(state: FieldState, backend: Backend) -> None:
    """Bring the float32 scores of `state` to the grid on which its source was loaded, as labels [1, X, Y, Z]."""
    way = _way_back(state)
    for step in way.first:
        if isinstance(step, Windowed):
            unwindow(state, step, backend, plain(state, step.before, backend, blank=True))
        else:
            resample(state, step, "linear", backend, plain(state, step.before, backend))
    state.array, state.shape = _labels(state, way, backend), way.shape
    state.channels, state.dtype = 1, label_dtype(state.channels)
    for number, window in enumerate(way.last, start=1):
        make = file_order if number == len(way.last) else plain
        unwindow(state, window, backend, make(state, window.before, backend, blank=True))
    state.restored()


def _labels(state: FieldState, way: _Way, backend: Backend) -> Array:
    """Labels [1, X, Y, Z] on the grid that the tables lead to."""
    cuts = _cuts(state.shape, way)
    like = state.copy(channels=1, dtype=label_dtype(state.channels), array=None)
    blank = cuts is None or [cut.entries.stop - cut.entries.start for cut in cuts] != list(way.shape)
    labels = (plain if way.last else file_order)(like, way.shape, backend, blank=blank)
    if cuts is not None:
        x, y, z = (cut.table for cut in cuts)
        target = labels[(0, *(cut.entries for cut in cuts))]
        backend.restore_argmax(_read(state.array, cuts, backend), (x, y, z), target)
    return labels


def allocated_bytes(state: FieldState) -> int:
    """Most bytes that `labels_on_loaded_grid` holds at a time beside the scores that it is given."""
    way = _way_back(state)
    sizes = [math.prod(step.before) * state.channels * _SCORES.itemsize for step in way.first]
    cuts = _cuts(way.first[-1].before if way.first else state.shape, way)
    if cuts is not None and any(any(cut.zeros) for cut in cuts):
        sizes.append(math.prod(cut.extent for cut in cuts) * state.channels * _SCORES.itemsize)
    labels = label_dtype(state.channels).itemsize
    sizes += [math.prod(shape) * labels for shape in (way.shape, *(step.before for step in way.last))]
    return max(a + b for a, b in pairwise([0, *sizes]))


def _way_back(state: FieldState) -> _Way:
    steps = steps_back(state.history)
    resampled = [n for n, step in enumerate(steps) if isinstance(step, Resampled)]
    if not resampled:
        x, y, z = (identity_table(n) for n in state.shape)
        return _Way([], [], (x, y, z), _windows(steps))
    at = resampled[-1]
    begin = resampled[-2] + 1 if len(resampled) > 1 else 0
    first, windows, step = steps[:begin], _windows(steps[begin:at]), steps[at]
    assert isinstance(step, Resampled)
    shape = windows[-1].before if windows else first[-1].before if first else state.shape
    x, y, z = (linear_table(n, m, step.align_corners) for n, m in zip(shape, step.before, strict=True))
    return _Way(first, windows, (x, y, z), _windows(steps[at + 1 :]))


def _windows(steps: Iterable[GridStep]) -> list[Windowed]:
    return [step for step in steps if isinstance(step, Windowed)]


def _cuts(shape: Shape3, way: _Way) -> tuple[_Cut, _Cut, _Cut] | None:
    """Where scores of `shape` lie under the tables; None where no entry reads any of them."""
    cuts = []
    for axis, table in enumerate(way.tables):
        offset, low, high = 0, 0, shape[axis]
        for window in way.windows:
            start = window.start[axis]
            offset, low, high = offset + start, max(low + start, 0), min(high + start, window.before[axis])
        cut = _cut(table, offset, low, high)
        if cut is None:
            return None
        cuts.append(cut)
    return (cuts[0], cuts[1], cuts[2])


def _cut(table: AxisTable, offset: int, low: int, high: int) -> _Cut | None:
    """Of scores whose sample 0 is sample `offset` of the table's input, of which low ≤ sample < high are left."""
    read = ((table.lower >= low) & (table.lower < high)) | ((table.upper >= low) & (table.upper < high))
    found = np.flatnonzero(read)
    if not found.size:
        return None
    first, end = int(found[0]), int(found[-1]) + 1
    if end - first == 1 < len(table):
        # an axis of one sample is interpolated in another order than a longer one: rounding would differ
        first, end = (first - 1, end) if first else (first, end + 1)
    lower, upper = table.lower[first:end], table.upper[first:end]
    begin, stop = int(np.minimum(lower, upper).min()), int(np.maximum(lower, upper).max()) + 1
    inner, outer = max(low, begin), min(high, stop)
    return _Cut(
        slice(first, end),
        slice(inner - offset, outer - offset),
        (inner - begin, stop - outer),
        AxisTable(lower - begin, upper - begin, table.weight[first:end]),
    )


def _read(scores: Array, cuts: Sequence[_Cut], backend: Backend) -> Array:
    """The scores that the cuts read: a view, or a copy with background around it."""
    inside = scores[(slice(None), *(cut.samples for cut in cuts))]
    if not any(any(cut.zeros) for cut in cuts):
        return inside
    padded = backend.zeros((scores.shape[0], *(cut.extent for cut in cuts)), scores.dtype)
    window = (slice(None), *(slice(z[0], n - z[1]) for z, n in ((c.zeros, c.extent) for c in cuts)))
    put(inside, padded[window], backend)
    return padded
