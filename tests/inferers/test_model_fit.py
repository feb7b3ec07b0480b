"""How model, configuration and volume settle on a window, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpu_infer.errors import ConfigError, GpuInferError, ModelError
from gpu_infer.inferers.model_fit import Fit, fit_model
from gpu_infer.triton.model.info import ModelInfo, TensorInfo
from gpu_infer.triton.model.layout import TensorLayout


def model(dims: tuple[int, ...], out: tuple[int, ...], max_batch: int = 4) -> ModelInfo:
    f32 = np.dtype(np.float32)
    return ModelInfo(
        name="m",
        version="1",
        platform="",
        input=TensorInfo("in", f32, "FP32", dims),
        output=TensorInfo("out", f32, "FP32", out),
        max_batch=max_batch,
    )


def fit(info: ModelInfo, **changes: Any) -> Fit:
    options: dict[str, Any] = {
        "channels": 1,
        "shape": (100, 90, 80),
        "layout": TensorLayout(),
        "whole_volume": False,
        "roi_size": None,
        "batch_size": None,
    }
    return fit_model(info, **(options | changes))


def test_fixed_dims_decide() -> None:
    info = model((1, 320, 320, 64), (2, 320, 320, 64))
    assert fit(info) == Fit((320, 320, 64), 4, 1, 2)


def test_roi_size_fills_dynamic_dims() -> None:
    info = model((1, 320, -1, -1), (-1, -1, -1, -1))
    assert fit(info, roi_size=(320, 96, 64), batch_size=2) == Fit((320, 96, 64), 2, 1, -1)


def test_simple_inferer_takes_the_whole_volume_alone() -> None:
    info = model((1, -1, -1, -1), (2, -1, -1, -1))
    assert fit(info, whole_volume=True) == Fit((100, 90, 80), 1, 1, 2)


def test_channels_last() -> None:
    info = model((-1, -1, -1, 1), (-1, -1, -1, 3))
    assert fit(info, layout=TensorLayout(channels="last"), roi_size=(8, 9, 10)) == Fit((8, 9, 10), 4, 1, 3)


def test_slices_are_1_across() -> None:
    info, across_y = model((1, -1, -1), (2, -1, -1)), TensorLayout("ZX")
    assert fit(info, layout=across_y, roi_size=(8, 1, 9)) == Fit((8, 1, 9), 4, 1, 2)
    assert fit(info, layout=across_y, whole_volume=True) == Fit((100, 1, 80), 4, 1, 2)
    assert fit(model((1, 32, 16), (2, 32, 16)), layout=across_y) == Fit((16, 1, 32), 4, 1, 2)


def test_neighbours_are_channels() -> None:
    fitted = fit(model((6, 9, 9), (2, 9, 9)), layout=TensorLayout("XY"), channels=2, context=1)
    assert (fitted.channels_in, fitted.model_channels) == (2, 6)


@pytest.mark.parametrize(
    ("info", "changes", "error", "words"),
    [
        (model((1, -1, 8, 8), (2, -1, 8, 8)), {}, ConfigError, "roi_size"),
        (model((1, 8, 8, 8), (2, 8, 8, 8)), {"roi_size": (8, 8, 16)}, ModelError, "--roi. is 16 .leave it"),
        (model((1, -1, 8, 8), (2, -1, 8, 8)), {"roi_size": (8, 8, 16)}, ModelError, "set it to 8 on this axis"),
        (model((1, 8, 8, 8), (2, 8, 8, 8)), {"whole_volume": True}, ModelError, "whole volume"),
        (model((1, 8, 8, 8), (2, 8, 8, 8)), {"batch_size": 5}, ConfigError, "batch_size 5"),
        (
            model((1, -1, -1), (2, -1, -1)),
            {"layout": TensorLayout("XY"), "roi_size": (8, 8, 16)},
            ModelError,
            "axis Z is fixed at 1, .* is 16",
        ),
        (
            model((3, 8, 8), (2, 8, 8)),
            {"layout": TensorLayout("XY"), "context": 2},
            ModelError,
            "takes 3 in in, the volume has 1 of each of 5 slices",
        ),
        (model((3, 8, 8, 8), (2, 8, 8, 8)), {}, ModelError, "wrong channel count"),
        (model((1, 8, 8, 8), (2, 4, 8, 8)), {}, ModelError, "out fixed at 4 on axis X"),
    ],
)
def test_refusals(info: ModelInfo, changes: dict[str, Any], error: type[GpuInferError], words: str) -> None:
    with pytest.raises(error, match=words):
        fit(info, **changes)
