"""Probabilities on the model's grid: the other result has the bits that it has without them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from numpy.typing import NDArray

from gpu_infer.backends.base.backend import Backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers import score_plan
from gpu_infer.inferers.accumulator import Accumulator, ArgmaxFinalizer, Finalizer, MaskFinalizer, ScoreFinalizer
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.score_maps import ScoreMapFinalizer, ScoreMaps
from gpu_infer.inferers.score_plan import ScorePlan, scratch_shape
from gpu_infer.inferers.windows import WindowGrid, make_grid

SHAPE, ROI = (9, 21, 14), (8, 8, 9)
THRESHOLDS = (0.4, -0.5, 0.6)


def plan_of(**changes: Any) -> ScorePlan:
    parts: dict[str, Any] = {
        "labels": (0, 2),
        "channels": (0, 2),
        "background": (True, False),
        "uncertainty": True,
        "activation": "softmax",
        "exclusive": True,
        "check": None,
    }
    return ScorePlan(**(parts | changes))


def inner_of(kind: str, backend: Backend, grid: WindowGrid) -> Finalizer:
    if kind == "masks":
        return MaskFinalizer(backend, grid, THRESHOLDS)
    return {"argmax": ArgmaxFinalizer, "scores": ScoreFinalizer}[kind](backend, grid, 3)


def accumulate(
    backend: Backend,
    grid: WindowGrid,
    finalizer: Finalizer,
    importance: NDArray[np.float32] | None,
    *,
    slab: bool = True,
    outputs: NDArray[np.float32] | None = None,
) -> NDArray[Any]:
    accumulator = Accumulator(backend, grid, 3, finalizer, slab=slab, importance=importance)
    if outputs is None:
        outputs = np.random.default_rng(0).normal(size=(len(grid.visits), 3, *grid.roi)).astype(np.float32) * 3
    for n, window in enumerate(grid.visits):
        accumulator.add(backend.upload(outputs[n : n + 1]), [window])
    result = backend.download(accumulator.close())
    assert isinstance(result, np.ndarray)
    return result


def grid_of(mode: str) -> tuple[WindowGrid, NDArray[np.float32] | None]:
    window = window_mode(mode, {})
    return make_grid(SHAPE, ROI, window), window.importance(ROI)


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(scores.astype(np.float64) - scores.max(axis=0).astype(np.float64))
    return powers / powers.sum(axis=0)


@pytest.fixture(scope="module")
def gpu() -> Iterator[Backend]:
    with simulated_cupy() as module:
        yield module.GpuBackend()


@pytest.fixture(params=[None, 3 * 9 * 14 * 4 * 4], ids=["one part", "two planes at a time"])
def rows(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        monkeypatch.setattr(score_plan, "_SCRATCH_BYTES", request.param)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("slab", [True, False])
@pytest.mark.parametrize("mode", ["clara", "nnunet"])
@pytest.mark.parametrize("kind", ["argmax", "masks", "scores"])
def test_result_and_maps(kind: str, mode: str, slab: bool) -> None:
    backend = CpuBackend()
    grid, importance = grid_of(mode)
    expected = accumulate(backend, grid, inner_of(kind, backend, grid), importance)
    nans = backend.take_nan_scores()
    finalizer = ScoreMapFinalizer(backend, grid, 3, plan_of(), inner_of(kind, backend, grid))
    np.testing.assert_array_equal(accumulate(backend, grid, finalizer, importance, slab=slab), expected)
    assert backend.take_nan_scores() == nans
    p = softmax(accumulate(backend, grid, ScoreFinalizer(backend, grid, 3), importance))
    maps = finalizer.score_maps()
    assert maps.array.dtype == np.float32
    entropy = -(p * np.log(p)).sum(axis=0) / np.log(3)
    np.testing.assert_allclose(maps.array, np.stack([1 - p[0], p[2], entropy]), atol=2e-6)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("kind", ["argmax", "masks", "scores"])
def test_the_gpu_computes_the_same_bits(gpu: Backend, kind: str, dtype: type) -> None:
    grid, importance = grid_of("nnunet")
    maps: list[ScoreMaps] = []
    results = []
    for backend in (CpuBackend(), gpu):
        plan = plan_of(activation="sigmoid", exclusive=False, check="sum")
        finalizer = ScoreMapFinalizer(backend, grid, 3, plan, inner_of(kind, backend, grid), dtype=dtype)
        results.append(accumulate(backend, grid, finalizer, importance))
        maps.append(finalizer.score_maps())
    np.testing.assert_array_equal(*results)
    np.testing.assert_array_equal(maps[0].array, gpu.download(maps[1].array))
    assert maps[0].improbable == maps[1].improbable


def test_probabilities_are_counted_as_such(gpu: Backend) -> None:
    grid, importance = grid_of("nnunet")
    logits = np.random.default_rng(0).normal(size=(len(grid.visits), 3, *ROI)).astype(np.float32)
    probabilities = np.stack([softmax(window) for window in logits]).astype(np.float32)
    for backend in (CpuBackend(), gpu):
        for outputs, check, expected in (
            (probabilities, "sum", (0, 0)),
            (probabilities / 2, "sum", (0, 9 * 21 * 14)),
            (probabilities / 2, "range", (0, 0)),
            (probabilities + 2, "range", (9 * 21 * 14, 0)),
        ):
            plan = plan_of(activation="none", check=check)
            finalizer = ScoreMapFinalizer(backend, grid, 3, plan, ArgmaxFinalizer(backend, grid, 3))
            accumulate(backend, grid, finalizer, importance, outputs=outputs)
            assert finalizer.score_maps().improbable == expected


def test_scratch_has_a_row_at_least() -> None:
    grid = make_grid((512, 512, 100), (320, 320, 64))
    assert grid.slab_axis == 0
    assert scratch_shape(grid, 3) == (3, (32 << 20) // (3 * 512 * 100 * 4), 512, 100)
    grid = make_grid((512, 512, 275), (256, 256, 64))
    assert grid.slab_axis == 2
    assert scratch_shape(grid, 3) == (3, (32 << 20) // (3 * 512 * 64 * 4), 512, 64)
    grid = make_grid((512, 512, 100), (320, 320, 64))
    assert scratch_shape(grid, 1000) == (1000, 1, 512, 100)
    assert scratch_shape(make_grid((4, 5, 6), (4, 5, 6)), 2) == (2, 4, 5, 6)
