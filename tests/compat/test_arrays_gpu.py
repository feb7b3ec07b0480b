"""The library on a CUDA device, with CuPy arrays and, where torch is installed, with its tensors."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from convert_cases import ConvertCases
from device_cases import DeviceCases, noise, ramp

from gpu_infer import sliding_window_inference, zoom
from gpu_infer.errors import ConfigError

pytestmark = pytest.mark.gpu

if importlib.util.find_spec("cupy") is None:
    pytest.skip("cupy is not installed", allow_module_level=True)


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    from gpu_infer.backends.gpu.backend import shared_backend

    try:
        yield shared_backend()
    except ConfigError as error:
        pytest.skip(error.message)


class TestGpu(DeviceCases, ConvertCases):
    """On a device."""


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int16", "bool"])
def test_tensors_stay_on_the_device(backend: Any, dtype: str) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    image = torch.from_numpy(noise((1, 1, 12, 11, 10), "f4")).to(getattr(torch, dtype))
    kinds = []

    def predictor(window: Any) -> Any:
        kinds.append((window.device.type, window.dtype))
        return window.float() * 2

    actual = sliding_window_inference(image.cuda(), (6, 14, 4), 3, predictor, mode="gaussian")
    expected = sliding_window_inference(image, (6, 14, 4), 3, lambda window: window.float() * 2, mode="gaussian")
    assert set(kinds) == {("cuda", image.dtype)}
    assert (actual.device.type, actual.dtype) == ("cuda", expected.dtype)
    np.testing.assert_allclose(actual.float().cpu().numpy(), expected.float().numpy(), rtol=1e-6, atol=1e-6)
    small = zoom(image.cuda(), (1, 1, 0.5, 2, 1.5), order=0, mode="nearest")
    assert (small.device.type, small.dtype) == ("cuda", image.dtype)


def test_device_cpu_takes_the_sums_on_the_host(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    image = noise((1, 1, 12, 11), "f4")
    actual = sliding_window_inference(
        torch.from_numpy(image).cuda(), 6, 3, lambda window: window * 2, sw_device="cuda", device="cpu"
    )
    assert actual.device.type == "cpu"
    np.testing.assert_allclose(actual.numpy(), image * 2, rtol=1e-6, atol=1e-6)


def test_a_stream_of_the_callers_own(backend: Any) -> None:
    import cupy

    image = noise((1, 1, 24, 24, 24), "f4")
    with cupy.cuda.Stream(non_blocking=True):
        given = cupy.asarray(image)
        actual = sliding_window_inference(given + 1, 12, 4, lambda window: window * 3, mode="gaussian")
        host = cupy.asnumpy(actual - 3)
    np.testing.assert_allclose(host, image * 3, rtol=1e-5, atol=1e-4)
    expected = sliding_window_inference(image, 12, 4, ramp)
    assert expected.shape == (1, 2, 24, 24, 24)
