"""Copies between pageable host memory and the device, through one pinned buffer that is reused for all of them.

A copy from pageable memory runs at a fraction of the bus and stops the host. The buffer has two halves: while one
crosses the bus, host threads fill or empty the other.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpu_infer.backends.gpu.device.cupy_import import cupy

CHUNK = 16 << 20
"""Bytes of one half: long enough for the bus, short enough to overlap with the host's part early."""

_PIECE = 2 << 20
"""Bytes that are worth another thread."""

_MOST_THREADS = 8
"""The bus of a recent card takes several times what one thread of the host copies."""

Bytes = NDArray[np.uint8]


class Staging:
    """One per device; one thread at a time may use it. Raises CUDA's error if no memory can be pinned."""

    def __init__(self) -> None:
        self._halves: list[Pinned] = []
        self._used = 0  # halves so far: the next copy takes the other one, so that it need not wait for the last copy
        threads = min(_MOST_THREADS, len(os.sched_getaffinity(0)))
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="staging") if threads > 1 else None

    def upload(self, host: Bytes, device: int, stream: Any) -> None:
        """host (flat, contiguous) → device address. On return `host` may change; the copy itself is in the stream."""
        for begin in range(0, host.size, CHUNK):
            half = self._next_half()
            half.event.synchronize()
            part = host[begin : begin + CHUNK]
            self._copy(half.bytes[: part.size], part)
            half.copy_to(device + begin, 0, part.size, stream)
            half.event.record(stream)

    def download(self, device: int, host: Bytes, stream: Any) -> None:
        """device address → host (flat, contiguous); returns when the bytes are there."""
        waiting: tuple[Pinned, Bytes] | None = None
        for begin in range(0, host.size, CHUNK):
            half = self._next_half()
            half.event.synchronize()
            part = host[begin : begin + CHUNK]
            cupy.cuda.runtime.memcpyAsync(
                half.pointer, device + begin, part.size, cupy.cuda.runtime.memcpyDeviceToHost, stream.ptr
            )
            half.event.record(stream)
            self._empty(waiting)
            waiting = (half, part)
        self._empty(waiting)

    def _empty(self, waiting: tuple[Pinned, Bytes] | None) -> None:
        if waiting is not None:
            half, part = waiting
            half.event.synchronize()
            self._copy(part, half.bytes[: part.size])

    def _next_half(self) -> Pinned:
        number = self._used % 2
        if number == len(self._halves):
            self._halves.append(Pinned(CHUNK))
        self._used += 1
        return self._halves[number]

    def _copy(self, to: Bytes, source: Bytes) -> None:
        if self._threads is None or to.size <= _PIECE:
            np.copyto(to, source)
            return
        pieces = [slice(begin, begin + _PIECE) for begin in range(0, to.size, _PIECE)]
        for done in [self._threads.submit(np.copyto, to[piece], source[piece]) for piece in pieces]:
            done.result()


class Pinned:
    """Host memory that the device can read while the host continues, and an event to wait for that."""

    def __init__(self, nbytes: int) -> None:
        self._memory = cupy.cuda.alloc_pinned_memory(nbytes)
        self.pointer = int(self._memory.ptr)
        self.bytes: Bytes = np.frombuffer(self._memory, np.uint8, nbytes)
        self.event = cupy.cuda.Event(disable_timing=True)

    def copy_to(self, device: int, begin: int, nbytes: int, stream: Any) -> None:
        """Queue the copy of `nbytes` from offset `begin` to a device address."""
        cupy.cuda.runtime.memcpyAsync(
            device, self.pointer + begin, nbytes, cupy.cuda.runtime.memcpyHostToDevice, stream.ptr
        )
