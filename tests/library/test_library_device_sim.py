"""The library on simulated CUDA: values as on the CPU, and how arrays of other libraries come in and out."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cudasim.compiler import Module
from cudasim.simulated import simulated_cupy
from device_cases import DeviceCases, noise

from gpu_infer import sliding_window_inference, zoom


@pytest.fixture(scope="module")
def backend() -> Iterator[Any]:
    with simulated_cupy() as gpu:
        yield gpu.shared_backend()


class TestSimulated(DeviceCases):
    """On simulated CUDA."""

    def test_the_operators_kernels_do_it(self, backend: Any) -> None:
        image = backend.upload(noise((1, 1, 12, 12, 12), "f4"))
        begin = len(Module.launches)
        sliding_window_inference(image, 6, 4, lambda window: window, mode="gaussian")
        kinds = {name.split("_")[0] for name in Module.launches[begin:]}
        assert kinds == {"gather", "blend", "divide", "linear"} - {"linear"}
        begin = len(Module.launches)
        zoom(image, (1, 1, 2, 2, 2), order=1)
        assert [name.split("_")[0] for name in Module.launches[begin:]] == ["prepare"]


class Foreign:
    """An array of a library that has DLPack and says where its from_dlpack is."""

    def __init__(self, held: Any) -> None:
        self.held = held

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> Any:
        return self.held

    def __array_namespace__(self) -> Any:
        return SimpleNamespace(from_dlpack=lambda other: Foreign(other.__dlpack__()))


class Plain:
    """An array that has the CUDA array interface alone."""

    def __init__(self, held: Any) -> None:
        self.held = held

    @property
    def __cuda_array_interface__(self) -> Any:
        return self.held.__cuda_array_interface__


@pytest.mark.parametrize("kind", [Foreign, Plain])
def test_arrays_of_other_libraries(backend: Any, kind: Any) -> None:
    image = noise((1, 1, 9, 8), "f4")
    given = kind(backend.upload(image))
    seen = []

    def predictor(window: Any) -> Any:
        seen.append(type(window))
        return window

    found = sliding_window_inference(given, 4, 2, predictor)
    zoomed = zoom(given, 2, order=0)
    expected = Foreign if kind is Foreign else type(backend.empty((1,), "f4"))
    assert {*seen, type(found), type(zoomed)} == {expected}
    found, zoomed = (x.held if kind is Foreign else x for x in (found, zoomed))
    np.testing.assert_allclose(backend.download(found), image, rtol=1e-6)
    np.testing.assert_array_equal(backend.download(zoomed), zoom(image, 2, order=0))


def test_without_cupy_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from gpu_infer.errors import ConfigError

    for name in [n for n in sys.modules if n.startswith("gpu_infer.backends.gpu") or n == "cupy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cupy", None)
    import gpu_infer.backends

    for name in [n for n in vars(gpu_infer.backends) if n.startswith("gpu")]:
        monkeypatch.delattr(gpu_infer.backends, name)
    with pytest.raises(ConfigError, match="an array on a CUDA device needs CuPy") as caught:
        zoom(Foreign(None), 2, order=0)
    assert "gpu-infer[cuda13]" in str(caught.value.remedy)
