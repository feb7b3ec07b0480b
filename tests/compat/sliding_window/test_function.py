"""`sliding_window_inference` on NumPy arrays against plain loops over a padded image in float64."""

from __future__ import annotations

import inspect
import logging
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import gpu_infer
from gpu_infer import sliding_window_inference
from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian
from gpu_infer.inferers.placement import clara_starts, monai_starts, nnunet_starts

PAD = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def ramp(window: NDArray[Any]) -> NDArray[Any]:
    """Two channels that depend on the values and on the place in the window: [N, C, …] → [N, 2, …]."""
    place = sum(
        np.arange(n).reshape([-1 if a == axis else 1 for a in range(window.ndim - 2)]) * (axis + 1)
        for axis, n in enumerate(window.shape[2:])
    )
    mean = window.mean(1, keepdims=True)
    return np.concatenate([mean + 0.1 * place, np.cos(mean) - 0.05 * place], 1).astype(window.dtype)


def by_hand(
    inputs: NDArray[Any],
    roi: tuple[int, ...],
    starts: list[list[int]],
    weights: NDArray[Any] | None = None,
    padding: str = "constant",
    cval: float = 0.0,
) -> NDArray[np.float64]:
    """Pad, visit every window (repeats included), weigh, divide, crop; `starts` count from the unpadded image."""
    size = inputs.shape[2:]
    before = [max(-s[0], 0) for s in starts]
    after = [max(r - n - b, 0) for r, n, b in zip(roi, size, before, strict=True)]
    widths = [(0, 0), (0, 0), *zip(before, after, strict=True)]
    options = {"constant_values": cval} if padding == "constant" else {}
    padded = np.pad(inputs, widths, mode=PAD[padding], **options)  # type: ignore[call-overload]
    weights = np.ones(roi) if weights is None else weights.astype(float)
    sums, total = 0.0, np.zeros(padded.shape[2:])
    for start in product(*starts):
        box = tuple(slice(s + b, s + b + r) for s, b, r in zip(start, before, roi, strict=True))
        seen = ramp(padded[(slice(None), slice(None), *box)])
        one = np.zeros((*seen.shape[:2], *padded.shape[2:]))
        one[(slice(None), slice(None), *box)] = seen * weights
        sums = sums + one
        total[box] += weights
    inside = tuple(slice(b, b + n) for b, n in zip(before, size, strict=True))
    return (sums / total)[(slice(None), slice(None), *inside)]


def test_the_signature_is_monais() -> None:
    parameters = inspect.signature(sliding_window_inference).parameters
    assert list(parameters) == [
        "inputs", "roi_size", "sw_batch_size", "predictor", "overlap", "mode", "sigma_scale", "padding_mode", "cval",
        "sw_device", "device", "progress", "roi_weight_map", "process_fn", "buffer_steps", "buffer_dim", "with_coord",
        "args", "grid", "kwargs",
    ]  # fmt: skip
    assert parameters["overlap"].default == 0.25
    assert str(parameters["overlap"]) == "overlap: 'Sequence[float] | float' = 0.25"


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_the_grid_monai(data: st.DataObject) -> None:
    dims = data.draw(st.integers(1, 3))
    size = data.draw(st.tuples(*[st.integers(1, 12)] * dims))
    roi = data.draw(st.tuples(*[st.integers(1, 9)] * dims))
    overlap = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.6]))
    mode = data.draw(st.sampled_from(["constant", "gaussian"]))
    padding = data.draw(st.sampled_from(sorted(PAD)))
    cval = data.draw(st.sampled_from([0.0, -2.0])) if padding == "constant" else 0.0
    images = data.draw(st.integers(1, 3))
    inputs = np.random.default_rng(0).normal(size=(images, 2, *size)).astype(np.float32)
    actual = sliding_window_inference(
        inputs, roi, data.draw(st.integers(1, 5)), ramp, overlap, mode, padding_mode=padding, cval=cval
    )
    weights = None if mode == "constant" else monai_gaussian(roi, [0.125] * dims)
    starts = [monai_starts(n, r, overlap) for n, r in zip(size, roi, strict=True)]
    expected = by_hand(inputs, roi, starts, weights, padding, cval)
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 33), (20, 5), (100, 17)])
def test_the_grid_clara_counts_repeats(size: tuple[int, ...]) -> None:
    inputs, roi = np.random.default_rng(1).normal(size=(1, 1, *size)).astype(np.float32), (16, 12)
    actual = sliding_window_inference(inputs, roi, 4, ramp, grid="clara")
    starts = [clara_starts(n, r) for n, r in zip(size, roi, strict=True)]
    np.testing.assert_allclose(actual, by_hand(inputs, roi, starts), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(40, 33), (20, 5)])
