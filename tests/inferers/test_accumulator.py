"""The rolling accumulator against NumPy sums over the whole grid, and the order in which it finalizes rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from gpu_infer.backends.base.backend import RollingSums, Start
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.inferers.accumulator import (
    Accumulator,
    ArgmaxFinalizer,
    Finalizer,
    MaskFinalizer,
    ScoreFinalizer,
    accumulator_shape,
    mirrored,
)
from gpu_infer.inferers.modes import window_mode
from gpu_infer.inferers.windows import Window, WindowGrid, make_grid

BACKEND = CpuBackend()
THRESHOLDS = (0.45, 0.5, 0.55)
FINALIZERS: dict[str, Callable[[WindowGrid], Finalizer]] = {
    "argmax": lambda grid: ArgmaxFinalizer(BACKEND, grid, 3),
    "scores": lambda grid: ScoreFinalizer(BACKEND, grid, 3),
    "softmax": lambda grid: ScoreFinalizer(BACKEND, grid, 3, "softmax"),
    "masks": lambda grid: MaskFinalizer(BACKEND, grid, THRESHOLDS),
}

_shapes = st.tuples(*[st.integers(1, 20)] * 3)
_rois = st.tuples(*[st.integers(1, 14)] * 3)


class Recorder:
    """A finalizer that records its boxes and the number of windows that were blended before each."""

    weighs = False

    def __init__(self) -> None:
        self.result = np.zeros(0)
        self.boxes: list[tuple[Start, Start]] = []
        self.blended_before: list[int] = []
        self.blended = 0

    def finalize(self, sums: RollingSums, low: Start, high: Start) -> None:
        self.boxes.append((low, high))
        self.blended_before.append(self.blended)


def clipped(window: Window, grid: WindowGrid) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of a window inside the grid, in indices of the grid and of the window."""
    bounds = [(max(s, 0), min(s + r, n), s) for s, r, n in zip(window.start, grid.roi, grid.shape, strict=True)]
    return tuple(slice(a, b) for a, b, _ in bounds), tuple(slice(a - s, b - s) for a, b, s in bounds)


def sums_over_the_grid(
    grid: WindowGrid, outputs: NDArray[np.float32], importance: NDArray[np.float32] | None
) -> NDArray[np.float64]:
    """Weighted mean [K, X, Y, Z] of the visits' outputs in float64, window by window."""
    sums, weights = np.zeros((3, *grid.shape)), np.zeros(grid.shape)
    weight = np.ones(grid.roi) if importance is None else importance.astype(float)
    for window, output in zip(grid.visits, outputs, strict=True):
        inside, part = clipped(window, grid)
        flipped = np.flip(output, [1 + axis for axis in window.mirror])
        sums[(slice(None), *inside)] += window.repeats * (flipped * weight)[(slice(None), *part)]
        weights[inside] += window.repeats * weight[part]
    return sums / weights


def accumulated(
    grid: WindowGrid, outputs: NDArray[np.float32], finalizer: Finalizer, batch: int, **options: Any
) -> NDArray[Any]:
    accumulator = Accumulator(BACKEND, grid, 3, finalizer, **options)
    for first in range(0, len(outputs), batch):
        accumulator.add(outputs[first : first + batch], grid.visits[first : first + batch])
    return np.asarray(accumulator.close())


@pytest.mark.parametrize("slab", [True, False])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", FINALIZERS)
@pytest.mark.parametrize(
    ("mode", "settings"),
    [("clara", {}), ("monai", {"blend": "gaussian", "overlap": (0.5,) * 3}), ("nnunet", {"mirror_axes": (0, 2)})],
)
def test_results_are_those_of_sums_over_the_whole_grid(
    mode: str, settings: dict[str, Any], kind: str, batch: int, slab: bool
) -> None:
    window_settings = window_mode(mode, settings)
    grid = make_grid((13, 9, 18), (6, 11, 7), window_settings)
    outputs = np.random.default_rng(5).random((len(grid.visits), 3, *grid.roi), dtype=np.float32)
    importance = window_settings.importance(grid.roi)
    expected = sums_over_the_grid(grid, outputs, importance)
    result = accumulated(grid, outputs, FINALIZERS[kind](grid), batch, slab=slab, importance=importance)
    if kind in ("scores", "softmax"):
        assert result.dtype == np.float32
        expected = special.softmax(expected, axis=0) if kind == "softmax" else expected
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)
        return
    # rounding may decide where two scores, or a score and its threshold, are closer than float32 sums are exact
    best, second = np.sort(expected, axis=0)[-1:-3:-1]
    limits = np.reshape(THRESHOLDS, (3, 1, 1, 1))
    clear = best - second > 1e-5 if kind == "argmax" else np.abs(expected - limits) > 1e-5
    assert result.dtype == np.uint8
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(result[clear], (expected.argmax(0) if kind == "argmax" else expected > limits)[clear])


