"""`gpu_infer.sliding_window_inference` against MONAI's own on drawn cases: every argument, 1-D to 3-D.

A case is drawn from its number alone, so that a failing one can be run again by itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
monai_inferers = pytest.importorskip("monai.inferers")

import gpu_infer  # noqa: E402

CASES = 600
TOLERANCE = 1e-5  # worst difference seen in the drawn cases: 7.7e-6, on values up to 60


class Predictor:
    """Outputs that depend on the voxel, its place in the window and the window's own content; of a drawn structure."""

    def __init__(self, rng: np.random.Generator, dims: int) -> None:
        self.structure = rng.choice(["one", "tuple", "dict", "single"], p=[0.5, 0.2, 0.2, 0.1])
        self.channels = [int(rng.integers(1, 4)) for _ in range(2 if self.structure in ("tuple", "dict") else 1)]
        self.slope = float(rng.uniform(-0.1, 0.1))
        self.dims = dims
        self.calls: list[tuple[int, ...]] = []

    def __call__(self, window: Any, *extra: Any, gain: float = 1.0, condition: Any = None) -> Any:
        self.calls.append(tuple(window.shape))
        mean = window.mean(1, keepdim=True)
        ramp = sum(
            torch.arange(n, dtype=window.dtype).reshape([-1 if a == axis else 1 for a in range(self.dims)]) * (axis + 1)
            for axis, n in enumerate(window.shape[2:])
        )
        base = gain * torch.sin(mean * 2) + self.slope * ramp
        if condition is not None:
            base = base + condition
        if extra and isinstance(extra[0], list):  # coordinates, where asked for
            base = base + torch.tensor([float(c[-1].start + c[0].start) for c in extra[0]]).reshape(
                -1, *(1,) * (self.dims + 1)
            )
        outputs = [torch.cat([base * (k + 1) - k for k in range(channels)], 1) for channels in self.channels]
        if self.structure == "one":
            return outputs[0]
        return dict(zip("ba", outputs, strict=True)) if self.structure == "dict" else tuple(outputs)


