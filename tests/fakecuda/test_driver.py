"""The fake driver: when work runs, its refusals, and device memory that another process opens."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cupy
import numpy as np
import pytest
from fakecuda.control import PinnedArray, calls, pending

from gpu_infer.backends.gpu.compile.source import MODULES

pytestmark = pytest.mark.gpu

MIB = 1 << 20
SUPPORT = Path(__file__).resolve().parents[1] / "support"


@pytest.fixture
def streams() -> tuple[Any, Any]:
    return cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)


@pytest.fixture
def array() -> Any:
    return cupy.ndarray((1000,), np.float32)


ONES = np.ones(1000, np.float32)


def values_of(array: Any) -> Any:
    """The contents of device memory now, read without the driver."""
    address = int(array.data.ptr)
    memory = Path("/proc/self/mem")
    with memory.open("rb", buffering=0) as file:
        file.seek(address)
        return np.frombuffer(file.read(array.nbytes), array.dtype)


def test_work_runs_when_its_stream_is_waited_for(array: Any, streams: tuple[Any, Any]) -> None:
    source = PinnedArray(ONES)
    before = pending()
    source.copy_to(array, streams[0])
    streams[1].synchronize()
    assert pending() == before + 1
    assert not (values_of(array) == 1).any()
    source.values[...] = 2  # too early: the copy has not read it
    streams[0].synchronize()
    assert pending() == before
    assert (values_of(array) == 2).all()


MODE = """
import cupy
from fakecuda.control import PinnedArray, pending
import numpy as np
array, stream = cupy.ndarray((2 << 20,), np.uint8), cupy.cuda.Stream(non_blocking=True)
source = PinnedArray(np.full(array.shape, 7, np.uint8))
source.copy_to(array, stream)
target = PinnedArray(np.zeros(8, np.uint8))
waiting = pending()
target.copy_from(array[:8], stream)
stream.synchronize()
print(waiting, *target.values)
"""


@pytest.mark.parametrize(
    ("mode", "printed"),
    [("lazy", "1 7 7 7 7 7 7 7 7\n"), ("eager", "0 7 7 7 7 7 7 7 7\n"), ("null", "0 0 0 0 0 0 0 0 0\n")],
)
def test_a_mode_says_when_copies_run_and_whether_large_ones_do(mode: str, printed: str) -> None:
    environ = {**os.environ, "FAKECUDA_MODE": mode, "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run([sys.executable, "-c", MODE], capture_output=True, encoding="utf-8", check=True, env=environ)
    assert done.stdout == printed


def test_another_mode_is_refused() -> None:
    environ = {**os.environ, "FAKECUDA_MODE": "late", "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run([sys.executable, "-c", MODE], capture_output=True, encoding="utf-8", check=False, env=environ)
    assert done.returncode != 0
    assert "FAKECUDA: FAKECUDA_MODE: found late, expected lazy, eager or null\n" in done.stderr


def test_an_event_is_a_place_in_its_stream(array: Any, streams: tuple[Any, Any]) -> None:
    """A wait is for the record at the time of the call, and does not run later work of that stream."""
    first, second = PinnedArray(ONES), PinnedArray(2 * ONES)
    first.copy_to(array, streams[0])
    event = streams[0].record()
    streams[1].wait_event(event)
    second.copy_to(array, streams[0])
    event.record(streams[0])
    streams[1].synchronize()
    assert (values_of(array) == 1).all()
    event.synchronize()
    assert (values_of(array) == 2).all()


def test_fresh_memory_holds_garbage() -> None:
    array = cupy.ndarray((2 * MIB,), np.uint8, cupy.cuda.MemoryPointer(cupy.cuda.Memory(2 * MIB), 0))
    assert (values_of(array) == 0xCB).all()


def test_memory_is_counted_in_pages_and_ends() -> None:
    free, total = cupy.cuda.runtime.memGetInfo()
    memory = cupy.cuda.Memory(2 * MIB + 1)
    assert cupy.cuda.runtime.memGetInfo() == (free - 4 * MIB, total)
    del memory
    assert cupy.cuda.runtime.memGetInfo()[0] == free
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError, match="cudaErrorMemoryAllocation: out of memory"):
        cupy.cuda.runtime.malloc(total + 1)


def test_device_memory_is_a_segment_that_its_handle_names() -> None:
    pointer = cupy.cuda.runtime.malloc(4 * MIB)
    name = bytes(cupy.cuda.runtime.ipcGetMemHandle(pointer)).rstrip(b"\0").decode()
    assert name.startswith(f"fakecuda-{os.getpid()}-")
    segment = Path("/dev/shm", name)
    assert segment.stat().st_size == 4 * MIB
    cupy.cuda.runtime.memset(pointer, 7, 4 * MIB)
    assert segment.read_bytes() == bytes([7]) * (4 * MIB)
    cupy.cuda.runtime.free(pointer)
    assert not segment.exists()


def test_memory_of_a_killed_process_ends_with_it() -> None:
    code = "import cupy, os; cupy.cuda.runtime.malloc(1 << 21); print(os.getpid(), flush=True); os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    segment = Path("/dev/shm", f"fakecuda-{int(killed.stdout)}-0")
    assert killed.returncode == -9
    subprocess.run([sys.executable, "-c", "import cupy"], check=True)
    assert not segment.exists()


def test_misuse_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    runtime = cupy.cuda.runtime
    pointer = runtime.malloc(2 * MIB)
    host = np.zeros(3 * MIB, np.uint8)
    for misuse, complaint in (
        (lambda: runtime.memcpy(pointer, host.ctypes.data, 3 * MIB, 1), "a copy to memory that is not all on the"),
        (lambda: runtime.memcpy(host.ctypes.data, pointer + MIB, 2 * MIB, 2), "a copy from memory that is not all"),
        (lambda: runtime.memsetAsync(pointer, 0, 3 * MIB, 0), "a fill of memory that is not all on the device"),
        (lambda: runtime.free(pointer + 512), "cudaFree of a pointer that cudaMalloc did not return"),
    ):
        with pytest.raises(runtime.CUDARuntimeError, match="cudaErrorInvalidValue"):
            misuse()
        assert complaint in capfd.readouterr().err
    runtime.free(pointer)


# CuPy itself makes one block of a grid without any.
def test_a_launch_that_cuda_would_refuse_is_refused(backend: Any, capfd: pytest.CaptureFixture[str]) -> None:
    backend.warm_up()
    device = backend._device
    kernel = device.kernels.get("arrays", "take_1")
    argument = np.zeros(1, "V64")
    for grid, block, shared in (((1,), (1025,), 0), ((1, 70_000), (32,), 0), ((1,), (32,), 50_000)):
        with pytest.raises(cupy.cuda.driver.CUDADriverError, match="CUDA_ERROR_INVALID_VALUE"):
            kernel(grid, block, (argument,), shared_mem=shared)
        assert "FAKECUDA: launch of " in capfd.readouterr().err


def test_our_copies_never_hand_pageable_memory_to_the_device(backend: Any) -> None:
    """Such a copy may read late, and blocks the host in the other direction."""
    before = calls("cudaMemcpyAsync of pageable memory")
    for nbytes in (1, 5000, 20 * MIB):
        host = np.random.default_rng(nbytes).integers(0, 256, nbytes, np.uint8)
        np.testing.assert_array_equal(backend.download(backend.upload(host)), host)
    assert calls("cudaMemcpyAsync of pageable memory") == before


def test_every_module_has_a_host_build() -> None:
    from fakecuda.places import KERNELS

    assert {path.stem for path in KERNELS.glob("*.so")} == set(MODULES)
