"""Compiles the CPU kernels into Numba's cache ahead of a run: each operation once per dtype pair that runs meet."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from gpu_infer.backends import dtypes
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.grid_windows import GridAdder, GridReader
from gpu_infer.backends.cpu.kernels.launch import FEW
from gpu_infer.backends.cpu.means import CoveredAxis
from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.types import RollingSums, SplitSums, SumsPart

N = 4
SHAPE = (N, N, N)
MANY = (1, 1, FEW + 1)
"""Voxels of a window that threads share."""

LARGER = (N + 1,) * 3
ORIGIN = (0, 0, 0)
LINEAR = (linear_table(N, N + 1),) * 3
NEAREST = (nearest_table(N, N + 1),) * 3

Step = tuple[str, Callable[[CpuBackend], None]]
"""What the operations read, for messages, and a function that calls them on arrays of a few voxels."""


def steps() -> Iterator[Step]:
    """All steps; the first ones suffice for a CT of 16-bit voxels and an FP32 model."""
    for model in dtypes.MODEL:
        yield f"{model} windows", partial(_windows, model=model)
    for label in dtypes.LABELS:
        yield f"{label} labels", partial(_labels, label=label)
    common_first = sorted(dtypes.STORED, key=lambda stored: stored not in ("i2", "f4"))
    pairs: list[tuple[np.dtype[Any], str]] = list(itertools.product(dtypes.MODEL, common_first))
    for dtype, stored in pairs:
        yield f"{np.dtype(stored)} volumes for {dtype} models", partial(_prepare, stored=stored, model=dtype)
    yield "windows of sliding_window_inference", _grid_windows
    yield "means of sliding_window_inference", _means


def warm_up(progress: Callable[[str, int, int], object]) -> None:
    """Carry out all steps. `progress` receives each step's name, its number from 1 and how many there are, before it.

    Kernels that the cache holds are loaded, the others take about a second each.
    """
    cpu, all_steps = CpuBackend(), list(steps())
    for number, (name, step) in enumerate(all_steps, 1):
        progress(name, number, len(all_steps))
        step(cpu)


def _prepare(cpu: CpuBackend, stored: str, model: np.dtype[Any]) -> None:
    source, same = np.zeros((1, *SHAPE), stored), ClampedAffine()
    turned = source.transpose(0, 3, 2, 1)[:, ::-1]
    for view in (source, turned):
        cpu.resample(view, np.zeros((1, *SHAPE), model), None, same, same)
        cpu.resample(view, np.zeros((1, *LARGER), model), LINEAR, same, same)
        cpu.resample(view, np.zeros((1, *LARGER), model), NEAREST, same, same)


def _windows(cpu: CpuBackend, model: np.dtype[Any]) -> None:
    for shape in (SHAPE, MANY):
        volume, slot = np.zeros((1, *shape), model), np.zeros((1, 1, *shape), model)
        cpu.gather(volume, [ORIGIN], slot, 0.0)
        rolling = RollingSums(np.zeros((1, *shape), np.float32), shape)
        cpu.blend(slot, [ORIGIN], [1], None, rolling)
        split = SplitSums(shape, 0, rolling.sums.reshape(-1), None, [SumsPart(0, shape[0], rolling)])
        cpu.blend_split(slot, [ORIGIN], [1], None, split)
    for weights in (None, np.ones(SHAPE, np.float32)):
        rolling = RollingSums(np.zeros((1, *SHAPE), np.float32), SHAPE, weights)
        counts, threshold = [np.ones(N, np.float32)] * 3, np.zeros(1, np.float32)
        cpu.finish_scores(rolling, ORIGIN, SHAPE, counts, np.zeros((1, *SHAPE), np.float32))
        cpu.finish_masks(rolling, ORIGIN, SHAPE, counts, threshold, np.zeros((1, *SHAPE), np.uint8))


def _grid_windows(cpu: CpuBackend) -> None:
    start = np.zeros((1, 3), np.int64)
    for shape in (SHAPE, MANY):
        for dtype in dtypes.MODEL:
            window, sums = np.zeros((1, 1, *shape), dtype), np.zeros((1, 1, *shape), np.float32)
            GridReader(window, start, shape).read(0, 0, window.copy())
            GridAdder(sums, start, np.ones(1), shape).add(0, 0, window, None)


def _means(cpu: CpuBackend) -> None:
    sums = np.ones((1, *SHAPE), np.float32)
    cpu.divide_by_counts(sums, [np.full(N, 2, np.float32)] * 3)
    axis = CoveredAxis(np.zeros(1, np.int64), np.ones(1, np.int64), np.arange(N))
    cpu.divide_by_weights(sums, np.ones(SHAPE, np.float32), [axis] * 3, (0, 1, 2))


def _labels(cpu: CpuBackend, label: np.dtype[Any]) -> None:
    labels = np.zeros(SHAPE, label)
    rolling = RollingSums(np.zeros((2, *SHAPE), np.float32), SHAPE)
    cpu.finish_argmax(rolling, ORIGIN, SHAPE, labels)
    cpu.argmax(rolling.sums, labels)
    cpu.restore_argmax(rolling.sums, LINEAR, np.zeros(LARGER, label))
    cpu.histogram(labels)
    cpu.lookup(labels[None], np.zeros(np.iinfo(label).max + 1, np.uint8), np.zeros((1, *SHAPE), np.uint8))
    for out in dtypes.LABELS[dtypes.LABELS.index(label) :]:
        cpu.resample_labels(labels, (identity_table(N),) * 3, np.zeros(SHAPE, out))
        cpu.resample_labels(labels, NEAREST, np.zeros(LARGER, out))
    for stored in dtypes.STORED:
        cpu.label_statistics(np.ones(SHAPE, label), np.zeros(SHAPE, stored), [1])
