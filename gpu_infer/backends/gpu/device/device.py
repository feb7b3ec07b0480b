"""One CUDA device as the backend uses it: its stream, memory, kernels and copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import DTypeLike, NDArray

from gpu_infer.backends.gpu.compile.modules import Kernels
from gpu_infer.backends.gpu.device.counters import DeviceCounters
from gpu_infer.backends.gpu.device.cupy_import import check_device, cupy
from gpu_infer.backends.gpu.device.errors import explained, opened
from gpu_infer.backends.gpu.device.memory import DeviceMemory
from gpu_infer.backends.gpu.device.staging import Staging
from gpu_infer.backends.gpu.device.upload_buffer import LARGEST, UploadBuffer
from gpu_infer.backends.layout import memory_order
from gpu_infer.backends.types import DeviceArray, HostArray

BLOCK = (32, 8)
"""Threads of most kernels: a warp along the fastest axis, eight rows."""


class Device:
    """The current CUDA device. Everything but `section` is called inside a section.

    Raises ConfigError if there is none or nothing to compile kernels with, DeviceError if it cannot be used.
    """

    def __init__(self) -> None:
        check_device()
        with opened():
            self.number = int(cupy.cuda.runtime.getDevice())
            self._device = cupy.cuda.Device(self.number)
            self.multiprocessors = int(cupy.cuda.runtime.getDeviceProperties(self.number)["multiProcessorCount"])
            self.stream = cupy.cuda.Stream(non_blocking=True)
            self._entered, self._left, self._done = (cupy.cuda.Event(disable_timing=True) for _ in range(3))
            self.memory = DeviceMemory(self.number)
            self.staging, self.upload_buffer = Staging(), UploadBuffer()
            self.kernels = Kernels(str(self._device.compute_capability))
        self._lock = threading.RLock()
        self.counters = DeviceCounters()

    def wait(self) -> None:
        """Wait for an event after everything queued so far, not for the whole device."""
        with self.section("fence"):
            self._done.record(self.stream)
        with explained("fence"):
            self._done.synchronize()

    @contextmanager
    def section(self, what: str) -> Iterator[None]:
        """This device and stream, ordered after the caller's stream and before what follows on it.

        `use` makes the caller's stream current again. CuPy's with statement goes back to the stream of the enclosing
        with statement, and would forget one that the caller has made current by `use`.
        """
        with self._lock, explained(what), self._device:
            current = cupy.cuda.get_current_stream()
            joined = current.ptr != self.stream.ptr
            if joined:
                self._entered.record(current)
                self.stream.wait_event(self._entered)
            cupy.cuda.nvtx.RangePush(f"gpu_infer.{what}")
            try:
                self.stream.use()
                yield
            finally:
                cupy.cuda.nvtx.RangePop()
                current.use()
                if joined:
                    self._left.record(self.stream)
                    current.wait_event(self._left)

    def launch(
        self,
        module: str,
        kind: str,
        blocks: int,
        packed: HostArray,
        *,
        block: tuple[int, ...] = BLOCK,
        shared: int = 0,
    ) -> None:
        self.kernels.get(module, kind)((blocks,), block, (packed,), shared_mem=shared)
        self.counters.launches += 1

    def allocate(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        kind = np.dtype(dtype)
        sizes = tuple(int(n) for n in shape)
        nbytes = kind.itemsize
        for n in sizes:
            nbytes *= n
        return cupy.ndarray(sizes, kind, self.memory.take(nbytes))

    def zeroed(self, shape: Sequence[int], dtype: DTypeLike) -> DeviceArray:
        array = self.allocate(shape, dtype)
        if array.nbytes:
            array.data.memset_async(0, array.nbytes, self.stream)
        return array

    def allocate_like(self, array: DeviceArray) -> DeviceArray:
        """Uninitialised, in the same memory order as `array` if that is dense, else C-ordered."""
        order = memory_order(array)
        if order is None:
            return self.allocate(array.shape, array.dtype)
        return order.restored(self.allocate(order.contiguous(array).shape, array.dtype))

    def uploaded(self, host: HostArray) -> DeviceArray:
        order = memory_order(host)
        if order is None:
            host = np.array(host, order="C")
            order = memory_order(host)
            assert order is not None
        flat = order.contiguous(host)
        array = self.allocate(flat.shape, host.dtype)
        if flat.size:
            self.staging.upload(_bytes(flat), array.data.ptr, self.stream)
        return order.restored(array)

    def downloaded(self, array: DeviceArray, into: HostArray | None = None) -> HostArray:
        order = memory_order(array)
        assert order is not None
        source = order.contiguous(array)
        target = None if into is None else order.contiguous(into)
        if target is None or not target.flags.c_contiguous:
            target = np.empty(source.shape, array.dtype)
        if source.size:
            self.staging.download(source.data.ptr, _bytes(target), self.stream)
        host: HostArray = order.restored(target)
        if into is not None and not np.shares_memory(host, into):
            into[...] = host
        return host

    def small_upload(self, host: HostArray) -> DeviceArray:
        """A C-ordered copy of a table, which may change or be freed when the call returns; no wait for the device."""
        array = self.allocate(host.shape, host.dtype)
        self.counters.table_bytes += host.nbytes
        if host.nbytes:
            copies = self.upload_buffer if host.nbytes <= LARGEST else self.staging
            copies.upload(_bytes(np.ascontiguousarray(host)), array.data.ptr, self.stream)
        return array

    def small_download(self, array: DeviceArray) -> HostArray:
        host = np.empty(array.shape, array.dtype)
        self.counters.table_bytes += host.nbytes
        self.staging.download(array.data.ptr, _bytes(host), self.stream)
        return host


def _bytes(contiguous: HostArray) -> NDArray[np.uint8]:
    return contiguous.reshape(-1).view(np.uint8)
