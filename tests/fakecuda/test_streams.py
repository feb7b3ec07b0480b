"""Callers with their own streams, torch's among them."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import cupy
import numpy as np
import pytest
from fakecuda.control import PinnedArray

from gpu_infer import sliding_window_inference, zoom

pytestmark = pytest.mark.gpu


class Tensor:
    """A torch tensor on the device, as far as the library looks; torch's builds for the CPU have none."""

    is_cuda = True
    requires_grad = False
    device = "cuda:0"
    stream: Any  # torch's current one

    def __init__(self, array: Any) -> None:
        self.array = array
        self.dtype = array.dtype.name

    def detach(self) -> Tensor:
        return self

    def to(self, *_where: Any) -> Tensor:
        return self

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> Any:
        """As torch does it: the stream that takes the tensor over waits for torch's current one."""
        before = cupy.cuda.get_current_stream()
        self.stream.use()
        try:
            return self.array.__dlpack__(**options)
        finally:
            before.use()


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for torch whose current stream is not CuPy's."""
    stream = cupy.cuda.Stream(non_blocking=True)
    monkeypatch.setattr(Tensor, "stream", stream, raising=False)

    def from_dlpack(array: Any) -> Tensor:
        before = cupy.cuda.get_current_stream()
        capsule = array.__dlpack__(stream=stream.ptr)
        stream.use()
        try:
            return Tensor(
                cupy.from_dlpack(SimpleNamespace(__dlpack__=lambda **_: capsule, __dlpack_device__=lambda: (2, 0)))
            )
        finally:
            before.use()

    fake = SimpleNamespace(
        Tensor=Tensor,
        bool="bool",
        bfloat16="bfloat16",
        dtype=type(None),
        is_grad_enabled=lambda: True,
        device=lambda name: SimpleNamespace(type=str(name).split(":")[0]),
        from_dlpack=from_dlpack,
        cuda=SimpleNamespace(
            current_stream=lambda device: SimpleNamespace(cuda_stream=stream.ptr, device=SimpleNamespace(index=0))
        ),
    )
    monkeypatch.setitem(sys.modules, "torch", fake)
    return fake


def tensor_of(values: Any) -> tuple[Tensor, PinnedArray]:
    """A tensor whose values torch's stream will have written, and the memory that they come from."""
    array, source = cupy.ndarray(values.shape, values.dtype), PinnedArray(values)
    source.copy_to(array, Tensor.stream)
    return Tensor(array), source


def values_of(tensor: Tensor) -> Any:
    """What torch's stream finds in the tensor, without a wait for any other one."""
    target = PinnedArray(np.zeros(tensor.array.shape, tensor.array.dtype))
    target.copy_from(tensor.array, Tensor.stream)
    Tensor.stream.synchronize()
    return target.values


def noise(shape: tuple[int, ...], seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("factor", [2, 0.4])
def test_torchs_side_stream_finds_the_zoom_in_its_output(torch: Any, factor: float) -> None:
    values = noise((9, 8, 7), int(10 * factor))
    tensor, _source = tensor_of(values)
    expected = zoom(values, factor, order=1)
    output = Tensor(cupy.ndarray(expected.shape, np.float32))
    before = cupy.cuda.get_current_stream()
    assert zoom(tensor, factor, output, order=1) is output
    assert cupy.cuda.get_current_stream() is before
    np.testing.assert_allclose(values_of(output), expected, rtol=0, atol=1e-6)


def test_torchs_side_stream_finds_a_new_zoom(torch: Any) -> None:
    values = noise((6, 5), 1)
    tensor, _source = tensor_of(values)
    result = zoom(tensor, 2, np.float32, order=0)
    np.testing.assert_array_equal(values_of(result), zoom(values, 2, order=0))


def test_windows_are_taken_on_torchs_side_stream(torch: Any) -> None:
    """Within a call CuPy's current stream is torch's, so that no window makes one wait for the other."""
    values = noise((1, 1, 12, 11, 10), 2)
    tensor, _source = tensor_of(values)
    streams = []

    def predictor(window: Any) -> Any:
        streams.append(cupy.cuda.get_current_stream().ptr)
        return window

    before = cupy.cuda.get_current_stream()
    result = sliding_window_inference(tensor, (6, 5, 4), 3, predictor, mode="gaussian")
    assert cupy.cuda.get_current_stream() is before
    assert set(streams) == {Tensor.stream.ptr}
    np.testing.assert_allclose(values_of(result), values, rtol=1e-5, atol=1e-6)
