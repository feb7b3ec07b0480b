"""Uploads a volume while it is read: a thread copies what the reader has filled through the pinned buffer."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.base.upload import Upload
from gpu_infer.backends.gpu.device import staging
from gpu_infer.backends.gpu.device.cupy_import import cupy
from gpu_infer.backends.gpu.device.device import Device
from gpu_infer.backends.layout import MemoryOrder, memory_order
from gpu_infer.backends.types import DeviceArray, HostArray
from gpu_infer.errors import ResourceError

Bytes = NDArray[np.uint8]


class EarlyUpload(Upload):
    """The thread takes one chunk of the pinned buffer after the other, from the first byte to the last.

    An array of one chunk has nothing to overlap: `finish` uploads it. So it does with an array in other memory than the
    reader began with, and if a thread or memory of the device is missing when the reader begins.
    """

    def __init__(self, upload: Callable[[HostArray], DeviceArray], device: Device) -> None:
        super().__init__(upload)
        self.step = staging.CHUNK
        self._device = device
        self._memory: Bytes | None = None
        self._array: DeviceArray | None = None  # the bytes of `_memory` on the device
        self._changed = threading.Condition()
        self._filled = 0  # bytes from the start that the reader has filled
        self._sent = 0  # of them, those that are copied, or whose copy has begun
        self._is_ended = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)

    def begin(self, memory: Bytes) -> None:
        """See `Follower.begin`."""
        if memory.nbytes <= staging.CHUNK:
            return
        try:
            with self._device.section("upload"):
                self._array = self._device.allocate(memory.shape, np.uint8)
            self._memory = memory
            self._thread.start()
        except (ResourceError, RuntimeError):  # the latter: the process has as many threads as it may have
            self._array = self._memory = None

    def advance(self, end: int) -> None:
        """See `Follower.advance`."""
        with self._changed:
            self._filled = end
            self._changed.notify()

    def rewind(self, end: int) -> None:
        """See `Follower.rewind`. Bytes that are written again are copied again, later in the stream."""
        with self._changed:
            self._filled, self._sent = min(self._filled, end), min(self._sent, end)

    def finish(self, host: HostArray) -> DeviceArray:
        """See `Upload.finish`."""
        self._end_thread()
        memory, array = self._memory, self._array
        self._memory = self._array = None
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # its traceback has this frame: the cycle would hold the array on the device
        order = memory_order(host)
        if memory is None or array is None or order is None or not _is_same(order.contiguous(host), memory):
            del array  # before the whole is allocated
            return self._upload_whole(host)
        with self._device.section("upload"):
            self._copy(memory, array, self._sent, memory.nbytes)
        return _typed(array, host, order)

    def close(self) -> None:
        """See `Upload.close`."""
        self._end_thread()
        self._memory = self._array = self._error = None

    def _run(self) -> None:
        try:
            while (span := self._next_span()) is not None:
                memory, array = self._memory, self._array
                assert memory is not None
                assert array is not None
                with self._device.section("upload"):
                    self._copy(memory, array, *span)
                    self._device.counters.bytes_up_early += span[1] - span[0]
        except Exception as error:  # `finish` raises it
            self._error = error

    def _next_span(self) -> tuple[int, int] | None:
        """Wait for the next full chunk, or the last one, and take it; None at the end.

        The reader may rewind after the last one.
        """
        assert self._memory is not None
        total = self._memory.nbytes
        with self._changed:
            while not self._is_ended:
                first, ready = self._sent, self._filled - self._sent
                if ready >= staging.CHUNK or (ready > 0 and self._filled == total):
                    self._sent = min(first + staging.CHUNK, self._filled)
                    return first, self._sent
                self._changed.wait()
            return None

    def _copy(self, memory: Bytes, array: DeviceArray, first: int, last: int) -> None:
        self._device.counters.bytes_up += last - first
        self._device.staging.upload(memory[first:last], array.data.ptr + first, self._device.stream)

    def _end_thread(self) -> None:
        with self._changed:
            self._is_ended = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()


def _is_same(host: HostArray, memory: Bytes) -> bool:
    """Whether a C-contiguous array is all of `memory`."""
    return host.ctypes.data == memory.ctypes.data and host.nbytes == memory.nbytes


def _typed(array: DeviceArray, host: HostArray, order: MemoryOrder) -> DeviceArray:
    """The bytes of `host` on the device, with its dtype, shape and strides."""
    flat = cupy.ndarray(order.contiguous(host).shape, host.dtype, array.data)
    return order.restored(flat)
