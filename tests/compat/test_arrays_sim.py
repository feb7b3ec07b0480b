"""compat on simulated CUDA: the values of the CPU, and conversion of arrays of other libraries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from convert_cases import PAIRS, ConvertCases
from cudasim.compiler import Module
from cudasim.simulated import simulated_cupy
from device_cases import DeviceCases, noise

import gpu_infer.backends
from gpu_infer import sliding_window_inference, zoom
from gpu_infer.errors import ConfigError


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    with simulated_cupy() as gpu:
        yield gpu.shared_backend()


class TestSimulated(DeviceCases, ConvertCases):
    """On simulated CUDA."""

    def test_the_operators_kernels_do_it(self, backend: Any) -> None:
        image = backend.upload(noise((1, 1, 12, 12, 12), "f4"))
        begin = len(Module.launches)
        sliding_window_inference(image, 6, 4, lambda window: window, mode="gaussian")
        kinds = {name.split("_")[0] for name in Module.launches[begin:]}
        assert kinds == {"gather", "blend", "divide"}
        begin = len(Module.launches)
        zoom(image, (1, 1, 2, 2, 2), order=1)
        assert [name.split("_")[0] for name in Module.launches[begin:]] == ["prepare"]

    @pytest.mark.parametrize(("stored", "written"), PAIRS)
    def test_a_pair_of_dtypes_has_a_kernel_of_its_own(self, backend: Any, stored: str, written: str) -> None:
        begin = len(Module.launches)
        backend.convert(backend.zeros((3, 4), stored), backend.zeros((3, 4), written))
        assert Module.launches[begin:] == [f"convert_{stored}_{written}"]


class Foreign:
    """An array of a library with DLPack and `__array_namespace__`."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> Any:
        return self.wrapped

    def __array_namespace__(self) -> Any:
        return SimpleNamespace(from_dlpack=lambda other: Foreign(other.__dlpack__()))


class Plain:
    """An array that has the CUDA array interface alone."""

    def __init__(self, wrapped: Any) -> None:
        self.wrapped = wrapped

    @property
    def __cuda_array_interface__(self) -> Any:
        return self.wrapped.__cuda_array_interface__


@pytest.mark.parametrize("kind", [Foreign, Plain])
def test_arrays_of_other_libraries(backend: Any, kind: Any) -> None:
    image = noise((1, 1, 9, 8), "f4")
    array = kind(backend.upload(image))
    seen = []

    def predictor(window: Any) -> Any:
        seen.append(type(window))
        return window

    actual = sliding_window_inference(array, 4, 2, predictor)
    zoomed = zoom(array, 2, order=0)
    expected = Foreign if kind is Foreign else type(backend.empty((1,), "f4"))
    assert {*seen, type(actual), type(zoomed)} == {expected}
    actual, zoomed = (x.wrapped if kind is Foreign else x for x in (actual, zoomed))
    np.testing.assert_allclose(backend.download(actual), image, rtol=1e-6)
    np.testing.assert_array_equal(backend.download(zoomed), zoom(image, 2, order=0))


class Tensor:
    """The part of torch.Tensor that is used on a device; bfloat16 is a name, its values in float32."""

    is_cuda = True
    requires_grad = False
    device = "cuda:0"

    def __init__(self, wrapped: Any, dtype: str | None = None) -> None:
        self.wrapped = wrapped
        self.dtype = dtype or wrapped.dtype.name

    def detach(self) -> Tensor:
        return self

    def float(self) -> Tensor:
        return Tensor(self.wrapped)

    def to(self, *target: Any) -> Tensor:
        return Tensor(self.wrapped, "bfloat16") if target == ("bfloat16",) else self

    def view(self, dtype: str) -> Tensor:
        return Tensor(self.wrapped.view(dtype))

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> Any:
        assert self.dtype not in ("bool", "bfloat16"), "not every torch hands these over"
        return self.wrapped


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in that knows arrays by the names of their dtypes."""
    fake = SimpleNamespace(
        Tensor=Tensor,
        bool="bool",
        uint8="uint8",
        bfloat16="bfloat16",
        float32="float32",
        dtype=str,
        is_grad_enabled=lambda: True,
        device=lambda name: SimpleNamespace(type=str(name).split(":")[0]),
        from_dlpack=lambda array: Tensor(array.__dlpack__()),
        cuda=SimpleNamespace(
            current_stream=lambda device: SimpleNamespace(cuda_stream=0x70, device=SimpleNamespace(index=0))
        ),
        empty=lambda shape, dtype: SimpleNamespace(numpy=lambda: np.empty(shape, dtype)),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


@pytest.mark.parametrize("dtype", ["float32", "bool", "bfloat16", "int16"])
@pytest.mark.parametrize("device", [None, "cuda"])
def test_tensors(backend: Any, torch: Any, dtype: str, device: str | None) -> None:
    image = noise((1, 1, 9, 8), "f4").astype("f4" if dtype == "bfloat16" else dtype)
    array = Tensor(backend.upload(image), dtype)
    seen = []

    def predictor(window: Any) -> Any:
        seen.append((type(window), window.dtype))
        return window

    backend.start_run()
    actual = sliding_window_inference(array, (4, 12), 2, predictor, device=device)
    zoomed = zoom(array, 2, order=0)
    assert backend.counters()["bytes_down"] == 0
    assert set(seen) == {(Tensor, dtype)}
    assert (type(actual), actual.dtype) == (Tensor, dtype if "float" in dtype else "float32")
    np.testing.assert_allclose(backend.download(actual.wrapped), image, rtol=1e-6)
    assert (type(zoomed), zoomed.dtype) == (Tensor, dtype)
    np.testing.assert_array_equal(backend.download(zoomed.wrapped), zoom(image, 2, order=0))
    if dtype != "bfloat16":
        out = Tensor(backend.empty((1, 1, 9, 16), image.dtype))
        assert zoom(array, (1, 1, 1, 2), out, order=0) is out
        np.testing.assert_array_equal(backend.download(out.wrapped), zoom(image, (1, 1, 1, 2), order=0))


def test_gradients_are_refused(backend: Any, torch: Any) -> None:
    array = Tensor(backend.upload(noise((1, 1, 4), "f4")))
    array.requires_grad = True
    with pytest.raises(ValueError, match="inputs require grad"):
        zoom(array, 2, order=0)
    with pytest.raises(ValueError, match="inputs require grad"):
        sliding_window_inference(array, 2, 1, lambda window: window)


def test_without_cupy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("gpu_infer.backends.gpu") or n == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cupy", None)
    for name in [n for n in vars(gpu_infer.backends) if n.startswith("gpu")]:
        monkeypatch.delattr(gpu_infer.backends, name)
    with pytest.raises(ConfigError, match="an array on a CUDA device needs CuPy") as caught:
        zoom(Foreign(None), 2, order=0)
    assert "gpu-infer[cuda13]" in str(caught.value.remedy)
