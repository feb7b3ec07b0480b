"""CUDA IPC that the client's own side refuses: nothing is lost, and what is said is about CUDA IPC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cudasim import memory
from cudasim.simulated import simulated_cupy
from triton_fakes import FakeServer

from gpu_infer.errors import DeviceError, ResourceError
from gpu_infer.triton.transport import CHECK, DATA_TRANSPORTS, Transport

pytestmark = pytest.mark.usefixtures("no_leftovers")

REFUSED = (801, "cudaErrorNotSupported: operation not supported")


@pytest.fixture
def simulated() -> Iterator[Any]:
    with simulated_cupy() as module:
        yield module


@pytest.fixture
def backend(simulated: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A GPU backend on a platform without CUDA IPC."""
    made = simulated.GpuBackend()

    def refuse(pointer: int) -> bytes:
        raise memory.CUDARuntimeError(*REFUSED)

    from gpu_infer.backends.gpu.device.cupy_import import cupy

    monkeypatch.setattr(cupy.cuda.runtime, "ipcGetMemHandle", refuse)
    return made


def test_the_memory_of_a_refused_block_is_given_back(backend: Any) -> None:
    free = backend.free_bytes()
    for _ in range(3):
        with pytest.raises(DeviceError, match=r"CUDA IPC cannot export GPU memory: cudaErrorNotSupported"):
            backend.device_arena(5 << 20)
    assert backend.free_bytes() == free
    assert not memory._State.segments
    assert backend.counters()["peak_device_bytes"] == 0


def test_the_ladder_steps_down_and_says_what_to_check(backend: Any) -> None:
    transport = Transport(FakeServer(), backend, DATA_TRANSPORTS)  # type: ignore[arg-type]
    transport.probe()
    assert transport.data == "system_shm"
    ((choice, reason),) = transport.skipped
    assert choice == "cuda_shm"
    assert reason.startswith("CUDA IPC cannot export GPU memory: cudaErrorNotSupported")
    assert CHECK["cuda_shm"] in reason
    assert "Xid" not in reason
    assert not memory._State.segments


def test_a_required_choice_ends_with_the_same_text(backend: Any) -> None:
    transport = Transport(FakeServer(), backend, ("cuda_shm",))  # type: ignore[arg-type]
    with pytest.raises(ResourceError, match="CUDA IPC cannot export GPU memory: cudaErrorNotSupported") as caught:
        transport.probe()
    assert CHECK["cuda_shm"] in str(caught.value)
    assert "omit --data and --require" in str(caught.value)
    assert caught.value.exit_code == 5


def test_a_gpu_that_failed_before_is_not_taken_for_a_refusal(
    backend: Any, simulated: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an illegal address every call fails, that which frees too: the platform is not at fault."""
    from gpu_infer.backends.gpu.device.cupy_import import cupy

    def broken(pointer: int) -> None:
        raise memory.CUDARuntimeError(700, "cudaErrorIllegalAddress: an illegal memory access was encountered")

    with monkeypatch.context() as patch:
        patch.setattr(cupy.cuda.runtime, "ipcGetMemHandle", broken)
        patch.setattr(cupy.cuda.runtime, "free", broken)
        with pytest.raises(DeviceError, match="the GPU failed at or before device_arena: cudaErrorIllegal") as caught:
            backend.device_arena(1)
    assert "Xid" in str(caught.value)
