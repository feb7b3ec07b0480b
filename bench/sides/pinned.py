"""Pinned memory of a volume's size, as an alternative to the pinned buffer that copies go through."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import numpy as np


class PinnedVolume:
    """Pinned memory of `nbytes`, and a device array of that size; a context."""

    def __init__(self, backend: Any, nbytes: int) -> None:
        from gpu_infer.backends.gpu.device.cupy_import import cupy

        self._runtime, self._stream = cupy.cuda.runtime, cupy.cuda.Stream(non_blocking=True)
        self._nbytes = nbytes
        self._array = backend.empty((nbytes,), np.uint8)
        backend.fence()
        self._pointer = self._runtime.hostAlloc(nbytes, 0)

    def pin_another(self) -> None:
        """Allocate as much pinned memory as CUDA has never seen, and free it."""
        self._runtime.freeHost(self._runtime.hostAlloc(self._nbytes, 0))

    def copy(self) -> None:
        """Copy to the device, and wait for it."""
        kind = self._runtime.memcpyHostToDevice
        self._runtime.memcpyAsync(self._array.data.ptr, self._pointer, self._nbytes, kind, self._stream.ptr)
        self._stream.synchronize()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runtime.freeHost(self._pointer)
