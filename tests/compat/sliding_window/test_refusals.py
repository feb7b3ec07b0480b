"""Arguments and outputs that `sliding_window_inference` refuses."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from gpu_infer import sliding_window_inference

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
        (ONES, {"predictor": lambda w: "x"}, "output 0 of the predictor: expected an array of real numbers"),
        (ONES, {"predictor": lambda w: {}}, "the predictor returned no outputs"),
        (ONES, {"predictor": lambda w: (w, None)}, "output 1 of the predictor: expected .*, found NoneType"),
    ],
)  # fmt: skip
def test_refusals(inputs: Any, arguments: dict[str, Any], words: str) -> None:
    options: dict[str, Any] = {"roi_size": 4, "sw_batch_size": 2, "predictor": lambda w: w}
    with pytest.raises(ValueError, match=words):
        sliding_window_inference(inputs, **(options | arguments))


INT64 = (-(2**63), 2**63 - 1)


@pytest.mark.parametrize("grid", ["monai", "clara"])
@pytest.mark.parametrize(
    ("dtype", "low", "high", "beyond"),
    [
        ("u1", 0, 255, [300, -1, -0.5, 255.5, 10**400, np.nan, np.inf, np.float32(256), np.int64(-1)]),
        (">i2", -32768, 32767, [-32769, 32768.0, -np.inf]),
        ("i8", *INT64, [2**63, 2.0**63, -(2**63) - 1, np.uint64(2**63)]),
        ("f2", -65504.0, 65504.0, [65505, -1e5, 10**400, np.float32(1e6)]),
        ("f4", -3.4028234663852886e38, 3.4028234663852886e38, [1e39, -1e300]),
    ],
)
def test_constants_that_a_dtype_cannot_hold(dtype: str, low: float, high: float, beyond: list[Any], grid: str) -> None:
    """The ranges are those of two's complement, and IEEE 754's largest finite numbers; MONAI refuses the same."""
    image = np.ones((1, 1, 5), dtype)
    for cval in beyond:
        words = f"cval: found {cval}, expected a number from {low} to {high} for"
        with pytest.raises(ValueError, match=re.escape(words)):
            sliding_window_inference(image, 8, 1, lambda w: w, cval=cval, grid=grid)
        if grid == "monai":  # no padding, no constant
            result = sliding_window_inference(image, 5, 1, lambda w: w, cval=cval, grid=grid)
            np.testing.assert_array_equal(result, image)


@pytest.mark.parametrize(
    ("dtype", "cval", "expected"),
    [
        ("u1", 255, 255), ("u1", 1.5, 1), ("u1", True, 1), ("i2", -32768.0, -32768), ("i2", -0.5, 0),
        ("i8", INT64[1], INT64[1]), ("i8", np.int64(INT64[0]), INT64[0]), ("u8", 2**64 - 1, 2**64 - 1),
        ("f2", np.inf, np.inf), ("f2", -65504, -65504), ("f4", np.nan, np.nan), ("f8", 1e300, 1e300),
        ("?", 300, True), ("?", np.nan, True), ("?", 0.0, False),
    ],
)  # fmt: skip
def test_constants_that_a_dtype_holds(dtype: str, cval: float, expected: float) -> None:
    """Integers take the whole part, booleans whether it is not 0: the values of `torch.nn.functional.pad`."""
    seen: list[Any] = []

    def predictor(window: Any) -> Any:
        seen.append(window.copy())
        return np.zeros(window.shape, np.float32)

    sliding_window_inference(np.ones((1, 1, 5), dtype), 8, 1, predictor, cval=cval)
    np.testing.assert_array_equal(seen[0][0, 0, [0, 6, 7]], np.array([expected] * 3, dtype))
    np.testing.assert_array_equal(seen[0][0, 0, 1:6], 1)


@pytest.mark.parametrize("cval", [None, "1", b"1", 1j, [1], np.ones(2), Fraction(10) ** 400])
def test_constants_that_are_no_numbers(cval: Any) -> None:
    for roi in (4, 12):
        with pytest.raises(ValueError, match=re.escape(f"cval: found {cval!r}, expected a number")):
            sliding_window_inference(ONES, roi, 1, lambda w: w, cval=cval)


def test_a_constant_that_the_dtype_of_a_condition_cannot_hold() -> None:
    with pytest.raises(ValueError, match="cval: found -1024, expected a number from 0 to 255 for uint8 images"):
        sliding_window_inference(ONES, 12, 1, lambda w, condition: w, cval=-1024, condition=ONES.astype(np.uint8))


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
