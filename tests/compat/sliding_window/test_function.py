"""`sliding_window_inference` on NumPy arrays: grids, weights, buffers and dtypes against plain loops in float64."""

from __future__ import annotations

import inspect
import logging
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sliding_windows import PAD, by_hand, ramp

import gpu_infer
from gpu_infer import sliding_window_inference
from gpu_infer.inferers.importance import monai_gaussian, nnunet_gaussian
from gpu_infer.inferers.placement import clara_starts, monai_starts, nnunet_starts


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


def test_results_do_not_depend_on_the_batch() -> None:
    inputs = np.random.default_rng(0).normal(size=(2, 1, 30, 20)).astype(np.float32)
    actual = [sliding_window_inference(inputs, (8, 7), n, ramp, 0.6, "gaussian") for n in (1, 3, 100)]
    np.testing.assert_array_equal(actual[0], actual[1])
    np.testing.assert_array_equal(actual[0], actual[2])


def test_the_package_names_its_functions_without_loading_them() -> None:
    code = "import sys, gpu_infer; print(dir(gpu_infer).count('zoom'), 'numpy' in sys.modules)"
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["1", "False"]
    assert gpu_infer.sliding_window_inference is sliding_window_inference
    with pytest.raises(AttributeError, match="no attribute 'slide'"):
        _ = gpu_infer.slide
