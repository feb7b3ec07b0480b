"""A volume that goes to the GPU while it is read, on simulated CUDA and with `-m gpu` on the machine's device."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from cudasim.simulated import simulated_cupy
from real_device import real_gpu

from gpu_infer.backends.cpu.backend import CpuBackend
from gpu_infer.errors import DeviceError, ResourceError

CHUNK = 4096
SHAPE = (2, 5, 61, 47)  # channels, K, J, I: 57340 bytes of int16, 14 chunks
LAST = (0, 3, 2, 1)


@pytest.fixture(params=["simulated", pytest.param("device", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A GPU backend of this test alone, with chunks of 4 KiB."""
    with simulated_cupy() if request.param == "simulated" else real_gpu() as module:
        monkeypatch.setattr(import_module("gpu_infer.backends.gpu.device.staging"), "CHUNK", CHUNK)
        backend = module.GpuBackend()
        backend.start_run()
        yield backend


def stored(seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-1000, 1000, SHAPE).astype(np.int16)


def empty() -> tuple[Any, Any]:
    """Voxels that a reader is to fill, and their bytes."""
    voxels = np.full(SHAPE, -1, np.int16)
    return voxels, voxels.reshape(-1).view(np.uint8)


def wait_for(gpu: Any, nbytes: int) -> None:
    """Until so many bytes are on their way; fails after a minute."""
    end = time.monotonic() + 60
    while gpu.counters()["bytes_up_early"] < nbytes:
        assert time.monotonic() < end, gpu.counters()
        time.sleep(0.001)


def upload_threads() -> int:
    return sum(thread.name == "upload" for thread in threading.enumerate())