@given(shape=_shapes, roi=_rois, batch=st.integers(1, 5))
def test_rows_are_finalized_once_in_order_and_before_no_window_that_touches_them(
    shape: Any, roi: Any, batch: int
) -> None:
    grid = make_grid(shape, roi)
    axis = grid.slab_axis
    recorder = Recorder()
    accumulator = Accumulator(BACKEND, grid, 1, recorder)
    output = np.zeros((batch, 1, *roi), np.float32)
    for first in range(0, len(grid.visits), batch):
        group = grid.visits[first : first + batch]
        accumulator.add(output[: len(group)], group)
        recorder.blended = first + len(group)
    accumulator.close()
    edges = [low[axis] for low, _ in recorder.boxes] + [recorder.boxes[-1][1][axis]]
    assert edges[0] == 0
    assert edges[-1] == shape[axis]
    assert edges == sorted(set(edges))
    assert [high[axis] for _, high in recorder.boxes] == edges[1:]
    for low, high in recorder.boxes:
        assert all((low[a], high[a]) == (0, shape[a]) for a in range(3) if a != axis)
    # a box is finalized while a batch is added: its later windows, and all of later batches, begin at its end or after
    starts = [max(window.start[axis], 0) for window in grid.visits]
    for blended, (_, high) in zip(recorder.blended_before, recorder.boxes, strict=True):
        later = [s for s in starts[blended:] if s >= high[axis]]
        assert starts[len(starts) - len(later) :] == later
        assert sum(s < high[axis] for s in starts[blended:]) < batch


@given(shape=_shapes, roi=_rois)
def test_the_slab_has_room_for_every_row_that_is_not_final(shape: Any, roi: Any) -> None:
    grid = make_grid(shape, roi)
    axis = grid.slab_axis
    assert all(h == n for a, (h, n) in enumerate(zip(grid.rolling_shape, shape, strict=True)) if a != axis)
    recorder = Recorder()
    accumulator = Accumulator(BACKEND, grid, 1, recorder)
    for window in grid.visits:
        accumulator.add(np.zeros((1, 1, *roi), np.float32), [window])
        final = recorder.boxes[-1][1][axis] if recorder.boxes else 0
        end = min(window.start[axis] + roi[axis], shape[axis])
        assert end - final <= grid.rolling_shape[axis]
        # no earlier than needed either: every row below the window is final
        assert final == min(max(window.start[axis], 0), shape[axis])


def test_rows_before_negative_starts_and_after_the_last_window() -> None:
    grid = WindowGrid((5, 6, 7), (4, 10, 4), "other", ((-2, 2, 3), (-2,), (-1, 3, 5)))
    recorder = Recorder()
    accumulator = Accumulator(BACKEND, grid, 1, recorder)
    final = []
    for window in grid.distinct:
        accumulator.add(np.zeros((1, 1, *grid.roi), np.float32), [window])
        final.append(recorder.boxes[-1][1][2] if recorder.boxes else 0)
    accumulator.close()
    assert final == [0, 0, 0, 3, 3, 3, 5, 5, 5]
    assert recorder.boxes[-1] == ((0, 0, 5), (5, 6, 7))


def test_the_shape_of_the_sums() -> None:
    grid = make_grid((100, 90, 300), (96, 96, 64))
    assert accumulator_shape(grid, 5, slab=True) == (5, 100, 90, 64)
    assert accumulator_shape(grid, 5, slab=False) == (5, 100, 90, 300)


def test_a_mirrored_view_runs_backwards_along_its_axes() -> None:
    tiles = np.arange(2 * 1 * 2 * 3 * 4).reshape(2, 1, 2, 3, 4)
    assert mirrored(tiles, ()) is tiles
    np.testing.assert_array_equal(mirrored(tiles, (0, 2)), np.flip(tiles, (2, 4)))
    assert np.shares_memory(mirrored(tiles, (1,)), tiles)


def test_outputs_of_a_device_are_downloaded_and_the_result_is_uploaded() -> None:
    class Device(CpuBackend):
        def __init__(self) -> None:
            super().__init__()
            self.calls: list[str] = []

        def download(self, array: Any) -> Any:
            self.calls.append("download")
            return super().download(array)

        def upload(self, host: Any) -> Any:
            self.calls.append("upload")
            return super().upload(host)

    grid, device = make_grid((9, 8, 7), (6, 8, 7)), Device()
    outputs = np.random.default_rng(1).random((len(grid.visits), 3, *grid.roi), dtype=np.float32)
    alone = accumulated(grid, outputs, FINALIZERS["argmax"](grid), 1)
    np.testing.assert_array_equal(accumulated(grid, outputs, FINALIZERS["argmax"](grid), 1, device=device), alone)
    assert device.calls == ["download"] * len(grid.visits) + ["upload"]