@pytest.mark.parametrize("mode", ["constant", "gaussian"])
def test_the_grid_nnunet_moves_by_half_unless_told(size: tuple[int, ...], mode: str) -> None:
    inputs, roi = np.random.default_rng(1).normal(size=(2, 1, *size)).astype(np.float32), (16, 12)
    weights = None if mode == "constant" else nnunet_gaussian(roi, [0.125] * 2)
    for overlap, step in ((None, 0.5), (0.25, 0.75), (0.0, 1.0)):
        given_ = {} if overlap is None else {"overlap": overlap}
        actual = sliding_window_inference(inputs, roi, 3, ramp, mode=mode, grid="nnunet", **given_)  # type: ignore[arg-type]
        starts = [nnunet_starts(n, r, step) for n, r in zip(size, roi, strict=True)]
        np.testing.assert_allclose(actual, by_hand(inputs, roi, starts, weights), rtol=1e-5, atol=1e-5)


def test_four_spatial_axes() -> None:
    inputs, roi = np.random.default_rng(2).normal(size=(1, 2, 7, 6, 5, 4)).astype(np.float32), (4, 7, 3, 2)
    actual = sliding_window_inference(inputs, roi, 3, ramp, 0.5, "gaussian")
    starts = [monai_starts(n, r, 0.5) for n, r in zip(inputs.shape[2:], roi, strict=True)]
    expected = by_hand(inputs, roi, starts, monai_gaussian(roi, [0.125] * 4))
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dims", "size", "roi"), [(1, 300_000, 140_000), (2, 600, 400), (3, 70, 50)])
def test_large_windows_go_through_the_kernels(dims: int, size: int, roi: int) -> None:
    inputs = np.random.default_rng(3).normal(size=(1, 1, *(size,) * dims)).astype(np.float32)
    for mode in ("constant", "gaussian"):
        actual = sliding_window_inference(inputs, roi, 2, lambda w: np.concatenate([w, 2 * w], 1), 0.5, mode)
        np.testing.assert_allclose(actual, np.concatenate([inputs, 2 * inputs], 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("roi_size", "seen"),
    [(4, (4, 4, 4)), ((4, None, -1), (4, 7, 5)), ((0, 3, 9), (6, 3, 9)), (None, (6, 7, 5)), (-1, (6, 7, 5))],
)
def test_roi_entries_that_stand_for_the_image(roi_size: Any, seen: tuple[int, ...]) -> None:
    shapes = set()

    def predictor(window: NDArray[Any]) -> NDArray[Any]:
        shapes.add(window.shape[2:])
        return window

    inputs = np.random.default_rng(0).random((2, 1, 6, 7, 5), np.float32)
    np.testing.assert_allclose(sliding_window_inference(inputs, roi_size, 2, predictor), inputs, rtol=1e-6)
    assert shapes == {seen}


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


def test_outputs_larger_than_the_window() -> None:
    inputs = np.random.default_rng(0).random((1, 1, 20, 12), np.float32)
    actual = sliding_window_inference(inputs, (8, 8), 3, lambda w: w.repeat(2, 2).repeat(2, 3), 0.5, "gaussian")
    np.testing.assert_allclose(actual, inputs.repeat(2, 2).repeat(2, 3), rtol=1e-5)


def test_a_weight_map_of_ones_own() -> None:
    inputs = np.random.default_rng(0).normal(size=(1, 1, 14, 11)).astype(np.float32)
    weights = np.random.default_rng(1).uniform(0.1, 2, (6, 5)).astype(np.float32)
    starts = [monai_starts(n, r, 0.25) for n, r in zip((14, 11), (6, 5), strict=True)]
    expected = by_hand(inputs, (6, 5), starts, weights)
    for given_ in (weights, weights[None, None], weights.tolist()):
        actual = sliding_window_inference(inputs, (6, 5), 2, ramp, roi_weight_map=given_, mode="gaussian")
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_a_weight_of_zero_everywhere_is_nan() -> None:
    actual = sliding_window_inference(np.ones((1, 1, 8), np.float32), 4, 1, lambda w: w, roi_weight_map=np.zeros(4))
    assert np.isnan(actual).all()


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


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("dim", [-1, 0, 1])
def test_buffers_order_windows_along_their_axis(steps: int, dim: int, caplog: pytest.LogCaptureFixture) -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 1, 17, 14)).astype(np.float32)
    order: list[int] = []

    def predictor(window: Any, coordinates: Any) -> Any:
        order.extend(c[0].start * 100 + c[2 + dim % 2].start for c in coordinates)
        assert len({c[0].start for c in coordinates}) == 1
        return ramp(window), window

    with caplog.at_level(logging.WARNING):
        actual = sliding_window_inference(
            inputs, (6, 5), 4, predictor, 0.5, with_coord=True, buffer_steps=steps, buffer_dim=dim
        )
    assert order == sorted(order)
    assert "buffer_steps keeps the first of 2 outputs" in caplog.text
    np.testing.assert_allclose(actual, sliding_window_inference(inputs, (6, 5), 4, ramp, 0.5), rtol=1e-5, atol=1e-6)


