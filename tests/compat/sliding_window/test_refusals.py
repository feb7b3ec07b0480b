"""Arguments and outputs that `sliding_window_inference` refuses."""

from __future__ import annotations

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
