"""Calls of the operations of the CPU backend on arrays of a few voxels, which compile their kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from gpu_infer.backends import dtypes
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.backends.cpu.grid_windows import GridAdder, GridReader
from gpu_infer.backends.cpu.kernels.launch import FEW
from gpu_infer.backends.cpu.means import CoveredAxis
from gpu_infer.backends.resampling import identity_table, linear_table, nearest_table
from gpu_infer.backends.tables import ClampedAffine
from gpu_infer.backends.tap_tables import cubic_table, tap_table
from gpu_infer.backends.types import RollingSums, SplitSums, SumsPart
from gpu_infer.choices import ScoresActivation

N = 4
SHAPE = (N, N, N)
MANY = (1, 1, FEW + 1)
"""Voxels of a window that threads share."""

LARGER = (N + 1,) * 3
ORIGIN = (0, 0, 0)
LINEAR = (linear_table(N, N + 1),) * 3
NEAREST = (nearest_table(N, N + 1),) * 3
SAME = ClampedAffine()

ZOOMED = ("u1", "i2", "f8")
"""Dtypes that `gpu_infer.zoom` is compiled for."""


def windows(cpu: CpuBackend, model: np.dtype[Any]) -> None:
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


def labels(cpu: CpuBackend, label: np.dtype[Any]) -> None:
    voxels = np.zeros(SHAPE, label)
    rolling = RollingSums(np.zeros((2, *SHAPE), np.float32), SHAPE)
    cpu.finish_argmax(rolling, ORIGIN, SHAPE, voxels)
    cpu.argmax(rolling.sums, voxels)
    cpu.restore_argmax(rolling.sums, LINEAR, np.zeros(LARGER, label))
    cpu.histogram(voxels)
    cpu.resample_labels(voxels, NEAREST, np.zeros(LARGER, label))
    for out in dtypes.LABELS[dtypes.LABELS.index(label) :]:
        table = np.zeros(np.iinfo(label).max + 1, out)
        cpu.lookup(voxels[None], table, np.zeros((1, *SHAPE), out))
        cpu.overlay(voxels[None], table, np.zeros((1, *SHAPE), out))


def probabilities(cpu: CpuBackend) -> None:
    scores = np.zeros((2, *SHAPE), np.float32)
    for activation in get_args(ScoresActivation):
        cpu.probabilities(scores, activation)
    cpu.improbable(scores, 0.0)
    cpu.entropy(scores, True, np.zeros(SHAPE, np.float32))


def prepare(cpu: CpuBackend, stored: str, model: np.dtype[Any]) -> None:
    source = np.zeros((1, *SHAPE), stored)
    cpu.resample(source, np.zeros((1, *LARGER), model), LINEAR, SAME, SAME)


def intensities(cpu: CpuBackend) -> None:
    """Each measures float32 voxels, which transforms make of others before."""
    source, mask = np.zeros((1, *SHAPE), np.float32), np.zeros((1, *SHAPE), np.uint8)
    out = np.empty_like(source)
    cpu.masked_moments(source, True)
    cpu.masked_affine(source, out, SAME)
    cpu.masked_affine(source, out, SAME, mask)
    cpu.percentiles(source, [50.0])
    cpu.count_bins(source, np.arange(3, dtype=np.float32))
    cpu.map_values(source, out, np.arange(2.0), np.arange(2.0))


def resample_cubic(cpu: CpuBackend, stored: str, models: Sequence[np.dtype[Any]]) -> None:
    """Along one axis and along three, and the range of the voxels, which limits the result."""
    source = np.zeros((1, *SHAPE), stored)
    cpu.extrema(source)
    cubic, same = cubic_table(N, N + 1), tap_table(identity_table(N))
    for model in models:
        cpu.resample_taps(source, np.zeros((1, N + 1, N, N), model), (cubic, same, same), SAME, SAME)
        cpu.resample_taps(source, np.zeros((1, *LARGER), model), (cubic, cubic, cubic), SAME, SAME)


def components(cpu: CpuBackend, label: np.dtype[Any]) -> None:
    """Label maps after the model: components, and masks that become labels."""
    voxels, out = np.ones(SHAPE, label), np.zeros(SHAPE, label)
    for joined in (False, True):
        cpu.largest_components(voxels, 1, None, out, joined=joined)
    cpu.remove_small_components(voxels, 1, 1, None, out)
    cpu.fill_holes(voxels, 1, 1, out)
    cpu.repaint(np.ones(SHAPE, np.uint8), 1, out)
    for merged in dtypes.LABELS[dtypes.LABELS.index(label) :]:
        cpu.merge_masks(voxels[None], [1], np.zeros(SHAPE, merged))


def label_statistics(cpu: CpuBackend, label: np.dtype[Any]) -> None:
    voxels = np.ones(SHAPE, label)
    cpu.label_boxes(voxels, [1])
    for stored in dtypes.STORED:
        cpu.label_statistics(voxels, np.zeros(SHAPE, stored), [1])


def grid_windows(cpu: CpuBackend) -> None:
    """Images are copied as numbers of as many bytes."""
    start = np.zeros((1, 3), np.int64)
    for shape in (SHAPE, MANY):
        for bits in ("u1", "u2", "u4", "u8"):
            images = np.zeros((1, 1, *shape), bits)
            GridReader(images, start, shape).read(0, 0, images.copy())
        for dtype in dtypes.MODEL:
            sums = np.zeros((1, 1, *shape), np.float32)
            GridAdder(sums, start, np.ones(1), shape).add(0, 0, np.zeros((1, 1, *shape), dtype), None)


def means(cpu: CpuBackend) -> None:
    sums = np.ones((1, *SHAPE), np.float32)
    cpu.divide_by_counts(sums, [np.full(N, 2, np.float32)] * 3)
    axis = CoveredAxis(np.zeros(1, np.int64), np.ones(1, np.int64), np.arange(N))
    cpu.divide_by_weights(sums, np.ones(SHAPE, np.float32), [axis] * 3, (0, 1, 2))


def zoom(cpu: CpuBackend) -> None:
    """Copies of order 0, and order 1 in float64; what is computed in float32 is `prepare`."""
    table = (np.zeros(N, np.int64), np.zeros(N, np.int64), np.zeros(N))
    for name in ZOOMED:
        source = np.zeros(SHAPE, name)
        cpu.interpolate(source, np.zeros(SHAPE, name), (table, table, table))
        if source.dtype.kind in "iu":
            cpu.resample_labels(source, NEAREST, np.zeros(LARGER, name))
