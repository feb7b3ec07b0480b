"""What predictors of `sliding_window_inference` receive and may return."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sliding_windows import by_hand, ramp

from gpu_infer import sliding_window_inference
from gpu_infer.inferers.placement import monai_starts


def test_windows_of_neighbouring_images_share_a_call_and_coordinates_say_which() -> None:
    inputs = np.arange(2 * 10, dtype=np.float32).reshape(2, 1, 10)
    calls: list[tuple[NDArray[Any], list[Any]]] = []

    def predictor(window: NDArray[Any], coordinates: list[Any], gain: float, *, offset: float) -> NDArray[Any]:
        calls.append((window.copy(), coordinates))
        return window * gain + offset

    actual = sliding_window_inference(
        inputs, 4, 4, predictor, 0.25, "constant", 0.125, "constant", 0.0, None, "cpu", False, None, None, None, -1,
        True, 2.0, offset=1.0,
    )  # fmt: skip
    np.testing.assert_allclose(actual, inputs * 2 + 1)
    assert [len(window) for window, _ in calls] == [4, 2]
    for window, coordinates in calls:
        for one, (image, channels, place) in zip(window, coordinates, strict=True):
            np.testing.assert_array_equal(one, inputs[image, channels, place][0])
    assert calls[0][1][3] == [slice(1, 2), slice(None), slice(0, 4)]


def test_windows_are_the_predictors_to_keep() -> None:
    kept: list[NDArray[Any]] = []

    def predictor(window: NDArray[Any]) -> NDArray[Any]:
        kept.append(window)
        return window

    inputs = np.arange(12, dtype=np.float32).reshape(1, 1, 12)
    sliding_window_inference(inputs, 4, 1, predictor, 0)
    np.testing.assert_array_equal(np.concatenate(kept, axis=2), inputs)
    kept[0][...] = 7
    assert inputs.max() == 11


def test_structures_come_back_as_monai_gives_them() -> None:
    inputs = np.random.default_rng(0).random((1, 1, 9, 9), np.float32)
    run = lambda predictor: sliding_window_inference(inputs, 4, 3, predictor)  # noqa: E731
    pair = run(lambda w: (w, w + 1))
    assert isinstance(pair, tuple)
    np.testing.assert_allclose(pair[1], inputs + 1, rtol=1e-6)
    named = run(lambda w: {"b": w, "a": w * 2})
    assert list(named) == ["a", "b"]
    np.testing.assert_allclose(named["a"], inputs * 2, rtol=1e-6)
    np.testing.assert_allclose(run(lambda w: [w]), inputs, rtol=1e-6)


@pytest.mark.parametrize("factor", [2, 4])
def test_outputs_smaller_than_the_window(factor: int) -> None:
    inputs = np.random.default_rng(0).random((2, 1, 24, 16, 8), np.float32)
    small, full = sliding_window_inference(
        inputs, (8, 8, 8), 2, lambda w: (w[:, :, ::factor, ::factor, ::factor], w), 0.5, "gaussian"
    )
    np.testing.assert_allclose(full, inputs, rtol=1e-6)
    np.testing.assert_allclose(small, inputs[:, :, ::factor, ::factor, ::factor], rtol=1e-6)


def test_starts_are_scaled_in_whole_numbers() -> None:
    """24 · 13/3 is 104, and 103.99999999999999 in floating point."""
    inputs = np.arange(30, dtype=np.float32).reshape(1, 1, 30)
    actual = sliding_window_inference(inputs, 3, 2, lambda w: np.repeat(w, [4, 5, 4], axis=2), 0)
    np.testing.assert_array_equal(actual[0, 0], np.repeat(np.arange(30), [4, 5, 4] * 10))


def test_padding_is_cut_from_outputs_of_another_resolution() -> None:
    inputs = np.random.default_rng(0).random((1, 1, 12, 4), np.float32)
    actual = sliding_window_inference(inputs, (8, 8), 2, lambda w: w[:, :, ::2, ::2], 0.5, cval=9)
    np.testing.assert_allclose(actual, inputs[:, :, ::2, ::2], rtol=1e-6)


@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize(("size", "roi"), [((2,), (6,)), ((20, 2), (1, 6)), ((5, 20, 2), (3, 1, 6))])
def test_an_image_smaller_than_a_voxel_of_the_output(size: tuple[int, ...], roi: tuple[int, ...], mode: str) -> None:
    """Its result is empty, as MONAI's is."""
    inputs = np.ones((2, 1, *size), np.float32)
    actual = sliding_window_inference(inputs, roi, 4, lambda window: window[..., ::3], 0, mode)
    assert actual.shape == (2, 1, *size[:-1], 0)


def test_outputs_larger_than_the_window() -> None:
    inputs = np.random.default_rng(0).random((1, 1, 20, 12), np.float32)
    actual = sliding_window_inference(inputs, (8, 8), 3, lambda w: w.repeat(2, 2).repeat(2, 3), 0.5, "gaussian")
    np.testing.assert_allclose(actual, inputs.repeat(2, 2).repeat(2, 3), rtol=1e-5)


def test_process_fn_changes_outputs_and_weights() -> None:
    inputs = np.random.default_rng(0).normal(size=(1, 1, 14, 11)).astype(np.float32)
    half = np.where(np.arange(6) < 3, 1.0, 2.0)[:, None] * np.ones(5)
    seen = []

    def process(outputs: tuple[Any, ...], window: Any, weights: Any) -> Any:
        seen.append((window.shape, weights.shape, weights.dtype))
        return tuple(output * 3 for output in outputs), weights * half

    actual = sliding_window_inference(inputs, (6, 5), 2, ramp, process_fn=process)
    starts = [monai_starts(n, r, 0.25) for n, r in zip((14, 11), (6, 5), strict=True)]
    np.testing.assert_allclose(actual, 3 * by_hand(inputs, (6, 5), starts, half), rtol=1e-5, atol=1e-5)
    assert seen[0] == ((2, 1, 6, 5), (6, 5), np.float32)


def test_a_condition_is_cut_into_the_same_windows() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 1, 9, 5)).astype(np.float32)
    condition = np.random.default_rng(1).normal(size=(2, 3, 9, 5)).astype(np.float32)
    actual = sliding_window_inference(inputs, (4, 8), 3, lambda w, condition: w + condition, condition=condition)
    np.testing.assert_allclose(actual, inputs + condition, rtol=1e-5, atol=1e-6)
