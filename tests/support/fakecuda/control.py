"""The fake driver's own functions for tests, and work on a stream of the caller."""

from __future__ import annotations

import ctypes
from typing import Any

import cupy
import numpy as np
from fakecuda.places import DRIVER
from numpy.typing import NDArray

_driver = ctypes.CDLL(str(DRIVER))
_driver.fakecuda_calls.argtypes = [ctypes.c_char_p]
_driver.fakecuda_calls.restype = _driver.fakecuda_pending.restype = ctypes.c_long


def calls(name: str) -> int:
    """How often a function of the CUDA API has been called in this process."""
    return int(_driver.fakecuda_calls(name.encode()))


def pending() -> int:
    """Operations that have been queued and have not run, in all streams."""
    return int(_driver.fakecuda_pending())


class PinnedArray:
    """Page-locked host memory that holds a copy of `values`."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._memory = cupy.cuda.alloc_pinned_memory(values.nbytes)
        self.pointer = int(self._memory.ptr)
        self.values: NDArray[Any] = np.frombuffer(self._memory, values.dtype, values.size).reshape(values.shape)
        self.values[...] = values

    def copy_to(self, array: Any, stream: Any) -> None:
        """Queue a copy to a device array, which runs when something waits for it."""
        runtime = cupy.cuda.runtime
        runtime.memcpyAsync(array.data.ptr, self.pointer, array.nbytes, runtime.memcpyHostToDevice, stream.ptr)

    def copy_from(self, array: Any, stream: Any) -> None:
        runtime = cupy.cuda.runtime
        runtime.memcpyAsync(self.pointer, array.data.ptr, array.nbytes, runtime.memcpyDeviceToHost, stream.ptr)