def test_chunks_go_up_while_the_reader_goes_on(gpu: Any) -> None:
    """Nothing but the last chunk is left when the reader has finished."""
    source, (voxels, memory) = stored().reshape(-1).view(np.uint8), empty()
    with gpu.open_upload() as upload:
        upload.begin(memory)
        for first, last in pairwise([*range(0, memory.size, 3000), memory.size]):
            memory[first:last] = source[first:last]
            upload.advance(last)
            wait_for(gpu, last // CHUNK * CHUNK)
        array = upload.finish(voxels.transpose(LAST))
    assert (array.shape, array.strides) == (voxels.transpose(LAST).shape, voxels.transpose(LAST).strides)
    assert array.dtype == np.int16
    np.testing.assert_array_equal(gpu.download(array), stored().transpose(LAST))
    assert gpu.counters()["bytes_up"] == memory.size
    assert upload_threads() == 0


@pytest.mark.parametrize("reported", [0, 1, CHUNK, 5 * CHUNK + 1, 57340])
def test_what_was_not_reported_goes_up_at_the_end(gpu: Any, reported: int) -> None:
    voxels, memory = empty()
    with gpu.open_upload() as upload:
        upload.begin(memory)
        voxels[...] = stored()
        upload.advance(reported)
        array = upload.finish(voxels)
    np.testing.assert_array_equal(gpu.download(array), stored())
    assert gpu.counters()["bytes_up"] == memory.size


@pytest.mark.parametrize("end", [0, 100, 3 * CHUNK, 57340])
def test_bytes_that_are_written_again_go_up_again(gpu: Any, end: int) -> None:
    """A compressed file that has to be read again, even after its last byte was uploaded."""
    voxels, memory = empty()
    right = stored().reshape(-1).view(np.uint8)
    with gpu.open_upload() as upload:
        upload.begin(memory)
        memory[:end], memory[end:] = right[:end], 7
        upload.advance(memory.size)
        wait_for(gpu, memory.size)
        upload.rewind(end)
        memory[...] = right
        upload.advance(memory.size)
        wait_for(gpu, 2 * memory.size - end)
        array = upload.finish(voxels)
    np.testing.assert_array_equal(gpu.download(array), stored())


@pytest.mark.parametrize("make", [lambda voxels: voxels.astype(np.int32), lambda voxels: voxels[:, ::-1, 1:]])
def test_another_array_than_the_readers_goes_up_whole(gpu: Any, make: Any) -> None:
    """Its memory is not that which was announced: the voxels were converted, or they are a part."""
    voxels, memory = empty()
    with gpu.open_upload() as upload:
        upload.begin(memory)
        voxels[...] = stored()
        upload.advance(memory.size)
        array = upload.finish(make(voxels))
    np.testing.assert_array_equal(gpu.download(array), make(stored()))


def test_a_reader_that_reports_nothing(gpu: Any) -> None:
    with gpu.open_upload() as upload:
        array = upload.finish(stored())
    np.testing.assert_array_equal(gpu.download(array), stored())
    assert gpu.counters()["bytes_up_early"] == 0


def test_a_small_array_starts_no_thread(gpu: Any) -> None:
    values = np.arange(CHUNK, dtype=np.uint8)
    with gpu.open_upload() as upload:
        upload.begin(values)
        upload.advance(values.size)
        assert upload_threads() == 0
        array = upload.finish(values)
    np.testing.assert_array_equal(gpu.download(array), values)


def test_a_refused_file_leaves_nothing_on_the_device(gpu: Any) -> None:
    """The next array takes the place of the one that was dropped: the peak is that of one volume."""
    before = gpu.counters()["peak_device_bytes"]
    for number in range(2):
        _, memory = empty()
        with gpu.open_upload() as upload:
            upload.begin(memory)
            upload.advance(3 * CHUNK)
            wait_for(gpu, (number + 1) * 3 * CHUNK)
        gc.collect()
        assert upload_threads() == 0
    assert 0 < gpu.counters()["peak_device_bytes"] - before < 1.1 * memory.size
    upload.close()  # again


def test_the_array_is_not_kept_after_it_was_handed_over(gpu: Any) -> None:
    """A chain frees the stored volume after its first pass, as the memory plan assumes."""
    voxels, memory = empty()
    upload = gpu.open_upload()
    upload.begin(memory)
    upload.advance(memory.size)
    array = upload.finish(voxels)
    before = gpu.counters()["peak_device_bytes"]
    del array
    gpu.empty(SHAPE, np.int16)
    assert gpu.counters()["peak_device_bytes"] == before


def test_an_error_of_the_device_comes_when_the_reader_has_finished(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the file is damaged as well, that is what the run ends with."""

    def fail(*_: Any) -> None:
        raise DeviceError("the GPU failed at or before upload")

    monkeypatch.setattr(gpu._device.staging, "upload", fail)
    voxels, memory = empty()
    with gpu.open_upload() as upload:
        upload.begin(memory)
        upload.advance(memory.size)
        with pytest.raises(DeviceError, match="at or before upload"):
            upload.finish(voxels)
    assert upload_threads() == 0


@pytest.mark.parametrize("is_read", [True, False])
def test_an_error_of_the_thread_does_not_hold_the_array(
    gpu: Any, monkeypatch: pytest.MonkeyPatch, is_read: bool
) -> None:
    """The next case needs its memory, and a command hardly ever looks for cycles of references."""
    calls: list[Any] = []

    def fail(*_: Any) -> None:
        calls.append(threading.current_thread().name)
        raise ResourceError("no memory can be pinned")

    def refused_upload() -> None:
        voxels, memory = empty()
        with gpu.open_upload() as upload:
            upload.begin(memory)
            upload.advance(memory.size)
            upload._thread.join(60)
            if is_read:
                upload.finish(voxels)

    before = gpu.counters()["peak_device_bytes"]
    monkeypatch.setattr(gpu._device.staging, "upload", fail)
    gc.disable()
    try:
        for _ in range(2):
            with suppress(ResourceError):
                refused_upload()
    finally:
        gc.enable()
    assert calls == ["upload", "upload"]
    assert gpu.counters()["peak_device_bytes"] - before < 1.1 * 57340


def test_too_little_memory_is_an_error_of_the_end(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ResourceError("cannot allocate 1 MiB of GPU memory")

    monkeypatch.setattr(gpu._device, "allocate", refuse)
    voxels, memory = empty()
    with gpu.open_upload() as upload:
        upload.begin(memory)
        upload.advance(memory.size)
        assert upload_threads() == 0
        with pytest.raises(ResourceError, match="cannot allocate"):
            upload.finish(voxels)


def test_without_another_thread_the_end_uploads(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    voxels, memory = empty()
    with gpu.open_upload() as upload:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            upload.begin(memory)
        voxels[...] = stored()
        upload.advance(memory.size)
        array = upload.finish(voxels)
    np.testing.assert_array_equal(gpu.download(array), stored())


def test_the_cpu_returns_the_array_itself() -> None:
    voxels, memory = empty()
    with CpuBackend().open_upload() as upload:
        upload.begin(memory)
        upload.advance(memory.size)
        assert upload.finish(voxels) is voxels
