"""The mean of several models against NumPy, with models in this process instead of a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from local_ring import LocalGroups, position_dependent_model
from numpy.typing import NDArray

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import ArgmaxFinalizer, Finalizer, MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.ensemble import EnsembleAccumulator, unequal_weights
from gpu_infer.inferers.modes import WindowMode, window_mode
from gpu_infer.inferers.scan_window import scan_window
from gpu_infer.inferers.windows import WindowGrid, make_grid

BACKEND = CpuBackend()
SHAPE, ROI = (21, 17, 26), (9, 8, 10)


def second_model(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    """[N, 1, …] → [N, 3, …], of other values than `position_dependent_model`."""
    return np.concatenate([np.sin(9 * tiles), tiles**2, 0.7 - tiles], axis=1).astype(np.float32)


def third_model(tiles: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.flip(position_dependent_model(tiles), 1)


MODELS = [position_dependent_model, second_model, third_model]


def grid_of(mode: WindowMode, models: int) -> WindowGrid:
    return replace(make_grid(SHAPE, ROI, mode), models=models)


def volume(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, *SHAPE), dtype=np.float32)


def scan(
    voxels: NDArray[np.float32],
    mode: WindowMode,
    weights: list[float],
    finalizer: type[Any] | None = None,
    *,
    slots: int = 2,
    batch: int = 2,
    slab: bool = True,
    models: list[Any] = MODELS,
) -> NDArray[Any]:
    grid = grid_of(mode, len(weights))
    final: Finalizer
    if finalizer is MaskFinalizer:
        final = MaskFinalizer(BACKEND, grid, [0.3, 0.4, 0.5])
    else:
        final = (finalizer or ScoreFinalizer)(BACKEND, grid, 3)
    ring = LocalGroups(models[: len(weights)], slots, batch, 1, ROI)
    accumulator = EnsembleAccumulator(
        *(BACKEND, grid, 3, final),
        slab=slab,
        importance=mode.importance(ROI),
        weights=unequal_weights(weights),
    )
    result: NDArray[Any] = scan_window(voxels, grid, ring, accumulator, BACKEND, batch=batch, fill=mode.cval)  # type: ignore[arg-type]
    return result


def mean(voxels: NDArray[np.float32], mode: WindowMode, weights: list[float]) -> NDArray[np.float64]:
    """Mean of the models' means, each of them in float64: windows with repeats, padding, importance."""
    grid, importance = make_grid(SHAPE, ROI, mode), mode.importance(ROI)
    weight = np.ones(ROI) if importance is None else importance.astype(np.float64)
    padded = np.pad(voxels[0], [(r, r) for r in ROI], constant_values=mode.cval)
    inside = tuple(slice(r, r + n) for n, r in zip(SHAPE, ROI, strict=True))
    means = []
    for model in MODELS[: len(weights)]:
        sums, total = np.zeros((3, *padded.shape)), np.zeros(padded.shape)
        for start in grid.windows:
            box = tuple(slice(s + r, s + 2 * r) for s, r in zip(start, ROI, strict=True))
            for mirror in grid.mirrors:
                tile = np.ascontiguousarray(np.flip(padded[box], mirror))[None, None]
                scores = np.flip(model(tile)[0], [axis + 1 for axis in mirror])
                sums[(slice(None), *box)] += weight * scores
                total[box] += weight
        means.append(sums[(slice(None), *inside)] / total[inside])
    result: NDArray[np.float64] = np.average(means, axis=0, weights=weights)
    return result


MODES = [
    window_mode("clara"),
    window_mode("monai", {"overlap": (0.5, 0.25, 0.6), "blend": "gaussian", "cval": 0.3}),
    window_mode("nnunet", {"mirror_axes": (0, 2)}),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", [[1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 3.0], [0.2, 5.0, 1.0]])
def test_mean_scores_masks_and_labels(mode: WindowMode, weights: list[float]) -> None:
    voxels = volume()
    expected = mean(voxels, mode, weights)
    np.testing.assert_allclose(scan(voxels, mode, weights), expected, rtol=0, atol=3e-6)
    masks = scan(voxels, mode, weights, MaskFinalizer)
    thresholds = np.array([0.3, 0.4, 0.5]).reshape(3, 1, 1, 1)
    clear = np.abs(expected - thresholds) > 1e-5
    np.testing.assert_array_equal(masks[clear], (expected > thresholds)[clear])
    labels, best = scan(voxels, mode, weights, ArgmaxFinalizer), np.sort(expected, axis=0)
    clear = best[-1] - best[-2] > 1e-5
    np.testing.assert_array_equal(labels[clear], expected.argmax(0)[clear])
    assert len(np.unique(labels)) == 3


@given(
    slots=st.integers(1, 4),
    batch=st.integers(1, 5),
    slab=st.booleans(),
    weights=st.sampled_from(([1.0, 1.0], [1.0, 3.0, 0.5])),
    mode=st.sampled_from(MODES),
)
def test_sums_are_bit_identical_for_slots_batches_and_slab(
    slots: int, batch: int, slab: bool, weights: list[float], mode: WindowMode
) -> None:
    voxels = volume(1)
    first = scan(voxels, mode, weights, slots=1, batch=1, slab=False)
    np.testing.assert_array_equal(scan(voxels, mode, weights, slots=slots, batch=batch, slab=slab), first)


def test_equal_models_of_equal_weights_are_one_model() -> None:
    """Sums of two are twice those of one, and so is what they are divided by."""
    voxels, mode = volume(2), MODES[0]
    one = scan(voxels, mode, [1.0])
    two = scan(voxels, mode, [1.0, 1.0], models=[position_dependent_model] * 2)
    np.testing.assert_allclose(two, one, rtol=0, atol=1e-6)


def test_weights_are_divided_by_their_sum() -> None:
    assert unequal_weights([1, 3]) == (0.25, 0.75)
    assert unequal_weights([0.3, 0.3, 0.3]) is None
