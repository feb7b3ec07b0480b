"""Per axis: the labels of a restored grid that depend on a score, and the scores that they read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gpu_infer.backends.base.backend import Tables
from gpu_infer.backends.resampling import identity_table
from gpu_infer.backends.tables import AxisTable
from gpu_infer.transforms.chain.restore import steps_back, tables_back
from gpu_infer.transforms.field import GridStep, Resampled, Windowed
from gpu_infer.volume.geometry import Shape3


@dataclass(frozen=True)
class RestoreSteps:
    """A field's steps back to the loaded grid, ordered for one pass of resampling and argmax.

    first    steps to undo on the scores
    windows  crops and pads that follow them; the tables read through them, so they are not undone
    tables   from there to the grid of the labels
    last     crops and pads to undo on the labels
    """

    first: list[GridStep]
    windows: list[Windowed]
    tables: Tables
    last: list[Windowed]

    @property
    def shape(self) -> Shape3:
        """(X, Y, Z) of the labels that the tables lead to."""
        x, y, z = (len(table) for table in self.tables)
        return (x, y, z)


@dataclass(frozen=True)
class AxisCrop:
    """One axis of the part of the labels that any score decides.

    entries  of the labels
    samples  of the scores that they read
    zeros    samples of background before and after those, which they read as well
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


def restore_steps(history: tuple[GridStep, ...], shape: Shape3) -> RestoreSteps:
    """The steps that undo `history` from a grid of `shape`."""
    steps = steps_back(history)
    resampled = [n for n, step in enumerate(steps) if isinstance(step, Resampled)]
    if not resampled:
        x, y, z = (identity_table(n) for n in shape)
        return RestoreSteps([], [], (x, y, z), _windows(steps))
    at = resampled[-1]
    begin = resampled[-2] + 1 if len(resampled) > 1 else 0
    first, windows, step = steps[:begin], _windows(steps[begin:at]), steps[at]
    assert isinstance(step, Resampled)
    before = windows[-1].before if windows else first[-1].before if first else shape
    return RestoreSteps(first, windows, tables_back(step, before, "linear"), _windows(steps[at + 1 :]))


def _windows(steps: Iterable[GridStep]) -> list[Windowed]:
    return [step for step in steps if isinstance(step, Windowed)]


def crop_axes(shape: Shape3, steps: RestoreSteps) -> tuple[AxisCrop, AxisCrop, AxisCrop] | None:
    """The crop of each axis for scores of `shape`; None if no label reads any score."""
    crops = []
    for axis, table in enumerate(steps.tables):
        offset, low, high = 0, 0, shape[axis]
        for window in steps.windows:
            start = window.start[axis]
            offset, low, high = offset + start, max(low + start, 0), min(high + start, window.before[axis])
        crop = crop_axis(table, offset, low, high)
        if crop is None:
            return None
        crops.append(crop)
    return (crops[0], crops[1], crops[2])


def crop_axis(table: AxisTable, offset: int, low: int, high: int) -> AxisCrop | None:
    """The crop for scores whose sample 0 is sample `offset` of the table's input.

    Samples low ≤ sample < high of that input are scores, the others background. None if no entry reads a score.
    """
    reads_score = ((table.lower >= low) & (table.lower < high)) | ((table.upper >= low) & (table.upper < high))
    entries = np.flatnonzero(reads_score)
    if not entries.size:
        return None
    first, end = int(entries[0]), int(entries[-1]) + 1
    if end - first == 1 < len(table):
        # an axis of one sample is interpolated in another order than a longer one: rounding would differ
        first, end = (first - 1, end) if first else (first, end + 1)
    lower, upper = table.lower[first:end], table.upper[first:end]
    begin, stop = int(np.minimum(lower, upper).min()), int(np.maximum(lower, upper).max()) + 1
    inner, outer = max(low, begin), min(high, stop)
    return AxisCrop(
        slice(first, end),
        slice(inner - offset, outer - offset),
        (inner - begin, stop - outer),
        AxisTable(lower - begin, upper - begin, table.weight[first:end]),
    )
