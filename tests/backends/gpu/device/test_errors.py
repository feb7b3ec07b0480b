"""What CUDA reports as failed becomes one error with a remedy, whichever operation meets it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cudasim import memory as device
from cudasim import stand_in
from cudasim.simulated import simulated_cupy

from gpu_infer.errors import DeviceError

UNSPECIFIED = "cudaErrorLaunchFailure: unspecified launch failure"


@pytest.fixture
def module() -> Iterator[Any]:
    with simulated_cupy() as gpu:
        yield gpu


def fail(*_: object, **__: object) -> None:
    raise device.CUDARuntimeError(719, UNSPECIFIED)


def test_a_launch_that_fails(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = module.GpuBackend()
    labels = gpu.zeros((4, 5, 6), np.uint8)

    def refuse(*_: object, **__: object) -> None:
        raise device.CUDADriverError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")

    monkeypatch.setattr(gpu._device, "launch", refuse)
    with pytest.raises(DeviceError) as caught:
        gpu.histogram(labels)
    assert str(caught.value).startswith("the GPU failed at or before histogram: CUDA_ERROR_ILLEGAL_ADDRESS")
    assert "--device cpu" in str(caught.value)
    assert caught.value.exit_code == 5


def test_pinned_memory_that_is_refused(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = module.GpuBackend()
    monkeypatch.setattr(module.Device.__init__.__globals__["cupy"].cuda, "alloc_pinned_memory", fail)
    with pytest.raises(DeviceError, match="the GPU failed at or before upload: cudaErrorLaunchFailure"):
        gpu.upload(np.zeros((1, 2, 3, 4), np.float32))


def test_an_event_that_reports_earlier_work(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = module.GpuBackend()
    monkeypatch.setattr(stand_in.Event, "synchronize", fail)
    with pytest.raises(DeviceError, match="the GPU failed at or before fence"):
        gpu.fence()
