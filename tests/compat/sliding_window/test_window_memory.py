"""The memory of windows is used again, unless the caller still has one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu_infer import sliding_window_inference

ROI = (4, 5, 6)
VOLUME = np.random.default_rng(11).random((2, 1, 9, 11, 13), dtype=np.float32)
KEPT: dict[str, Callable[[Any], Any]] = {
    "the windows": lambda windows: windows,
    "a part": lambda windows: windows[0, 0, 1:],
    "another shape": lambda windows: windows.reshape(-1)[::2],
    "other axes": lambda windows: windows.transpose(0, 4, 3, 2, 1),
    "a memoryview": memoryview,
    "an iterator": lambda windows: windows.flat,
    "DLPack": np.from_dlpack,
}


def _windows_at(coordinates: list[list[slice]]) -> list[NDArray[np.float32]]:
    return [VOLUME[tuple(place)][0] for place in coordinates]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_what_a_predictor_keeps_of_a_window_stays(keep: Callable[[Any], Any], batch: int) -> None:
    kept, expected = [], []

    def predict(windows: NDArray[np.float32], coordinates: list[list[slice]]) -> NDArray[np.float32]:
        original = np.stack(_windows_at(coordinates))
        np.testing.assert_array_equal(windows, original)
        kept.append(keep(windows))
        expected.append(keep(original))
        return windows

    blended = sliding_window_inference(VOLUME, ROI, batch, predict, 0.5, with_coord=True)
    np.testing.assert_allclose(blended, VOLUME, rtol=1e-6)
    assert len(kept) > 10
    for now, then in zip(kept, expected, strict=True):
        np.testing.assert_array_equal(np.asarray(now), np.asarray(then))


def test_every_second_window_is_kept() -> None:
    kept = []

    def predict(windows: NDArray[np.float32], coordinates: list[list[slice]]) -> NDArray[np.float32]:
        if len(places) % 2:
            kept.append((windows[0], _windows_at(coordinates)[0].copy()))
        places.append(windows.ctypes.data)
        return windows + 1

    places: list[int] = []
    blended = sliding_window_inference(VOLUME, ROI, 1, predict, 0.25, with_coord=True)
    np.testing.assert_allclose(blended, VOLUME + 1, rtol=1e-6)
    for now, then in kept:
        np.testing.assert_array_equal(now, then)
    assert len({now.ctypes.data for now, _ in kept}) == len(kept)


def test_windows_that_nobody_keeps_have_one_memory() -> None:
    places = set()

    def predict(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        places.add(windows.ctypes.data)
        return windows

    sliding_window_inference(VOLUME, ROI, 2, predict, 0.5)
    assert len(places) == 1


def test_a_condition_that_is_kept_stays() -> None:
    kept = []

    def predict(windows: NDArray[np.float32], condition: NDArray[np.float32]) -> NDArray[np.float32]:
        kept.append((windows.copy(), condition))
        return windows

    sliding_window_inference(VOLUME, ROI, 2, predict, 0.5, condition=2 * VOLUME)
    for windows, condition in kept:
        np.testing.assert_array_equal(condition, 2 * windows)


def test_windows_that_process_fn_keeps_stay() -> None:
    kept = []

    def process(outputs: Any, windows: NDArray[np.float32], weights: Any) -> Any:
        kept.append((windows, windows.copy()))
        return outputs, weights

    sliding_window_inference(VOLUME, ROI, 2, lambda windows: windows * 1, 0.5, process_fn=process)
    for now, then in kept:
        np.testing.assert_array_equal(now, then)


def test_a_predictor_may_return_the_windows_before() -> None:
    before: list[NDArray[np.float32]] = []

    def predict(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        before.append(windows)
        return before[-2] if len(before) > 1 else windows

    late = sliding_window_inference(VOLUME[:1], ROI, 1, predict, 0)
    copies: list[NDArray[np.float32]] = []

    def predict_copies(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        copies.append(windows.copy())
        return copies[-2] if len(copies) > 1 else copies[-1]

    np.testing.assert_array_equal(late, sliding_window_inference(VOLUME[:1], ROI, 1, predict_copies, 0))


def test_windows_stay_if_a_debugger_looked_at_their_memory() -> None:
    """It refers to what it saw at the last line of code, here until the first call of the predictor."""
    seen: list[Any] = []
    kept: list[Any] = []

    def look(frame: FrameType, _event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.endswith("sliding_window/source.py"):
            return None
        last = getattr(frame.f_locals.get("self"), "_last", None)
        seen[:] = last if isinstance(last, list) else [last]
        return look

    def predict(windows: NDArray[np.float32]) -> NDArray[np.float32]:
        sys.settrace(before)
        seen.clear()
        kept.append((windows, windows.copy()))
        return windows

    before = sys.gettrace()
    sys.settrace(look)
    try:
        sliding_window_inference(VOLUME, ROI, 1, predict, 0.5)
    finally:
        sys.settrace(before)
    for now, then in kept:
        np.testing.assert_array_equal(now, then)
