"""A device that is seen and cannot be used: a card in exclusive-process mode, a full one, broken MIG."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from cudasim import memory as device
from cudasim.simulated import simulated_cupy

from gpu_infer.backends.choose import choose_backend
from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import DeviceError

BUSY = "cudaErrorDevicesUnavailable: CUDA-capable device(s) is/are busy or unavailable"


def refuse(*_: object, **__: object) -> None:
    raise device.CUDARuntimeError(46, BUSY)


@pytest.fixture(params=["runtime.getDevice", "Device", "Stream", "Event"])
def cupy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each of the calls that may be the first to need the context."""
    with simulated_cupy():
        where: Any = sys.modules["cupy"].cuda  # type: ignore[attr-defined]
        *path, name = request.param.split(".")
        for part in path:
            where = getattr(where, part)
        setattr(where, name, refuse)
        yield where


def test_it_is_an_error_of_ours(cupy: Any) -> None:
    with pytest.raises(DeviceError) as caught:
        choose_backend("gpu")
    assert caught.value.message == f"a GPU is there and cannot be used: {BUSY}"
    assert "exclusive-process" in str(caught.value.remedy)
    assert "--device cpu" in str(caught.value.remedy)
    assert caught.value.exit_code == 5  # another attempt may succeed


def test_auto_goes_on_with_the_cpu(cupy: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(choose_backend("auto"), CpuBackend)
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.getMessage().startswith(f"device auto: the CPU, because a GPU is there and cannot be used: {BUSY}")


def test_a_second_attempt_is_made(caplog: pytest.LogCaptureFixture) -> None:
    with simulated_cupy(), pytest.MonkeyPatch.context() as patch:
        cuda = sys.modules["cupy"].cuda  # type: ignore[attr-defined]
        patch.setattr(cuda, "Stream", refuse)
        assert isinstance(choose_backend("auto"), CpuBackend)
        patch.undo()
        assert choose_backend("auto").name == "gpu"
