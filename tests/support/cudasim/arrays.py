"""`cupy.ndarray`'s part: views of device memory, without any arithmetic and without a silent way to the host.

An exporter in tests hands over such an array where DLPack has a capsule.
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np
from cudasim.memory import MemoryPointer, UnownedMemory
from numpy.typing import NDArray


class ndarray:  # noqa: N801 - CuPy's name
    def __init__(self, shape: tuple[int, ...], dtype: Any = float, memptr: MemoryPointer | None = None) -> None:
        assert memptr is not None, "arrays are made on memory of the backend's own"
        kind = np.dtype(dtype)
        nbytes = kind.itemsize
        for n in shape:
            nbytes *= n
        buffer = (ctypes.c_char * nbytes).from_address(memptr.ptr)
        self._host: NDArray[Any] = np.ndarray(shape, kind, buffer)
        self._memory = memptr

    def _like(self, host: Any) -> ndarray:
        made = object.__new__(ndarray)
        made._host, made._memory = host, self._memory
        return made

    @property
    def data(self) -> MemoryPointer:
        memory = self._memory.mem
        return MemoryPointer(memory, self._host.__array_interface__["data"][0] - memory.ptr)

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=0)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)

    def __dlpack__(self, **options: Any) -> ndarray:
        return self._like(self._host)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        held = self._host.__array_interface__
        return {
            "shape": self.shape,
            "typestr": held["typestr"],
            "data": held["data"],
            "strides": self.strides,
            "version": 3,
        }

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    nbytes = property(lambda self: self._host.nbytes)
    itemsize = property(lambda self: self._host.itemsize)
    flags = property(lambda self: self._host.flags)

    def transpose(self, *axes: Any) -> ndarray:
        return self._like(self._host.transpose(*axes))

    def reshape(self, shape: Any) -> ndarray:
        assert self._host.flags.c_contiguous, "a view, not a copy"
        return self._like(self._host.reshape(shape))

    def view(self, dtype: Any) -> ndarray:
        return self._like(self._host.view(dtype))

    def __getitem__(self, key: Any) -> ndarray:
        return self._like(self._host[(*key, ...) if isinstance(key, tuple) and ... not in key else key])

    def __setitem__(self, key: Any, value: Any) -> None:
        assert not isinstance(value, np.ndarray), "a host array goes up by upload"
        self._host[key] = value._host if isinstance(value, ndarray) else value

    def __len__(self) -> int:
        return len(self._host)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    __array_ufunc__ = None


def from_dlpack(array: Any) -> ndarray:
    """`cupy.from_dlpack`."""
    if array.__dlpack_device__()[0] != 2:
        raise RuntimeError("CPU arrays cannot be directly imported to CuPy.")
    imported: ndarray = array.__dlpack__()
    if imported.dtype.kind == "V" or not imported.dtype.isnative:
        raise BufferError(f"{imported.dtype} has no DLPack type")
    return imported


def asarray(array: Any) -> ndarray:
    """`cupy.asarray` of what has the CUDA array interface."""
    told = array.__cuda_array_interface__
    made = object.__new__(ndarray)
    nbytes = int(np.dtype(told["typestr"]).itemsize * np.prod(told["shape"], dtype=int))
    made._memory = MemoryPointer(UnownedMemory(told["data"][0], nbytes, array), 0)
    made._host = np.ndarray(
        told["shape"],
        told["typestr"],
        (ctypes.c_char * nbytes).from_address(told["data"][0]),
        strides=told.get("strides"),
    )
    return made