def drawn(number: int) -> tuple[Any, dict[str, Any], Predictor]:
    """Inputs, arguments and a predictor of case `number`."""
    rng = np.random.default_rng(number)
    dims = int(rng.integers(1, 4))
    longest = {1: 60, 2: 24, 3: 14}[dims]
    shape = tuple(int(n) for n in rng.integers(1, longest, dims))
    roi: list[Any] = [int(n) for n in rng.integers(1, longest, dims)]
    for axis in range(dims):
        if rng.random() < 0.15:
            roi[axis] = [None, 0, -1][rng.integers(3)]
    roi_size: Any = roi[0] if rng.random() < 0.15 and roi[0] is not None else tuple(roi)
    effective = [
        r if r is not None and r > 0 else n
        for r, n in zip((roi_size,) * dims if isinstance(roi_size, int) else roi_size, shape, strict=True)
    ]
    padded = [max(r - n, 0) for r, n in zip(effective, shape, strict=True)]
    images = int(rng.integers(1, 4))
    inputs = torch.from_numpy(rng.normal(size=(images, int(rng.integers(1, 4)), *shape)).astype(np.float32))
    # windows of one voxel with hardly a step take long and show nothing
    overlap: Any = float(rng.choice([0.0, 0.1, 0.25, 0.5, 0.6, 0.75]))
    if rng.random() < 0.3:
        overlap = tuple(float(o) for o in rng.choice([0.0, 0.3, 0.5], dims))
    arguments: dict[str, Any] = {
        "roi_size": roi_size,
        "sw_batch_size": int(rng.integers(1, 6)),
        "overlap": overlap,
        "mode": str(rng.choice(["constant", "gaussian"])),
        "sigma_scale": float(rng.choice([0.125, 0.2, 0.05]))
        if rng.random() < 0.7
        else tuple(rng.uniform(0.1, 0.4, dims)),
    }
    modes = ["constant"]
    if all(p - p // 2 < n for p, n in zip(padded, shape, strict=True)):  # what torch's pad can do
        modes += ["reflect", "circular"]
    arguments["padding_mode"] = str(rng.choice([*modes, "replicate"]))
    if arguments["padding_mode"] == "constant":
        arguments["cval"] = float(rng.choice([0.0, -1.5]))
    if rng.random() < 0.2:
        weights = torch.from_numpy(rng.uniform(0.1, 2, effective).astype(np.float32))
        arguments["roi_weight_map"] = weights if rng.random() < 0.5 else weights[None, None]
    if rng.random() < 0.2:
        arguments["process_fn"] = lambda outputs, window, weights: (
            tuple(o * 2 - 1 for o in outputs),
            weights * 0.5 + 0.25,
        )
    if rng.random() < 0.2:
        arguments["buffer_steps"] = int(rng.integers(1, 4))
        arguments["buffer_dim"] = int(rng.integers(-dims, dims))
    if rng.random() < 0.2:
        arguments["with_coord"] = True
    if rng.random() < 0.2:
        arguments["gain"] = 0.5
    if rng.random() < 0.1:
        arguments["condition"] = torch.from_numpy(rng.normal(size=(images, 1, *shape)).astype(np.float32))
    return inputs, arguments, Predictor(rng, dims)


def flat(result: Any) -> list[tuple[Any, Any]]:
    if isinstance(result, dict):
        return list(result.items())
    return list(enumerate(result)) if isinstance(result, tuple) else [(None, result)]


@pytest.mark.parametrize("block", range(0, CASES, 50))
def test_drawn_cases(block: int, record_property: Any) -> None:
    worst = 0.0
    for number in range(block, block + 50):
        inputs, arguments, predictor = drawn(number)
        expected = monai_inferers.sliding_window_inference(inputs, predictor=predictor, **arguments)
        calls = list(predictor.calls)
        predictor.calls.clear()
        actual = gpu_infer.sliding_window_inference(inputs, predictor=predictor, **arguments)
        assert predictor.calls == calls, number
        assert type(actual) is type(expected), number
        for (key, value), (expected_key, reference) in zip(flat(actual), flat(expected), strict=True):
            assert key == expected_key, number
            assert value.shape == reference.shape, (number, arguments)
            assert value.dtype == reference.dtype
            difference = float((value - reference).abs().max())
            worst = max(worst, difference)
            assert difference <= TOLERANCE, (number, arguments, difference)
    record_property("worst difference", worst)


@pytest.mark.parametrize("number", range(0, CASES, 20))
def test_numpy_in_numpy_out(number: int) -> None:
    inputs, arguments, predictor = drawn(number)
    plain = {key: value.numpy() if isinstance(value, torch.Tensor) else value for key, value in arguments.items()}
    expected = flat(gpu_infer.sliding_window_inference(inputs, predictor=predictor, **arguments))

    def on_arrays(window: Any, *extra: Any, **named: Any) -> Any:
        assert isinstance(window, np.ndarray)
        if "condition" in named:
            named["condition"] = torch.from_numpy(named["condition"])
        result = predictor(torch.from_numpy(window), *extra, **named)
        pairs = [(key, value.numpy()) for key, value in flat(result)]
        if isinstance(result, dict):
            return dict(pairs)
        return tuple(value for _, value in pairs) if isinstance(result, tuple) else pairs[0][1]

    actual = flat(gpu_infer.sliding_window_inference(inputs.numpy(), predictor=on_arrays, **plain))
    for (key, value), (expected_key, reference) in zip(actual, expected, strict=True):
        assert key == expected_key
        assert isinstance(value, np.ndarray)
        np.testing.assert_array_equal(value, reference.numpy())


@pytest.mark.parametrize("scale", [0.5, 2, (0.5, 1, 2), (0.25, 1, 0.5)])
@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("shape", [(24, 16, 20), (5, 30, 7)])
def test_outputs_of_another_resolution(scale: Any, mode: str, shape: tuple[int, ...]) -> None:
    inputs = torch.rand((2, 1, *shape), generator=torch.Generator().manual_seed(0))
    factors = list(scale) if isinstance(scale, tuple) else [scale] * 3

    def predictor(window: Any) -> Any:
        return torch.nn.functional.interpolate(window, scale_factor=factors, mode="nearest"), window

    arguments = {"roi_size": (8, 8, 8), "sw_batch_size": 3, "overlap": 0.5, "mode": mode, "predictor": predictor}
    if mode == "gaussian" or factors != [1, 1, 1]:
        arguments["predictor"] = lambda window: (window, predictor(window)[0])
    expected = monai_inferers.sliding_window_inference(inputs, **arguments)
    actual = gpu_infer.sliding_window_inference(inputs, **arguments)
    for value, reference in zip(actual, expected, strict=True):
        assert value.shape == reference.shape
        torch.testing.assert_close(value, reference, rtol=0, atol=TOLERANCE)


def test_a_metatensor_keeps_its_affine() -> None:
    from monai.data import MetaTensor

    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    inputs = MetaTensor(torch.rand(1, 1, 9, 8, 7), affine=affine)
    actual = gpu_infer.sliding_window_inference(inputs, 4, 2, lambda window: window + 1)
    expected = monai_inferers.sliding_window_inference(inputs, 4, 2, lambda window: window + 1)
    assert isinstance(actual, MetaTensor)
    torch.testing.assert_close(actual.affine, expected.affine)
    torch.testing.assert_close(actual.as_tensor(), expected.as_tensor())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes_come_back(dtype: Any) -> None:
    inputs = torch.rand(1, 1, 20, 20).to(dtype)
    actual = gpu_infer.sliding_window_inference(inputs, 8, 2, lambda window: window)
    assert actual.dtype == dtype
    torch.testing.assert_close(actual, inputs, rtol=1e-2 if dtype == torch.bfloat16 else 1e-3, atol=0)


def test_gradients_are_refused() -> None:
    inputs = torch.rand(1, 1, 8, requires_grad=True)
    with pytest.raises(ValueError, match="gradients are not followed"):
        gpu_infer.sliding_window_inference(inputs, 4, 1, lambda window: window)
    with torch.no_grad():
        gpu_infer.sliding_window_inference(inputs, 4, 1, lambda window: window)


def _one_buffer() -> Any:
    buffers: list[Any] = []

    def predict(window: Any) -> Any:
        buffers.append(buffers[-1] if buffers else window * 0)
        buffers[0][...] = window * len(buffers)
        return buffers[0]

    return predict


def _earlier_windows() -> Any:
    kept: list[Any] = []

    def predict(window: Any) -> Any:
        for earlier in kept:
            earlier += 5
        kept.append(window)
        return window, window[:, :1]

    return predict


def _in_place() -> Any:
    def predict(window: Any) -> Any:
        window *= 3
        return {"b": window, "a": window[..., 1:-1]}

    return predict


def _with_gradients() -> Any:
    factor = torch.tensor(1.5, requires_grad=True)
    return lambda window: window * (factor if isinstance(window, torch.Tensor) else np.float32(1.5))


@pytest.mark.parametrize("make", [_one_buffer, _earlier_windows, _in_place, _with_gradients])
@pytest.mark.parametrize("sw_device", [None, "cpu", torch.device("cpu", 0)])
@pytest.mark.parametrize("roi", [6, 44])
def test_tensors_have_the_bits_of_arrays(make: Any, sw_device: Any, roi: int) -> None:
    """tests/compat compares arrays with a plain loop."""
    image = np.random.default_rng(0).normal(size=(1, 2, *(roi + 4,) * 3)).astype(np.float32)
    expected = gpu_infer.sliding_window_inference(image, roi, 1, make(), 0.5, "gaussian")
    tensors = gpu_infer.sliding_window_inference(
        torch.from_numpy(image), roi, 1, make(), 0.5, "gaussian", sw_device=sw_device
    )
    values = (tensors, expected) if not isinstance(tensors, dict) else (tensors.values(), expected.values())
    for tensor, array in zip(*values, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "bool", "float16", "float32"])
@pytest.mark.parametrize("cval", [-32769, -1, -0.5, 1.5, 255, 255.5, 65505, 1e39, float("nan"), float("inf"), 2.0**64])
def test_constants_that_a_dtype_holds_or_not(dtype: str, cval: float) -> None:
    """The windows are MONAI's. What it refuses, without the name of the argument, is refused."""
    image = torch.ones((1, 1, 5), dtype=getattr(torch, dtype))
    expected: list[Any] = []
    seen: list[Any] = []

    def run(inference: Any, windows: list[Any]) -> None:
        def predictor(window: Any) -> Any:
            windows.append(window.clone())
            return window.float()

        inference(image, 8, 1, predictor, cval=cval)

    try:
        run(monai_inferers.sliding_window_inference, expected)
    except RuntimeError as error:  # its sums of integer images fail, too, after the windows
        assert expected or "without overflow" in str(error)
    if expected:
        run(gpu_infer.sliding_window_inference, seen)
        np.testing.assert_array_equal(seen[0].numpy(), expected[0].numpy())
    else:
        with pytest.raises(ValueError, match=r"cval: found .*, expected a number from"):
            run(gpu_infer.sliding_window_inference, seen)