def test_a_condition_is_cut_into_the_same_windows() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 1, 9, 5)).astype(np.float32)
    condition = np.random.default_rng(1).normal(size=(2, 3, 9, 5)).astype(np.float32)
    actual = sliding_window_inference(inputs, (4, 8), 3, lambda w, condition: w + condition, condition=condition)
    np.testing.assert_allclose(actual, inputs + condition, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u1", "i2", "i8", "?"])
def test_dtypes(dtype: str) -> None:
    inputs = np.random.default_rng(0).integers(0, 2, (1, 1, 20, 9)).astype(dtype)
    seen = set()

    def predictor(window: NDArray[Any]) -> NDArray[Any]:
        seen.add(window.dtype)
        return window

    actual = sliding_window_inference(inputs, (6, 12), 3, predictor, 0.5)
    assert seen == {inputs.dtype}
    assert actual.dtype == (dtype if inputs.dtype.kind == "f" else np.float32)
    np.testing.assert_array_equal(actual, inputs.astype(actual.dtype))


def test_what_numpy_reads_is_taken() -> None:
    class Readable:
        def __init__(self, array: NDArray[Any]) -> None:
            self.array = array

        def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
            return self.array

    class Exported:
        def __init__(self, array: NDArray[Any]) -> None:
            self.array = array

        def __dlpack__(self, **options: Any) -> Any:
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.array.__dlpack_device__()

    inputs = np.random.default_rng(0).random((1, 1, 9), np.float32)
    for given_ in (Readable(inputs), Exported(inputs), inputs.tolist()):
        np.testing.assert_allclose(sliding_window_inference(given_, 4, 1, lambda w: w), inputs, rtol=1e-6)


def test_progress_without_tqdm_goes_to_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tqdm", None)
    with caplog.at_level(logging.INFO, logger="gpu_infer"):
        sliding_window_inference(np.ones((1, 1, 40), np.float32), 4, 1, lambda w: w, 0, progress=True)
    assert [record.message for record in caplog.records] == [f"{n} of 10 batches" for n in range(1, 11)]


ONES = np.ones((1, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("inputs", "arguments", "words"),
    [
        (np.ones((1, 8)), {}, r"inputs must be \[batch, channels, \*spatial\], found shape \(1, 8\)"),
        (np.ones((0, 1, 8)), {}, "are empty"),
        (ONES.astype(complex), {}, "expected an array of real numbers, found ndarray of complex128"),
        (ONES, {"roi_size": (4, 4, 4)}, "Inputs must have 5 dimensions for 3 entries of roi_size.*found 4"),
        (ONES, {"sw_batch_size": 0}, "sw_batch_size must be at least 1, found 0"),
        (ONES, {"overlap": 1.0}, "overlap must be >= 0 and < 1"),
        (ONES, {"overlap": (0.5,)}, "overlap has 1 entries for 2 spatial axes"),
        (ONES, {"overlap": 0.25, "grid": "clara"}, "overlap belongs to the grids monai and nnunet"),
        (ONES, {"mode": "gaussian", "grid": "clara"}, "mode gaussian belongs to the grids monai and nnunet"),
        (ONES, {"grid": "swin"}, "grid: found 'swin', expected monai, clara or nnunet"),
        (ONES, {"mode": "linear"}, "mode: found 'linear', expected constant or gaussian"),
        (ONES, {"mode": "gaussian", "sigma_scale": 0}, "sigma_scale must be > 0"),
        (ONES, {"padding_mode": "symmetric"}, "padding_mode: found 'symmetric', expected one of constant, reflect"),
        (ONES, {"padding_mode": "reflect", "cval": 1}, "cval 1 belongs to padding_mode constant"),
        (ONES, {"sw_device": "cuda"}, "sw_device: found cuda, NumPy arrays live on the CPU"),
        (ONES, {"roi_weight_map": np.ones((2, 4, 4))}, r"a weight map of shape \(2, 4, 4\) does not fit windows of"),
        (ONES, {"buffer_steps": 1, "buffer_dim": 2}, r"buffer_dim must be in \[-2, 1\], got 2"),
        (ONES, {"condition": np.ones((1, 1, 8, 9))}, r"condition of shape \(1, 1, 8, 9\) does not fit"),
        (ONES, {"predictor": lambda w: w[:1]}, r"output 0 has shape \(1, 1, 4, 4\), expected \[2, channels, axis 0"),
        (ONES, {"predictor": lambda w: w[..., 0]}, r"output 0 has shape \(2, 1, 4\)"),
        (ONES, {"predictor": lambda w: w[..., ::2], "buffer_steps": 1}, "buffer_steps takes outputs of the roi's size"),
        (ONES, {"predictor": lambda w: "x"}, "expected an array of real numbers"),
    ],
)  # fmt: skip
def test_refusals(inputs: Any, arguments: dict[str, Any], words: str) -> None:
    options: dict[str, Any] = {"roi_size": 4, "sw_batch_size": 2, "predictor": lambda w: w}
    with pytest.raises(ValueError, match=words):
        sliding_window_inference(inputs, **(options | arguments))


def test_a_predictor_that_changes_its_mind_is_refused() -> None:
    calls = []

    def more_outputs(window: Any) -> Any:
        calls.append(1)
        return (window,) * len(calls)

    with pytest.raises(ValueError, match="the predictor gave 2 outputs, and 1 before"):
        sliding_window_inference(ONES, 4, 1, more_outputs)
    calls.clear()

    def more_channels(window: Any) -> Any:
        calls.append(1)
        return np.concatenate([window] * len(calls), 1)

    with pytest.raises(ValueError, match=r"output 0 has shape \(1, 2, 4, 4\), earlier ones fit \(1, 1, 4, 4\)"):
        sliding_window_inference(ONES, 4, 1, more_channels)


def test_results_do_not_depend_on_the_batch() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 1, 30, 20)).astype(np.float32)
    actual = [sliding_window_inference(inputs, (8, 7), n, ramp, 0.6, "gaussian") for n in (1, 3, 100)]
    np.testing.assert_array_equal(actual[0], actual[1])
    np.testing.assert_array_equal(actual[0], actual[2])


def test_the_package_names_its_functions_without_loading_them() -> None:
    code = "import sys, gpu_infer; print(dir(gpu_infer).count('zoom'), 'numpy' in sys.modules)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
    assert gpu_infer.sliding_window_inference is sliding_window_inference
    with pytest.raises(AttributeError, match="no attribute 'slide'"):
        _ = gpu_infer.slide
